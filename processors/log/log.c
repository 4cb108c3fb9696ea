/* Prints each message to the log, and acknowledges it. */
#include "json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <whippet/processor.h>

static const whippet_option options[] = {
    {
        .name = "level",
        .type = WHIPPET_OPTION_STRING,
        .default_value = "info",
        .help = "the level it is logged at: \"debug\", \"info\", \"warning\" or \"error\"",
    },
    {
        .name = "body_limit",
        .type = WHIPPET_OPTION_SIZE,
        .default_value = "1KiB",
        .help = "how much of the body is printed, at most 4KiB",
    },
    {
        .name = "headers",
        .type = WHIPPET_OPTION_BOOLEAN,
        .default_value = "true",
        .help = "whether the headers are printed",
    },
    {.name = NULL},
};

enum {
    MOST_BODY = 4096,    /* bytes; a line of the log takes 8 KiB in all */
    MOST_HEADERS = 3072, /* bytes */
};

/* Of one queue. */
struct settings {
    enum whippet_log_level level;
    size_t body_limit;
    bool headers;
};

static bool read_level(enum whippet_log_level *level, const char *text, whippet_failure *failure)
{
    static const char *const levels[] = {[WHIPPET_DEBUG] = "debug",
                                         [WHIPPET_INFO] = "info",
                                         [WHIPPET_WARNING] = "warning",
                                         [WHIPPET_ERROR] = "error"};
    for (int i = WHIPPET_DEBUG; i <= WHIPPET_ERROR; i++) {
        if (strcmp(text, levels[i]) == 0) {
            *level = (enum whippet_log_level)i;
            return true;
        }
    }
    whippet_fail(failure, "level: expected \"debug\", \"info\", \"warning\" or \"error\", found \"%s\"",
                 text);
    return false;
}

static int setup(const whippet_settings *given, void **state, whippet_failure *failure)
{
    uint64_t body_limit = whippet_setting_size(given, "body_limit");
    struct settings settings = {.body_limit = body_limit,
                                .headers = whippet_setting_boolean(given, "headers")};
    if (!read_level(&settings.level, whippet_setting_string(given, "level"), failure))
        return -1;
    if (body_limit > MOST_BODY) {
        whippet_fail(failure, "body_limit: expected at most 4KiB, as a line of the log holds no more");
        return -1;
    }
    struct settings *copy = malloc(sizeof *copy);
    if (copy == NULL) {
        whippet_fail(failure, "out of memory");
        return -1;
    }
    *copy = settings;
    *state = copy;
    return 0;
}

/* --- The line -------------------------------------------------------------------------------------------*/

/* A text that grows in memory of a fixed size; what does not fit is left out. */
struct line {
    char *text;
    size_t length;
    size_t size;
};

/* NULs become "\0", since the log takes a C string. It sees to all other bytes that are not for people's
 * eyes. */
static void add_bytes(struct line *line, whippet_bytes bytes)
{
    const char *data = bytes.data;
    for (size_t i = 0; i < bytes.len && line->length + 3 <= line->size; i++) {
        if (data[i] != '\0') {
            line->text[line->length++] = data[i];
        } else {
            line->text[line->length++] = '\\';
            line->text[line->length++] = '0';
        }
    }
    line->text[line->length] = '\0';
}

static void add_text(struct line *line, const char *text)
{
    add_bytes(line, (whippet_bytes){.data = text, .len = strlen(text)});
}

/* " name=value", nothing for an absent or empty value. */
static void add_property(struct line *line, const char *name, whippet_bytes value)
{
    if (value.len == 0)
        return;
    add_text(line, " ");
    add_text(line, name);
    add_text(line, "=");
    add_bytes(line, value);
}

static bool continues_character(whippet_bytes bytes, size_t place)
{
    return (((const unsigned char *)bytes.data)[place] & 0xc0) == 0x80;
}

/* At most `limit` bytes, with a mark where it was cut. */
static void add_cut(struct line *line, whippet_bytes bytes, size_t limit)
{
    bool cut = bytes.len > limit;
    if (cut) {
        bytes.len = limit;
        /* Not within a character: none is longer than four bytes. */
        for (int i = 0; i < 3 && bytes.len > 0 && continues_character(bytes, bytes.len); i++)
            bytes.len--;
    }
    add_bytes(line, bytes);
    if (cut)
        add_text(line, "…");
}

static void add_properties(struct line *line, const whippet_message *message)
{
    add_property(line, "exchange", whippet_exchange(message));
    add_property(line, "routing_key", whippet_routing_key(message));
    add_property(line, "content_type", whippet_content_type(message));
    add_property(line, "content_encoding", whippet_content_encoding(message));
    add_property(line, "correlation_id", whippet_correlation_id(message));
    add_property(line, "reply_to", whippet_reply_to(message));
    add_property(line, "type", whippet_type(message));
    add_property(line, "app_id", whippet_app_id(message));
    add_property(line, "user_id", whippet_user_id(message));
    add_property(line, "expiration", whippet_expiration(message));
    if (whippet_redelivered(message))
        add_text(line, " redelivered");
}

static void write_headers(struct json *json, const void *subject)
{
    json_value(json, whippet_headers(subject));
}

static bool has_headers(const whippet_message *message)
{
    whippet_value cursor = whippet_headers(message);
    whippet_value value;
    return whippet_value_next(&cursor, NULL, &value);
}

static void add_headers(struct line *line, whippet_task *task, const whippet_message *message)
{
    whippet_bytes headers =
        has_headers(message) ? json_make(task, write_headers, message) : (whippet_bytes){0};
    if (headers.data == NULL)
        return;
    add_text(line, " headers=");
    add_cut(line, headers, MOST_HEADERS);
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    enum {
        LINE_SIZE = 8192
    };
    const struct settings *settings = state;
    whippet_bytes body = whippet_body(message);
    struct line line = {.text = whippet_alloc(task, LINE_SIZE), .size = LINE_SIZE};
    char size[40];
    if (line.text == NULL)
        return whippet_retry_later(task, "out of memory");
    snprintf(size, sizeof size, "%zu bytes", body.len);
    add_text(&line, size);
    add_properties(&line, message);
    if (settings->headers)
        add_headers(&line, task, message);
    add_text(&line, " body=");
    add_cut(&line, body, settings->body_limit);
    whippet_log(task, settings->level, "%s", line.text);
    return WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.name = "log", .version = "1.0", .summary = "prints each message to the log",
                  .options = options, .setup = setup, .process = process, .teardown = free);
