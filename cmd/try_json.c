/* What came of an attempt, for programs: one line of JSON. */
#include "try.h"
#include <base/memory.h>
#include <base/utf8.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

/* False when memory is short, as all that add something below. */
static bool add_integer(cJSON *object, const char *name, long long value)
{
    char text[32]; /* cJSON's numbers are doubles */
    snprintf(text, sizeof text, "%lld", value);
    return cJSON_AddRawToObject(object, name, text) != NULL;
}

static bool is_text(whippet_bytes bytes)
{
    const char *at = bytes.data;
    for (size_t left = bytes.len, length; left > 0; at += length, left -= length) {
        length = *at != '\0' ? utf8_sequence(at, left) : 0;
        if (length == 0)
            return false;
    }
    return true;
}

/* Text as a string; what is none as hexadecimal digits, under the name with "_hex" behind it. */
static bool add_bytes(cJSON *object, const char *name, whippet_bytes bytes)
{
    char hex_name[300];
    bool text = is_text(bytes);
    char *copy = text ? memory_copy_span(bytes.data, bytes.len) : memory_allocate(2 * bytes.len + 1);
    if (copy == NULL)
        return false;
    for (size_t i = 0; !text && i < bytes.len; i++)
        snprintf(copy + 2 * i, 3, "%02x", ((const unsigned char *)bytes.data)[i]);
    snprintf(hex_name, sizeof hex_name, "%s_hex", name);
    bool added = cJSON_AddStringToObject(object, text ? name : hex_name, copy) != NULL;
    memory_free(copy);
    return added;
}

static bool add_property(cJSON *object, const char *name, whippet_bytes bytes)
{
    return bytes.data == NULL || add_bytes(object, name, bytes);
}

static bool add_value(cJSON *object, const char *name, const whippet_value *value)
{
    switch (value->kind) {
    case WHIPPET_VALUE_BOOLEAN: return cJSON_AddBoolToObject(object, name, value->boolean) != NULL;
    case WHIPPET_VALUE_INTEGER: return add_integer(object, name, value->integer);
    case WHIPPET_VALUE_REAL: return cJSON_AddNumberToObject(object, name, value->real) != NULL;
    case WHIPPET_VALUE_TIMESTAMP: return add_integer(object, name, (long long)value->timestamp);
    case WHIPPET_VALUE_TEXT:
    case WHIPPET_VALUE_BINARY: return add_bytes(object, name, value->bytes);
    case WHIPPET_VALUE_ARRAY:
    case WHIPPET_VALUE_TABLE: return add_bytes(object, name, value->entries); /* encoded */
    default: return cJSON_AddNullToObject(object, name) != NULL;
    }
}

static bool add_headers(cJSON *publication, const whippet_message *message)
{
    cJSON *object = cJSON_AddObjectToObject(publication, "headers");
    whippet_value headers = whippet_headers(message), value;
    whippet_bytes name;
    bool added = object != NULL;
    while (added && whippet_value_next(&headers, &name, &value)) {
        char *text = memory_copy_span(name.data, name.len);
        added = text != NULL && add_value(object, text, &value);
        memory_free(text);
    }
    return added;
}

static bool add_publication(cJSON *array, struct message *content)
{
    const struct whippet_message message = {.content = content, .queue = ""};
    cJSON *object = cJSON_CreateObject();
    if (object == NULL || !cJSON_AddItemToArray(array, object))
        return false;
    return add_bytes(object, "exchange", whippet_exchange(&message)) &&
           add_bytes(object, "routing_key", whippet_routing_key(&message)) &&
           add_bytes(object, "body", whippet_body(&message)) &&
           add_property(object, "content_type", whippet_content_type(&message)) &&
           add_property(object, "content_encoding", whippet_content_encoding(&message)) &&
           add_property(object, "message_id", whippet_message_id(&message)) &&
           add_property(object, "correlation_id", whippet_correlation_id(&message)) &&
           add_property(object, "reply_to", whippet_reply_to(&message)) &&
           add_property(object, "type", whippet_type(&message)) &&
           add_property(object, "app_id", whippet_app_id(&message)) &&
           add_property(object, "expiration", whippet_expiration(&message)) &&
           add_integer(object, "timestamp", (long long)whippet_timestamp(&message)) &&
           add_integer(object, "priority", whippet_priority(&message)) &&
           cJSON_AddBoolToObject(object, "persistent", whippet_persistent(&message)) != NULL &&
           add_headers(object, &message);
}

static bool add_publications(cJSON *object, const struct try_outcome *outcome)
{
    cJSON *array = cJSON_AddArrayToObject(object, "published");
    bool added = array != NULL;
    for (size_t i = 0; added && i < outcome->publication_count; i++)
        added = add_publication(array, outcome->publications[i]);
    return added;
}

static bool add_verdict(cJSON *object, const struct try_outcome *outcome)
{
    const char *verdict = try_verdict_name(outcome->verdict), *reason = try_reason(outcome);
    if (verdict == NULL)
        reason = outcome->reason[0] != '\0' ? outcome->reason : "it returned no verdict that there is";
    bool added = cJSON_AddStringToObject(object, "verdict", verdict != NULL ? verdict : "RETRY") != NULL;
    if (outcome->verdict == WHIPPET_ACK)
        return added && cJSON_AddNullToObject(object, "reason") != NULL;
    return added && add_bytes(object, "reason", (whippet_bytes){reason, strlen(reason)});
}

static bool print(cJSON *object, bool complete)
{
    char *text = complete ? cJSON_PrintUnformatted(object) : NULL;
    cJSON_Delete(object);
    if (text == NULL)
        return false;
    puts(text);
    cJSON_free(text);
    return true;
}

static bool add_retry_after(cJSON *object, const struct try_outcome *outcome)
{
    return (outcome->retry_after > 0 ? cJSON_AddNumberToObject(object, "retry_after", outcome->retry_after)
                                     : cJSON_AddNullToObject(object, "retry_after")) != NULL;
}

static bool add_stack(cJSON *object, const struct try_outcome *outcome)
{
    if (outcome->stack_size == 0)
        return cJSON_AddNullToObject(object, "stack_used") != NULL &&
               cJSON_AddNullToObject(object, "stack_size") != NULL;
    return add_integer(object, "stack_used", (long long)outcome->stack_used) &&
           add_integer(object, "stack_size", (long long)outcome->stack_size);
}

bool try_print_json(const struct try_request *request, const struct try_outcome *outcome)
{
    (void)request;
    cJSON *object = cJSON_CreateObject();
    bool is_one = outcome->messages == 1;
    bool complete =
        object != NULL && (is_one || add_integer(object, "message", (long long)outcome->message)) &&
        add_integer(object, "attempt", outcome->attempt) && add_integer(object, "attempts", TRY_ATTEMPTS) &&
        add_verdict(object, outcome) &&
        cJSON_AddBoolToObject(object, "timed_out", outcome->struck == WHIPPET_E_TIMEOUT) != NULL &&
        cJSON_AddNumberToObject(object, "seconds", outcome->seconds) != NULL &&
        add_retry_after(object, outcome) && add_stack(object, outcome) &&
        (!is_one || add_publications(object, outcome));
    return print(object, complete);
}

bool try_print_publication_json(struct message *publication)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *array = object != NULL ? cJSON_AddArrayToObject(object, "published") : NULL;
    return print(object, array != NULL && add_publication(array, publication));
}
