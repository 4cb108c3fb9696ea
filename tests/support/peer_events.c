/* The peer's ears: events become lines of text. */
#include "peer_events.h"
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const reply_names[] = {
    [CHANNEL_OPENED] = "opened",
    [CHANNEL_CLOSED] = "closed",
    [CHANNEL_EXCHANGE_DECLARED] = "exchange-declared",
    [CHANNEL_QUEUE_DECLARED] = "queue-declared",
    [CHANNEL_QUEUE_BOUND] = "queue-bound",
    [CHANNEL_QUEUE_UNBOUND] = "queue-unbound",
    [CHANNEL_QOS_SET] = "qos-set",
    [CHANNEL_CONSUMING] = "consuming",
    [CHANNEL_CONSUMER_CANCELLED] = "consumer-cancelled",
    [CHANNEL_CONFIRMING] = "confirming",
};

static const char *const end_names[] = {
    [SESSION_END_ASKED] = "asked",   [SESSION_END_BROKER] = "broker", [SESSION_END_VIOLATION] = "violation",
    [SESSION_END_SILENT] = "silent", [SESSION_END_LOCAL] = "local",
};

static const char *const state_names[] = {
    [SESSION_IDLE] = "idle",       [SESSION_STARTING] = "starting", [SESSION_TUNING] = "tuning",
    [SESSION_OPENING] = "opening", [SESSION_OPEN] = "open",         [SESSION_CLOSING] = "closing",
    [SESSION_CLOSED] = "closed",
};

static const char *const check_names[] = {
    [PROPERTIES_SOUND] = "sound",
    [PROPERTIES_HEADERS_TOO_DEEP] = "too-deep",
    [PROPERTIES_HEADERS_MALFORMED] = "headers-malformed",
    [PROPERTIES_HEADERS_LEFT_OUT] = "left-out",
    [PROPERTIES_MALFORMED] = "malformed",
};

/* Whoever is called after the closed event, or with nonsense, fails the test. */
static void event(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void event(struct peer *peer, const char *format, ...)
{
    char line[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    cr_assert_null(strstr(line, PEER_PASSWORD), "the password is in an event: %s", line);
    cr_assert(peer->closed_events == 0 || strncmp(line, "closed", 6) == 0, "after the closed event: %s",
              line);
    if (peer->log.length > 0)
        peer->log.length--; /* the NUL */
    wire_raw(&peer->log, line, strlen(line));
    wire_raw(&peer->log, "\n", 2);
    if (peer->react != NULL)
        peer->react(peer, line);
}

static int text_length(whippet_bytes text)
{
    cr_assert(text.len == 0 || text.data != NULL);
    return text.len < 1024 ? (int)text.len : 1024;
}

static const char *text_of(whippet_bytes text)
{
    return text.data != NULL ? text.data : "";
}

static void on_opened(void *owner)
{
    event(owner, "opened");
}

static void on_closed(void *owner, const struct session_closing *closing)
{
    struct peer *peer = owner;
    peer->closed_events++;
    cr_assert_eq(peer->closed_events, 1, "closed %u times; so far:\n%s", peer->closed_events, peer_log(peer));
    for (size_t channel = 0; channel < PEER_CHANNELS; channel++)
        cr_assert_null(peer->oversized[channel].message, "an oversized delivery on %zu was never ended",
                       channel);
    peer->closing = *closing;
    char *text = malloc(closing->text.len + 1);
    cr_assert_not_null(text);
    memcpy(text, text_of(closing->text), closing->text.len);
    text[closing->text.len] = '\0';
    peer->closing.text.data = text;
    event(peer, "closed end=%s code=%d during=%s text=%s", end_names[closing->end], closing->code,
          state_names[closing->during], text);
}

static void on_blocked(void *owner, whippet_bytes reason)
{
    event(owner, "blocked %.*s", text_length(reason), text_of(reason));
}

static void on_unblocked(void *owner)
{
    event(owner, "unblocked");
}

static void on_replied(void *owner, uint16_t channel, const struct channel_reply *reply)
{
    if (reply->kind == CHANNEL_QUEUE_DECLARED)
        event(owner, "replied %u %s queue=%.*s messages=%u consumers=%u", channel, reply_names[reply->kind],
              text_length(reply->queue), text_of(reply->queue), reply->message_count, reply->consumer_count);
    else
        event(owner, "replied %u %s", channel, reply_names[reply->kind]);
}

static void expect_no_oversized(struct peer *peer, uint16_t channel, const char *what)
{
    cr_assert(channel >= PEER_CHANNELS || peer->oversized[channel].message == NULL,
              "%s on channel %u within an oversized delivery", what, channel);
}

static void on_channel_closed(void *owner, uint16_t channel, const struct channel_reason *reason)
{
    expect_no_oversized(owner, channel, "channel closed");
    event(owner, "channel-closed %u code=%d text=%.*s", channel, reason->code, text_length(reason->text),
          text_of(reason->text));
}

static void on_consumer_cancelled(void *owner, uint16_t channel)
{
    event(owner, "consumer-cancelled %u", channel);
}

static void describe_message(const struct message *message, char *line, size_t size)
{
    /* Reading every byte lets the sanitizer judge the spans. */
    snprintf(
        line, size,
        "tag=%llu redelivered=%d headers=%s exchange=%.*s key=%.*s properties=%zu/%016llx body=%zu/%016llx",
        (unsigned long long)message->delivery_tag, message->redelivered, check_names[message->headers],
        text_length(message->exchange), text_of(message->exchange), text_length(message->routing_key),
        text_of(message->routing_key), message->properties.len,
        (unsigned long long)peer_hash(message->properties.data, message->properties.len), message->body.len,
        (unsigned long long)peer_hash(message->body.data, message->body.len));
}

static void on_delivered(void *owner, uint16_t channel, struct message *message)
{
    struct peer *peer = owner;
    char line[1024];
    expect_no_oversized(peer, channel, "delivered");
    describe_message(message, line, sizeof line);
    message_destroy(peer->delivered);
    peer->delivered = message;
    event(peer, "delivered %u %s", channel, line);
}

static void on_oversized_begin(void *owner, uint16_t channel, const struct oversized *oversized)
{
    struct peer *peer = owner;
    char line[1024];
    cr_assert_lt(channel, PEER_CHANNELS);
    expect_no_oversized(peer, channel, "oversized begin");
    cr_assert_eq(oversized->message->body.len, 0, "an oversized message holds %zu bytes",
                 oversized->message->body.len);
    peer->oversized[channel].message = oversized->message;
    describe_message(oversized->message, line, sizeof line);
    event(peer, "oversized-begin %u size=%llu %s", channel, (unsigned long long)oversized->body_size, line);
}

/* No line: how a body is cut into parts is nobody's business. */
static void on_oversized_part(void *owner, uint16_t channel, const struct oversized *oversized,
                              whippet_bytes part)
{
    struct peer *peer = owner;
    cr_assert_lt(channel, PEER_CHANNELS);
    struct peer_oversized *state = &peer->oversized[channel];
    cr_assert_eq(state->message, oversized->message, "a part of another delivery than the one that began");
    cr_assert_eq(peer->closed_events, 0, "a part after the closed event");
    wire_raw(&state->body, part.data, part.len);
    if (part.len > state->largest_part)
        state->largest_part = part.len;
    if (peer->react != NULL)
        peer->react(peer, "oversized-part");
}

static void on_oversized_end(void *owner, uint16_t channel, const struct oversized *oversized, bool complete)
{
    struct peer *peer = owner;
    cr_assert_lt(channel, PEER_CHANNELS);
    struct peer_oversized *state = &peer->oversized[channel];
    cr_assert_eq(state->message, oversized->message, "the end of another delivery than the one that began");
    if (complete) /* else the last part may have come, and its handler closed the channel */
        cr_assert_eq(state->body.length, oversized->body_size, "complete with %zu of %llu bytes",
                     state->body.length, (unsigned long long)oversized->body_size);
    wire_destroy(&peer->oversized_body);
    peer->oversized_body = state->body;
    peer->oversized_largest_part = state->largest_part;
    *state = (struct peer_oversized){0};
    event(peer, "oversized-end %u tag=%llu complete=%d body=%zu/%016llx", channel,
          (unsigned long long)oversized->message->delivery_tag, complete, peer->oversized_body.length,
          (unsigned long long)peer_hash(peer->oversized_body.data, peer->oversized_body.length));
}

static void on_returned(void *owner, uint16_t channel, const struct channel_reason *reason,
                        const struct message *message)
{
    char line[1024];
    describe_message(message, line, sizeof line);
    event(owner, "returned %u code=%d text=%.*s %s", channel, reason->code, text_length(reason->text),
          text_of(reason->text), line);
}

static void on_confirmed(void *owner, uint16_t channel, uint64_t delivery_tag, bool multiple, bool nacked)
{
    event(owner, "confirmed %u tag=%llu multiple=%d nacked=%d", channel, (unsigned long long)delivery_tag,
          multiple, nacked);
}

const struct session_events peer_event_handlers = {
    .opened = on_opened,
    .closed = on_closed,
    .blocked = on_blocked,
    .unblocked = on_unblocked,
    .replied = on_replied,
    .channel_closed = on_channel_closed,
    .consumer_cancelled = on_consumer_cancelled,
    .delivered = on_delivered,
    .oversized_begin = on_oversized_begin,
    .oversized_part = on_oversized_part,
    .oversized_end = on_oversized_end,
    .returned = on_returned,
    .confirmed = on_confirmed,
};

const char *peer_log(const struct peer *peer)
{
    return peer->log.length > 0 ? (const char *)peer->log.data : "";
}

void peer_expect_event(struct peer *peer, const char *format, ...)
{
    char start[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(start, sizeof start, format, arguments);
    va_end(arguments);
    const char *line = peer_log(peer) + peer->log_read;
    const char *end = strchr(line, '\n');
    cr_assert_not_null(end, "expected the event \"%s\", but no more came; so far:\n%s", start,
                       peer_log(peer));
    cr_assert(strncmp(line, start, strlen(start)) == 0,
              "expected the event \"%s\", found \"%.*s\"; so far:\n%s", start, (int)(end - line), line,
              peer_log(peer));
    peer->log_read += (size_t)(end - line) + 1;
}

void peer_expect_no_event(struct peer *peer)
{
    const char *rest = peer_log(peer) + peer->log_read;
    cr_assert_str_empty(rest, "expected no event, found:\n%s", rest);
}

size_t peer_count_events(const struct peer *peer, const char *start)
{
    size_t count = 0;
    for (const char *line = peer_log(peer); *line != '\0'; line = strchr(line, '\n') + 1)
        count += strncmp(line, start, strlen(start)) == 0;
    return count;
}

void peer_forget_log(struct peer *peer)
{
    wire_clear(&peer->log);
    peer->log_read = 0;
}
