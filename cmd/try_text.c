/* What came of an attempt, for people. */
#include "try.h"
#include <config/units.h>
#include <stdio.h>
#include <string.h>

enum {
    MOST_BODY = 2000, /* bytes of a body that are shown */
};

const char *try_verdict_name(whippet_verdict verdict)
{
    switch (verdict) {
    case WHIPPET_ACK: return "ACK";
    case WHIPPET_REJECT: return "REJECT";
    case WHIPPET_RETRY: return "RETRY";
    }
    return NULL;
}

const char *try_reason(const struct try_outcome *outcome)
{
    if (outcome->reason[0] != '\0')
        return outcome->reason;
    if (outcome->interrupted)
        return "interrupted";
    return outcome->struck != 0 ? whippet_error_text(outcome->struck) : "none given";
}

/* Control characters could steer the terminal. */
static void print_safely(whippet_bytes text)
{
    const char *at = text.data;
    for (size_t i = 0; i < text.len; i++)
        putchar((unsigned char)at[i] >= ' ' && at[i] != 0x7f ? at[i] : at[i] == '\n' ? '\n' : '?');
}

static void print_text_safely(const char *text)
{
    print_safely((whippet_bytes){text, strlen(text)});
}

/* --- Publications ---------------------------------------------------------------------------------------*/

static void print_property(const char *name, whippet_bytes value)
{
    if (value.data == NULL)
        return;
    printf("           %s: ", name);
    print_safely(value);
    printf("\n");
}

static void print_value(const whippet_value *value)
{
    switch (value->kind) {
    case WHIPPET_VALUE_BOOLEAN: printf("%s", value->boolean ? "true" : "false"); break;
    case WHIPPET_VALUE_INTEGER: printf("%lld", (long long)value->integer); break;
    case WHIPPET_VALUE_REAL: printf("%g", value->real); break;
    case WHIPPET_VALUE_TEXT: print_safely(value->bytes); break;
    case WHIPPET_VALUE_BINARY: printf("(%zu bytes)", value->bytes.len); break;
    case WHIPPET_VALUE_TIMESTAMP: printf("%llu", (unsigned long long)value->timestamp); break;
    case WHIPPET_VALUE_DECIMAL: printf("%u / 10^%u", value->decimal.unscaled, value->decimal.scale); break;
    case WHIPPET_VALUE_ARRAY: printf("(an array)"); break;
    case WHIPPET_VALUE_TABLE: printf("(a table)"); break;
    default: printf("null"); break;
    }
}

static void print_headers(const whippet_message *message)
{
    whippet_value headers = whippet_headers(message), value;
    whippet_bytes name;
    while (whippet_value_next(&headers, &name, &value)) {
        printf("           header ");
        print_safely(name);
        printf(": ");
        print_value(&value);
        printf("\n");
    }
}

static void print_body(whippet_bytes body)
{
    size_t shown = body.len < MOST_BODY ? body.len : MOST_BODY;
    if (body.len == 0)
        return;
    printf("           body: ");
    print_safely((whippet_bytes){body.data, shown});
    if (shown < body.len)
        printf(" ... and %zu bytes more", body.len - shown);
    printf("\n");
}

static void print_publication(struct message *content)
{
    const struct whippet_message message = {.content = content, .queue = ""};
    printf("published  %zu bytes to the exchange \"", whippet_body(&message).len);
    print_safely(whippet_exchange(&message));
    printf("\" with the routing key \"");
    print_safely(whippet_routing_key(&message));
    printf("\" (not really)\n");
    print_property("content-type", whippet_content_type(&message));
    print_property("content-encoding", whippet_content_encoding(&message));
    print_property("message-id", whippet_message_id(&message));
    print_property("correlation-id", whippet_correlation_id(&message));
    print_property("reply-to", whippet_reply_to(&message));
    print_property("type", whippet_type(&message));
    print_property("app-id", whippet_app_id(&message));
    print_property("expiration", whippet_expiration(&message));
    if (whippet_timestamp(&message) != 0)
        printf("           timestamp: %llu\n", (unsigned long long)whippet_timestamp(&message));
    if (whippet_priority(&message) != 0)
        printf("           priority: %u\n", whippet_priority(&message));
    if (!whippet_persistent(&message))
        printf("           transient\n");
    print_headers(&message);
    print_body(whippet_body(&message));
}

/* --- An attempt -----------------------------------------------------------------------------------------*/

bool try_print_text(const struct try_request *request, const struct try_outcome *outcome)
{
    char text[UNITS_TEXT_SIZE], size[UNITS_TEXT_SIZE];
    const char *verdict = try_verdict_name(outcome->verdict);
    if (outcome->messages > 1)
        printf("message    %zu of %zu\n", outcome->message, outcome->messages);
    if (outcome->attempt > 1)
        printf("attempt    %u of %u\n", outcome->attempt, TRY_ATTEMPTS);
    printf("verdict    %s\n", verdict != NULL ? verdict : "RETRY (it returned no verdict that there is)");
    if (outcome->verdict != WHIPPET_ACK) {
        printf("reason     ");
        print_text_safely(try_reason(outcome));
        printf("\n");
    }
    if (outcome->retry_after > 0) {
        duration_format(outcome->retry_after, text);
        printf("pause      it asked for %s before the next attempt\n", text);
    }
    if (outcome->struck == WHIPPET_E_TIMEOUT) {
        duration_format(request->timeout, text);
        printf("timeout    it took longer than %s\n", text);
    }
    size_format(outcome->stack_used, text);
    size_format(outcome->stack_size, size);
    printf("time       %.3f ms\n", outcome->seconds * 1000);
    if (outcome->stack_size > 0)
        printf("stack      %s of %s\n", text, size);
    for (size_t i = 0; i < outcome->publication_count; i++)
        print_publication(outcome->publications[i]);
    return true;
}

bool try_print_publication_text(struct message *publication)
{
    print_publication(publication);
    return true;
}
