#include "settings.h"
#include "identifier.h"
#include "statement.h"
#include <stdlib.h>
#include <string.h>

const whippet_option settings_options[] = {
    {.name = "url",
     .type = WHIPPET_OPTION_STRING,
     .help = "the server: \"postgresql://user@host/database\", or \"host=… dbname=…\"; without it, what "
             "PGHOST and "
             "its kin say"},
    {.name = "password_file", .type = WHIPPET_OPTION_STRING, .help = "the password, from a file"},
    {.name = "connections",
     .type = WHIPPET_OPTION_INTEGER,
     .default_value = "4",
     .help = "at most so many at a time; messages take turns at them"},
    {.name = "connect_timeout",
     .type = WHIPPET_OPTION_DURATION,
     .help = "how long an attempt to connect may take, all hosts together; without it, what the url says in "
             "connect_timeout, or 10s"},
    {.name = "prepare",
     .type = WHIPPET_OPTION_BOOLEAN,
     .default_value = "true",
     .help = "false behind a pooler that knows nothing of prepared statements (PgBouncer before 1.21)"},
    {.name = "table",
     .type = WHIPPET_OPTION_STRING,
     .help = "the table that each message is a row of, \"table\" or \"schema.table\""},
    {.name = "columns",
     .type = WHIPPET_OPTION_MAP,
     .help = "for each column the key that fills it, e.g. {\"city\": \"customer.address[0].city\"}"},
    {.name = "conflict",
     .type = WHIPPET_OPTION_STRINGS,
     .help = "the columns that tell rows apart: a row that is there already is updated"},
    {.name = "statement",
     .type = WHIPPET_OPTION_STRING,
     .help = "in place of a table, a statement with $1, $2, … for the parameters"},
    {.name = "parameters",
     .type = WHIPPET_OPTION_STRINGS,
     .help = "the keys that fill the statement's $1, $2, …, in their order"},
    {.name = "optional",
     .type = WHIPPET_OPTION_STRINGS,
     .help = "keys that may be missing: NULL then, where others would have the message rejected"},
    {.name = "inbox",
     .type = WHIPPET_OPTION_STRING,
     .default_value = "whippet_inbox",
     .help = "the table that remembers which messages are done, so that none is done twice; \"\" for none"},
    {.name = "create_inbox",
     .type = WHIPPET_OPTION_BOOLEAN,
     .default_value = "true",
     .help = "whether to make that table where it is missing"},
    {.name = "verify",
     .type = WHIPPET_OPTION_BOOLEAN,
     .default_value = "false",
     .help = "count a message done only when its row can be read back"},
    {.name = "verify_statement",
     .type = WHIPPET_OPTION_STRING,
     .help = "a SELECT of yours for that, which returns a row when all is well"},
    {.name = "verify_parameters", .type = WHIPPET_OPTION_STRINGS, .help = "the keys that fill its $1, $2, …"},
    {.name = "verify_attempts",
     .type = WHIPPET_OPTION_INTEGER,
     .default_value = "5",
     .help = "how often to look"},
    {.name = "verify_delay",
     .type = WHIPPET_OPTION_DURATION,
     .default_value = "3s",
     .help = "the pause between two looks"},
    {.name = NULL},
};

static bool complain(whippet_failure *failure, const char *sentence)
{
    whippet_fail(failure, "%s", sentence);
    return false;
}

static bool is_in(const char *const *list, const char *text)
{
    while (*list != NULL && strcmp(*list, text) != 0)
        list++;
    return *list != NULL;
}

/* --- Sources --------------------------------------------------------------------------------------------*/

/* `step` is 2 for a list of columns and keys in turn, 1 for one of keys. */
static bool read_sources(struct query *query, const char *option, const char *const *list, size_t count,
                         size_t step, whippet_failure *failure)
{
    query->count = count / step;
    query->sources = calloc(query->count + 1, sizeof *query->sources);
    if (query->sources == NULL)
        return complain(failure, "out of memory");
    for (size_t i = 0; i < query->count; i++) {
        struct source *source = &query->sources[i];
        *source = (struct source){.key = list[step * i + step - 1], .column = step == 2 ? list[2 * i] : NULL};
        if (!source_check(option, source->key, failure) ||
            (step == 2 && !identifier_check(option, source->column, false, failure)))
            return false;
    }
    return true;
}

/* Marks the sources with this key. Returns how many there are. */
static size_t mark_optional(struct query *query, const char *key)
{
    size_t marked = 0;
    for (size_t i = 0; i < query->count; i++) {
        if (strcmp(query->sources[i].key, key) == 0) {
            query->sources[i].optional = true;
            marked++;
        }
    }
    return marked;
}

static bool read_optional(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    const char *const *keys = whippet_setting_strings(given, "optional", NULL);
    for (; *keys != NULL; keys++) {
        if (mark_optional(&settings->write, *keys) + mark_optional(&settings->verify, *keys) == 0) {
            whippet_fail(failure, "optional: no column and no parameter takes the key \"%s\"", *keys);
            return false;
        }
    }
    return true;
}

/* --- What is written ------------------------------------------------------------------------------------*/

static bool has_column(const struct query *query, const char *column)
{
    for (size_t i = 0; i < query->count; i++) {
        if (strcmp(query->sources[i].column, column) == 0)
            return true;
    }
    return false;
}

static bool read_table(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    size_t count;
    const char *const *columns = whippet_setting_strings(given, "columns", &count);
    const char *const *conflict = whippet_setting_strings(given, "conflict", NULL);
    if (count == 0)
        return complain(failure,
                        "columns: which columns of the table are to be filled, and from which keys?");
    if (whippet_setting_given(given, "parameters"))
        return complain(failure, "parameters: they are those of a statement; a table has columns");
    if (!identifier_check("table", settings->table, true, failure) ||
        !read_sources(&settings->write, "columns", columns, count, 2, failure))
        return false;
    for (const char *const *column = conflict; *column != NULL; column++) {
        if (!has_column(&settings->write, *column)) {
            whippet_fail(failure, "conflict: \"%s\" is not one of the columns", *column);
            return false;
        }
    }
    struct row row = {settings->table, settings->write.sources, settings->write.count, conflict};
    settings->write.text = statement_insert(&row, NULL);
    settings->quoted_table = statement_quote(settings->table);
    if (settings->inbox != NULL)
        settings->write_once = statement_insert(&row, settings->inbox);
    return (settings->write.text != NULL && settings->quoted_table != NULL &&
            (settings->inbox == NULL || settings->write_once != NULL)) ||
           complain(failure, "out of memory");
}

static bool read_statement(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    size_t count;
    const char *const *keys = whippet_setting_strings(given, "parameters", &count);
    if (whippet_setting_given(given, "columns") || whippet_setting_given(given, "conflict"))
        return complain(failure,
                        "statement: columns and conflict are for a table; a statement has parameters");
    if (!read_sources(&settings->write, "parameters", keys, count, 1, failure))
        return false;
    settings->write.text = strdup(whippet_setting_string(given, "statement"));
    return settings->write.text != NULL || complain(failure, "out of memory");
}

static bool read_write(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    bool has_table = *whippet_setting_string(given, "table") != '\0';
    bool has_statement = *whippet_setting_string(given, "statement") != '\0';
    if (has_table == has_statement)
        return complain(failure, "expected either a table, for rows, or a statement");
    settings->table = has_table ? whippet_setting_string(given, "table") : NULL;
    return has_table ? read_table(settings, given, failure) : read_statement(settings, given, failure);
}

/* --- The inbox ------------------------------------------------------------------------------------------*/

static bool read_inbox(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    const char *inbox = whippet_setting_string(given, "inbox");
    bool creates = whippet_setting_boolean(given, "create_inbox");
    if (*inbox == '\0')
        return true;
    if (!identifier_check("inbox", inbox, true, failure))
        return false;
    settings->inbox = inbox;
    settings->inbox_insert = statement_enter(inbox);
    settings->quoted_inbox = statement_quote(inbox);
    settings->inbox_create = creates ? statement_create_inbox(inbox) : NULL;
    return (settings->inbox_insert != NULL && settings->quoted_inbox != NULL &&
            (!creates || settings->inbox_create != NULL)) ||
           complain(failure, "out of memory");
}

/* --- Verifying ------------------------------------------------------------------------------------------*/

/* By the columns that tell rows apart; by all where none are named. */
static bool make_verify(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    const char *const *conflict = whippet_setting_strings(given, "conflict", NULL);
    struct query *verify = &settings->verify;
    verify->sources = calloc(settings->write.count, sizeof *verify->sources);
    if (verify->sources == NULL)
        return complain(failure, "out of memory");
    for (size_t i = 0; i < settings->write.count; i++) {
        if (*conflict == NULL || is_in(conflict, settings->write.sources[i].column))
            verify->sources[verify->count++] = settings->write.sources[i];
    }
    struct row row = {settings->table, verify->sources, verify->count, conflict};
    verify->text = statement_find(&row);
    return verify->text != NULL || complain(failure, "out of memory");
}

static bool read_verify_statement(struct settings *settings, const whippet_settings *given,
                                  whippet_failure *failure)
{
    size_t count;
    const char *const *keys = whippet_setting_strings(given, "verify_parameters", &count);
    settings->verify.text = strdup(whippet_setting_string(given, "verify_statement"));
    if (settings->verify.text == NULL)
        return complain(failure, "out of memory");
    return read_sources(&settings->verify, "verify_parameters", keys, count, 1, failure);
}

static bool read_verify(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    int64_t attempts = whippet_setting_integer(given, "verify_attempts");
    bool has_statement = *whippet_setting_string(given, "verify_statement") != '\0';
    settings->verify_policy = (whippet_retry_policy){
        .attempts = (unsigned)attempts, .delay = whippet_setting_duration(given, "verify_delay")};
    if (attempts < 1 || attempts > 1000)
        return complain(failure, "verify_attempts: expected 1 to 1000");
    if (whippet_setting_given(given, "verify_parameters") && !has_statement)
        return complain(failure, "verify_parameters: they are those of a verify_statement");
    if (has_statement)
        return read_verify_statement(settings, given, failure);
    if (!whippet_setting_boolean(given, "verify"))
        return true;
    if (settings->table == NULL)
        return complain(failure, "verify: with a statement of your own, how to look for what it did must be "
                                 "said in verify_statement");
    return make_verify(settings, given, failure);
}

/* --- All of it ------------------------------------------------------------------------------------------*/

static bool open_pool(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    int64_t connections = whippet_setting_integer(given, "connections");
    if (connections < 1)
        return complain(failure, "connections: expected 1 or more");
    whippet_pg_options options = {
        .url = whippet_setting_string(given, "url"),
        .password_file = whippet_setting_string(given, "password_file"),
        .connections = (size_t)connections,
        .connect_timeout = whippet_setting_duration(given, "connect_timeout"),
        .unprepared = !whippet_setting_boolean(given, "prepare"),
    };
    settings->pg = whippet_pg_open(&options, failure);
    return settings->pg != NULL;
}

struct settings *settings_create(const whippet_settings *given, whippet_failure *failure)
{
    struct settings *settings = calloc(1, sizeof *settings);
    if (settings == NULL) {
        whippet_fail(failure, "out of memory");
        return NULL;
    }
    if (read_inbox(settings, given, failure) && read_write(settings, given, failure) &&
        read_verify(settings, given, failure) && read_optional(settings, given, failure) &&
        open_pool(settings, given, failure))
        return settings;
    settings_destroy(settings);
    return NULL;
}

void settings_destroy(struct settings *settings)
{
    whippet_pg_close(settings->pg);
    free(settings->write.text);
    free(settings->write.sources);
    free(settings->write_once);
    free(settings->quoted_table);
    free(settings->inbox_insert);
    free(settings->inbox_create);
    free(settings->quoted_inbox);
    free(settings->verify.text);
    free(settings->verify.sources);
    free(settings);
}
