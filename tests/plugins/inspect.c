/* Writes everything it can see of a message to a file, one property or header a line. */
#include <whippet/processor.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const whippet_option options[] = {
    {"path", WHIPPET_OPTION_STRING, NULL, true, "the file to write"},
    {0},
};

static int setup(const whippet_settings *settings, void **state, whippet_failure *failure)
{
    FILE *file = fopen(whippet_setting_string(settings, "path"), "ae");

    if (!file) {
        whippet_fail(failure, "cannot write %s", whippet_setting_string(settings, "path"));
        return -1;
    }
    *state = file;
    return 0;
}

static void teardown(void *state)
{
    fclose(state);
}

static void print_bytes(FILE *file, const char *name, whippet_bytes bytes)
{
    if (bytes.data) {
        fprintf(file, "%s=%.*s\n", name, (int)bytes.len, (const char *)bytes.data);
    } else {
        fprintf(file, "%s absent\n", name);
    }
}

/* Each value as its AMQP type letter, a colon and the value; tables and arrays within brackets. */
static void print_value(FILE *file, whippet_value value)
{
    whippet_value entry;
    whippet_bytes name;

    fprintf(file, "%c:", value.type);
    switch (value.kind) {
    case WHIPPET_VALUE_ABSENT: fputs("absent", file); break;
    case WHIPPET_VALUE_NULL: fputs("null", file); break;
    case WHIPPET_VALUE_BOOLEAN: fputs(value.boolean ? "true" : "false", file); break;
    case WHIPPET_VALUE_INTEGER: fprintf(file, "%" PRId64, value.integer); break;
    case WHIPPET_VALUE_REAL: fprintf(file, "%.6f", value.real); break;
    case WHIPPET_VALUE_DECIMAL: fprintf(file, "%u/10^%u", value.decimal.unscaled, value.decimal.scale); break;
    case WHIPPET_VALUE_TEXT:
    case WHIPPET_VALUE_BINARY:
        fprintf(file, "%.*s", (int)value.bytes.len, (const char *)value.bytes.data);
        break;
    case WHIPPET_VALUE_TIMESTAMP: fprintf(file, "%" PRIu64, value.timestamp); break;
    case WHIPPET_VALUE_ARRAY:
    case WHIPPET_VALUE_TABLE:
        fputc('[', file);
        while (whippet_value_next(&value, &name, &entry)) {
            fprintf(file, " %.*s=", (int)name.len, name.len ? (const char *)name.data : "");
            print_value(file, entry);
        }
        fputs(" ]", file);
        break;
    }
}

static void print_properties(FILE *file, const whippet_message *message)
{
    print_bytes(file, "exchange", whippet_exchange(message));
    print_bytes(file, "routing_key", whippet_routing_key(message));
    print_bytes(file, "queue", whippet_queue(message));
    print_bytes(file, "content_type", whippet_content_type(message));
    print_bytes(file, "content_encoding", whippet_content_encoding(message));
    print_bytes(file, "message_id", whippet_message_id(message));
    print_bytes(file, "correlation_id", whippet_correlation_id(message));
    print_bytes(file, "reply_to", whippet_reply_to(message));
    print_bytes(file, "type", whippet_type(message));
    print_bytes(file, "user_id", whippet_user_id(message));
    print_bytes(file, "app_id", whippet_app_id(message));
    print_bytes(file, "expiration", whippet_expiration(message));
    fprintf(file, "timestamp=%" PRIu64 "\n", whippet_timestamp(message));
    fprintf(file, "priority=%u\n", whippet_priority(message));
    fprintf(file, "persistent=%d\n", whippet_persistent(message));
    fprintf(file, "redelivered=%d\n", whippet_redelivered(message));
    fprintf(file, "attempt=%u of %u\n", whippet_attempt(message), whippet_attempts(message));
}

/* FNV-1a, so that a body of many MiB is one short line. */
static uint64_t digest(whippet_bytes bytes)
{
    const unsigned char *data = bytes.data;
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < bytes.len; i++) {
        hash = (hash ^ data[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    FILE *file = state;
    whippet_value headers = whippet_headers(message), value;
    whippet_bytes name;

    print_properties(file, message);
    fprintf(file, "body=%zu bytes, digest %016" PRIx64 "\n", whippet_body(message).len,
            digest(whippet_body(message)));
    while (whippet_value_next(&headers, &name, &value)) {
        fprintf(file, "header %.*s=", (int)name.len, (const char *)name.data);
        print_value(file, value);
        fputc('\n', file);
    }
    value = whippet_header(message, "no such header");
    fprintf(file, "no such header: kind %d\n.\n", (int)value.kind);
    fflush(file);
    (void)task;
    return WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.name = "inspect", .version = "1.0", .summary = "writes down what a message carries",
                  .options = options, .setup = setup, .process = process, .teardown = teardown);
