/* whippet dead show: dead letters with headers, properties and body, left where they are. */
#include "dead.h"
#include "exit_codes.h"
#include "safe_print.h"
#include <base/bytes.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    SHOWN = 10,         /* letters, unless told otherwise */
    BODY_BYTES = 1024,  /* of a body */
    VALUE_BYTES = 1024, /* of a header */
};

/* --- Typed values, for people and as JSON ---------------------------------------------------------------*/

static void print_value(const whippet_value *value);

static void print_items(whippet_bytes entries, bool is_table)
{
    whippet_bytes name;
    whippet_value item;
    const char *between = "";
    putchar(is_table ? '{' : '[');
    while (is_table ? table_next(&entries, &name, &item, NULL) : array_next(&entries, &item)) {
        fputs(between, stdout);
        if (is_table) {
            safe_print(stdout, name, VALUE_BYTES);
            fputs(": ", stdout);
        }
        print_value(&item);
        between = ", ";
    }
    putchar(is_table ? '}' : ']');
}

static void print_time(uint64_t seconds)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format((double)seconds, text);
    fputs(text, stdout);
}

static void print_value(const whippet_value *value)
{
    switch (value->kind) {
    case WHIPPET_VALUE_BOOLEAN: fputs(value->boolean ? "true" : "false", stdout); break;
    case WHIPPET_VALUE_INTEGER: printf("%" PRId64, value->integer); break;
    case WHIPPET_VALUE_REAL: printf("%.17g", value->real); break;
    case WHIPPET_VALUE_DECIMAL: printf("%ue-%u", value->decimal.unscaled, value->decimal.scale); break;
    case WHIPPET_VALUE_TIMESTAMP: print_time(value->timestamp); break;
    case WHIPPET_VALUE_TEXT:
    case WHIPPET_VALUE_BINARY: safe_print(stdout, value->bytes, VALUE_BYTES); break;
    case WHIPPET_VALUE_ARRAY:
    case WHIPPET_VALUE_TABLE: print_items(value->entries, value->kind == WHIPPET_VALUE_TABLE); break;
    default: fputs("null", stdout);
    }
}

static void print_value_json(const whippet_value *value);

static void print_items_json(whippet_bytes entries, bool is_table)
{
    whippet_bytes name;
    whippet_value item;
    const char *between = "";
    putchar(is_table ? '{' : '[');
    while (is_table ? table_next(&entries, &name, &item, NULL) : array_next(&entries, &item)) {
        fputs(between, stdout);
        if (is_table) {
            safe_print_json(stdout, name);
            putchar(':');
        }
        print_value_json(&item);
        between = ",";
    }
    putchar(is_table ? '}' : ']');
}

static void print_value_json(const whippet_value *value)
{
    switch (value->kind) {
    case WHIPPET_VALUE_ARRAY:
    case WHIPPET_VALUE_TABLE: print_items_json(value->entries, value->kind == WHIPPET_VALUE_TABLE); break;
    case WHIPPET_VALUE_TEXT: safe_print_json(stdout, value->bytes); break;
    case WHIPPET_VALUE_BINARY: safe_print_base64(stdout, value->bytes); break;
    case WHIPPET_VALUE_REAL:
        /* JSON has neither infinities nor NaN. */
        if (value->real - value->real != 0) {
            fputs("null", stdout);
            break;
        }
        print_value(value);
        break;
    case WHIPPET_VALUE_TIMESTAMP:
        putchar('"');
        print_value(value);
        putchar('"');
        break;
    default: print_value(value);
    }
}

/* --- The parts of a letter ------------------------------------------------------------------------------*/

struct property_name {
    enum property property;
    const char *name;
};

static const struct property_name PROPERTIES[] = {
    {PROPERTY_MESSAGE_ID, "message_id"},
    {PROPERTY_CORRELATION_ID, "correlation_id"},
    {PROPERTY_TYPE, "type"},
    {PROPERTY_APP_ID, "app_id"},
    {PROPERTY_USER_ID, "user_id"},
    {PROPERTY_REPLY_TO, "reply_to"},
    {PROPERTY_EXPIRATION, "expiration"},
    {PROPERTY_CONTENT_TYPE, "content_type"},
    {PROPERTY_CONTENT_ENCODING, "content_encoding"},
    {PROPERTY_DELIVERY_MODE, "delivery_mode"},
    {PROPERTY_PRIORITY, "priority"},
    {PROPERTY_TIMESTAMP, "timestamp"},
};

enum {
    PROPERTY_NAMES = sizeof PROPERTIES / sizeof PROPERTIES[0]
};

/* A property as a typed value; kind ABSENT when the letter has none of it. */
static whippet_value property_value(const struct dead_letter *letter, enum property property)
{
    whippet_bytes content = properties_get(letter->message->properties, property);
    if (content.data == NULL)
        return (whippet_value){0};
    switch (property) {
    case PROPERTY_DELIVERY_MODE:
    case PROPERTY_PRIORITY:
        return (whippet_value){.kind = WHIPPET_VALUE_INTEGER, .integer = *(const uint8_t *)content.data};
    case PROPERTY_TIMESTAMP:
        return (whippet_value){.kind = WHIPPET_VALUE_TIMESTAMP, .timestamp = read_u64(content.data)};
    default: return (whippet_value){.kind = WHIPPET_VALUE_TEXT, .bytes = content};
    }
}

static whippet_bytes readable_headers(const struct dead_letter *letter)
{
    if (letter->message->headers != PROPERTIES_SOUND)
        return (whippet_bytes){0};
    return properties_get(letter->message->properties, PROPERTY_HEADERS);
}

static void print_line(const char *name, whippet_bytes text)
{
    if (text.data == NULL)
        return;
    printf("  %-16s ", name);
    safe_print(stdout, text, VALUE_BYTES);
    putchar('\n');
}

static void print_origin(const struct dead_origin *origin)
{
    print_line("failed in", origin->queue);
    if (origin->exchange.len > 0)
        print_line("exchange", origin->exchange);
    print_line("routing key", origin->routing_key);
    print_line("reason", origin->reason);
    print_line("error", origin->error);
    if (origin->failed_at[0] != '\0')
        print_line("failed at", bytes_of_text(origin->failed_at));
    if (origin->attempts > 0)
        printf("  %-16s %" PRId64 "\n", "attempts", origin->attempts);
    print_line("told by", bytes_of_text(dead_writer_name(origin->writer)));
}

static void print_letter(uint64_t number, const struct dead_request *request,
                         const struct dead_letter *letter)
{
    whippet_bytes headers = readable_headers(letter), name;
    whippet_value value;
    printf("%smessage %" PRIu64 "\n", number > 1 ? "\n" : "", number);
    print_origin(&letter->origin);
    for (size_t i = 0; i < PROPERTY_NAMES; i++) {
        value = property_value(letter, PROPERTIES[i].property);
        if (value.kind == WHIPPET_VALUE_ABSENT)
            continue;
        printf("  %-16s ", PROPERTIES[i].name);
        print_value(&value);
        putchar('\n');
    }
    if (letter->message->headers != PROPERTIES_SOUND)
        puts("  headers can't be read: they are malformed, nested too deep, or too large");
    else if (headers.len > 0)
        puts("  headers");
    while (table_next(&headers, &name, &value, NULL)) {
        fputs("    ", stdout);
        safe_print(stdout, name, VALUE_BYTES);
        fputs(": ", stdout);
        print_value(&value);
        putchar('\n');
    }
    printf("  body, %" PRIu64 " bytes%s\n", letter->body_size,
           dead_letter_is_whole(letter) ? "" : "; too long to be shown");
    safe_print_body(stdout, letter->message->body, (size_t)request->bytes);
}

static void print_member(const char *name, whippet_bytes text)
{
    if (text.data == NULL)
        return;
    printf("\"%s\":", name);
    safe_print_json(stdout, text);
    putchar(',');
}

static void print_body_json(const struct dead_letter *letter)
{
    whippet_bytes body = letter->message->body;
    printf("\"body_size\":%" PRIu64, letter->body_size);
    if (!dead_letter_is_whole(letter))
        return;
    bool text = safe_is_text(body);
    printf(text ? ",\"body\":" : ",\"body_base64\":");
    if (text)
        safe_print_json(stdout, body);
    else
        safe_print_base64(stdout, body);
}

static void print_letter_json(const struct dead_letter *letter)
{
    const struct dead_origin *origin = &letter->origin;
    const char *between = "";
    putchar('{');
    print_member("queue", origin->queue);
    print_member("exchange", origin->exchange);
    print_member("routing_key", origin->routing_key);
    print_member("reason", origin->reason);
    print_member("error", origin->error);
    if (origin->failed_at[0] != '\0')
        print_member("failed_at", bytes_of_text(origin->failed_at));
    if (origin->attempts > 0)
        printf("\"attempts\":%" PRId64 ",", origin->attempts);
    print_member("told_by", bytes_of_text(dead_writer_name(origin->writer)));
    fputs("\"properties\":{", stdout);
    for (size_t i = 0; i < PROPERTY_NAMES; i++) {
        whippet_value value = property_value(letter, PROPERTIES[i].property);
        if (value.kind == WHIPPET_VALUE_ABSENT)
            continue;
        printf("%s\"%s\":", between, PROPERTIES[i].name);
        print_value_json(&value);
        between = ",";
    }
    fputs("},\"headers\":", stdout);
    print_items_json(readable_headers(letter), true);
    putchar(',');
    print_body_json(letter);
    puts("}");
}

/* --- The command ----------------------------------------------------------------------------------------*/

static enum dead_fate show_letter(whippet_task *task, struct dead_pass *pass,
                                  const struct dead_letter *letter)
{
    const struct dead_request *request = pass->owner;
    (void)task;
    if (request->json)
        print_letter_json(letter);
    else
        print_letter(pass->matched, request, letter);
    return DEAD_STAYS;
}

static void summarise(const struct dead_request *request, const struct dead_pass *pass)
{
    if (!request->quiet && (pass->matched == 0 || pass->met < pass->ready))
        fprintf(stderr,
                "whippet %s: %" PRIu64 " shown; looked at the first %" PRIu64 " of %" PRIu64
                " messages in \"%s\"\n",
                request->command, pass->matched, pass->met, pass->ready, pass->queue);
    dead_report_moved(request, pass);
}

static int show(whippet_task *task, struct broker_link *link, void *arg)
{
    const struct dead_request *request = arg;
    bool filtered = request->filter.reason != NULL || request->filter.match != NULL;
    uint64_t limit = request->limit > 0 ? request->limit : SHOWN;
    struct dead_pass pass = {
        .link = link,
        .queue = request->queues[0],
        .filter = request->filter,
        .limit = limit,
        .look = filtered || limit > DEAD_LOOK_MAX ? DEAD_LOOK_MAX : limit,
        .hands = 1,
        .handle = show_letter,
        .owner = arg,
    };
    if (dead_pass_run(task, &pass) != 0)
        return dead_report_failure(request, &pass);
    summarise(request, &pass);
    return link->interrupted ? EXIT_FAILED : EXIT_DONE;
}

int dead_show(const struct dead_request *request)
{
    struct dead_request shown = *request;
    if (shown.bytes == 0)
        shown.bytes = BODY_BYTES;
    return broker_link_run(request->command, request->brokers, show, &shown);
}
