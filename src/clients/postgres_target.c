#include "postgres_target.h"
#include <base/memory.h>
#include <base/secret.h>
#include <stdlib.h>
#include <string.h>

enum {
    OWN_OPTIONS = 8,      /* room for those that are added below */
    TIMEOUT_MOST = 86400, /* seconds */
};

/* A connection that hears nothing of what it sent for so long is given up, also while it is made, so that
 * neither it nor a request to cancel hangs for minutes. Milliseconds. */
static const char user_timeout[] = "10000";

struct postgres_target {
    char **keywords; /* owned; ends with NULL */
    char **values;
    size_t count;
    char *host; /* owned; lists with commas, as libpq has them; "" when there is none */
    char *port;
    char *password;         /* owned; from a file; NULL: none */
    double connect_timeout; /* seconds, for all hosts; 0: as the pool says */
};

/* --- Options --------------------------------------------------------------------------------------------*/

static const char *option_value(const PQconninfoOption *options, const char *keyword)
{
    for (; options != NULL && options->keyword != NULL; options++) {
        if (strcmp(options->keyword, keyword) == 0)
            return options->val != NULL ? options->val : "";
    }
    return "";
}

/* What `given` says, else `defaults`, which have the environment. */
static const char *effective(const PQconninfoOption *given, const PQconninfoOption *defaults,
                             const char *keyword)
{
    const char *value = option_value(given, keyword);
    return *value != '\0' ? value : option_value(defaults, keyword);
}

/* False when memory is short. */
static bool add(struct postgres_target *target, const char *keyword, const char *value)
{
    target->keywords[target->count] = memory_copy_text(keyword);
    target->values[target->count] = memory_copy_text(value);
    return target->keywords[target->count] != NULL && target->values[target->count++] != NULL;
}

static bool is_given(const struct postgres_target *target, const char *keyword)
{
    for (size_t i = 0; i < target->count; i++) {
        if (strcmp(target->keywords[i], keyword) == 0)
            return true;
    }
    return false;
}

static bool is_replaced(const struct postgres_target *target, const char *keyword)
{
    return strcmp(keyword, "host") == 0 || strcmp(keyword, "port") == 0 ||
           (strcmp(keyword, "password") == 0 && target->password != NULL);
}

/* All that was given but for hosts and ports, and what we want. False when memory is short. */
static bool take_options(struct postgres_target *target, const PQconninfoOption *given)
{
    size_t count = 0;
    while (given[count].keyword != NULL)
        count++;
    target->keywords = memory_allocate_zeroed((count + OWN_OPTIONS) * sizeof(char *));
    target->values = memory_allocate_zeroed((count + OWN_OPTIONS) * sizeof(char *));
    bool taken = target->keywords != NULL && target->values != NULL;
    for (; taken && given->keyword != NULL; given++) {
        if (given->val != NULL && *given->val != '\0' && !is_replaced(target, given->keyword))
            taken = add(target, given->keyword, given->val);
    }
    if (taken && !is_given(target, "fallback_application_name"))
        taken = add(target, "fallback_application_name", "whippet");
    if (taken && !is_given(target, "tcp_user_timeout"))
        taken = add(target, "tcp_user_timeout", user_timeout);
    return taken && add(target, "client_encoding", "UTF8");
}

/* False when memory is short. */
static bool take_hosts(struct postgres_target *target, const PQconninfoOption *given,
                       const PQconninfoOption *defaults)
{
    /* With hostaddr there is nothing to look up, and libpq pairs the two by itself. */
    const char *addresses = effective(given, defaults, "hostaddr");
    const char *host = effective(given, defaults, "host");
    const char *port = effective(given, defaults, "port");
    if (*addresses != '\0')
        return (*host == '\0' || add(target, "host", host)) && (*port == '\0' || add(target, "port", port)) &&
               (is_given(target, "hostaddr") || add(target, "hostaddr", addresses)) &&
               (target->host = memory_copy_text("")) != NULL;
    target->host = memory_copy_text(host);
    target->port = memory_copy_text(port);
    return target->host != NULL && target->port != NULL &&
           (*host != '\0' || *port == '\0' || add(target, "port", port));
}

/* libpq has it for each host, and 0 for ever, which is nobody's wish here. */
static int read_timeout(struct postgres_target *target, const char *text, struct whippet_failure *failure)
{
    char *end;
    if (*text == '\0')
        return 0;
    long seconds = strtol(text, &end, 10);
    if (*end != '\0' || seconds < 0 || seconds > TIMEOUT_MOST)
        return failure_set(failure, WHIPPET_E_INVALID,
                           "the url has a connect_timeout of \"%s\": expected whole seconds, up to %d", text,
                           TIMEOUT_MOST);
    target->connect_timeout = (double)seconds * (double)hosts_listed(target->host);
    return 0;
}

static int read_options(struct postgres_target *target, const PQconninfoOption *given,
                        const PQconninfoOption *defaults, struct whippet_failure *failure)
{
    if (*option_value(given, "service") != '\0')
        return failure_set(
            failure, WHIPPET_E_INVALID,
            "the url names a service, whose file libpq would read at each connection: write out its "
            "host and the rest, or name it in PGSERVICE");
    if (take_options(target, given) && take_hosts(target, given, defaults)) {
        int error = hosts_check(target->host, target->port, failure);
        return error != 0 ? error
                          : read_timeout(target, effective(given, defaults, "connect_timeout"), failure);
    }
    return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
}

/* libpq's own words may hold a piece of the password. */
static int explain_url(char *message, const struct postgres_library *library, struct whippet_failure *failure)
{
    bool malformed = message != NULL;
    if (malformed)
        library->freemem(message);
    return malformed ? failure_set(failure, WHIPPET_E_INVALID,
                                   "the url can't be read: expected \"postgresql://user@host/database\" or "
                                   "\"host=… user=… dbname=…\", with options that this libpq knows")
                     : failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
}

struct postgres_target *postgres_target_create(const struct postgres_library *library,
                                               const whippet_pg_options *options,
                                               struct whippet_failure *failure)
{
    char *message = NULL;
    const char *file = options->password_file;
    struct postgres_target *target = memory_allocate_zeroed(sizeof *target);
    if (target == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        return NULL;
    }
    int error = 0;
    if (file != NULL && *file != '\0' && (target->password = secret_read(file, failure)) == NULL)
        error = failure->error;
    PQconninfoOption *given = library->conninfoParse(options->url != NULL ? options->url : "", &message);
    PQconninfoOption *defaults = library->conndefaults();
    if (error == 0 && given == NULL)
        error = explain_url(message, library, failure);
    if (error == 0)
        error = read_options(target, given, defaults, failure);
    library->conninfoFree(given);
    library->conninfoFree(defaults);
    if (error == 0)
        return target;
    postgres_target_destroy(target);
    return NULL;
}

static void destroy_texts(char **texts, bool secret)
{
    for (size_t i = 0; texts != NULL && texts[i] != NULL; i++) {
        if (secret)
            explicit_bzero(texts[i], strlen(texts[i]));
        memory_free(texts[i]);
    }
    memory_free(texts);
}

void postgres_target_destroy(struct postgres_target *target)
{
    if (target == NULL)
        return;
    destroy_texts(target->keywords, false);
    destroy_texts(target->values, true);
    memory_free(target->host);
    memory_free(target->port);
    secret_destroy(target->password);
    memory_free(target);
}

const char *postgres_target_place(const struct postgres_target *target)
{
    return *target->host != '\0' ? target->host : "its usual place";
}

double postgres_target_connect_timeout(const struct postgres_target *target)
{
    return target->connect_timeout;
}

/* --- Parameters -----------------------------------------------------------------------------------------*/

static void put(struct postgres_parameters *parameters, size_t *count, const char *keyword, const char *value)
{
    if (value == NULL)
        return;
    parameters->keywords[*count] = keyword;
    parameters->values[(*count)++] = value;
}

int postgres_target_resolve(whippet_task *task, const struct postgres_target *target,
                            struct postgres_parameters *parameters, struct whippet_failure *failure)
{
    struct hosts hosts = {0};
    int error = hosts_resolve(task, target->host, target->port, &hosts, failure);
    if (error != 0)
        return error;
    size_t room = target->count + OWN_OPTIONS, count = 0;
    *parameters = (struct postgres_parameters){.hosts = hosts,
                                               .keywords = memory_allocate_zeroed(room * sizeof(char *)),
                                               .values = memory_allocate_zeroed(room * sizeof(char *))};
    if (parameters->keywords == NULL || parameters->values == NULL) {
        postgres_parameters_destroy(parameters);
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < target->count; i++)
        put(parameters, &count, target->keywords[i], target->values[i]);
    put(parameters, &count, "password", target->password);
    put(parameters, &count, "host", hosts.names);
    put(parameters, &count, "hostaddr", hosts.addresses);
    put(parameters, &count, "port", hosts.ports);
    return 0;
}

void postgres_parameters_destroy(struct postgres_parameters *parameters)
{
    memory_free(parameters->keywords);
    memory_free(parameters->values);
    hosts_destroy(&parameters->hosts);
}
