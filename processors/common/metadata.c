#include "metadata.h"
#include <string.h>

static void name(struct json *json, const char *text)
{
    json_name(json, (whippet_bytes){.data = text, .len = strlen(text)});
}

static void text_member(struct json *json, const char *key, whippet_bytes value)
{
    name(json, key);
    json_text(json, value);
}

static void unsigned_member(struct json *json, const char *key, uint64_t value)
{
    name(json, key);
    json_unsigned(json, value);
}

static void timestamp_member(struct json *json, const char *key, uint64_t seconds)
{
    name(json, key);
    if (seconds != 0)
        json_timestamp(json, seconds);
    else
        json_null(json);
}

static void write_properties(struct json *json, const whippet_message *message)
{
    json_open(json, '{');
    name(json, "application_headers");
    json_value(json, whippet_headers(message));
    text_member(json, "content_type", whippet_content_type(message));
    text_member(json, "content_encoding", whippet_content_encoding(message));
    unsigned_member(json, "delivery_mode", whippet_persistent(message) ? 2 : 1);
    unsigned_member(json, "priority", whippet_priority(message));
    text_member(json, "correlation_id", whippet_correlation_id(message));
    text_member(json, "reply_to", whippet_reply_to(message));
    text_member(json, "expiration", whippet_expiration(message));
    text_member(json, "message_id", whippet_message_id(message));
    timestamp_member(json, "timestamp", whippet_timestamp(message));
    text_member(json, "type", whippet_type(message));
    text_member(json, "user_id", whippet_user_id(message));
    text_member(json, "app_id", whippet_app_id(message));
    json_close(json, '}');
}

static void write_delivery_info(struct json *json, const whippet_message *message)
{
    json_open(json, '{');
    name(json, "redelivered");
    json_boolean(json, whippet_redelivered(message));
    text_member(json, "exchange", whippet_exchange(message));
    text_member(json, "routing_key", whippet_routing_key(message));
    text_member(json, "queue", whippet_queue(message));
    unsigned_member(json, "delivery_count", whippet_delivery_count(message));
    unsigned_member(json, "attempt", whippet_attempt(message));
    unsigned_member(json, "attempts", whippet_attempts(message));
    json_close(json, '}');
}

/* The names are those of rabbitmq-cli-consumer, so that its scripts go on working, and some more. */
void metadata_write(struct json *json, const whippet_message *message)
{
    name(json, "properties");
    write_properties(json, message);
    name(json, "delivery_info");
    write_delivery_info(json, message);
}
