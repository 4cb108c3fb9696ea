#include "listener.h"
#include "fuzz.h"
#include <base/bytes.h>
#include <base/memory.h>
#include <string.h>

/* What the session's owner does, by bits of `reactions`. */
enum {
    REACT_ACK = 1,
    REACT_PUBLISH = 2,
    REACT_CLOSE_CHANNEL = 4,
    REACT_CANCEL = 8,
    REACT_ABORT_ON_PART = 16,
    REACT_CLOSE_SESSION = 32,
    REACT_REOPEN = 64,
};

static void note(struct listener *listener, const char *kind, const void *data, size_t size)
{
    FUZZ_PROMISE(!listener->closed);
    uint64_t hash = listener->events;
    for (const char *at = kind; *at != '\0'; at++)
        hash = (hash ^ (uint8_t)*at) * 1099511628211ull;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const uint8_t *)data)[i]) * 1099511628211ull;
    listener->events = hash;
}

static void note_bytes(struct listener *listener, const char *kind, whippet_bytes bytes)
{
    FUZZ_PROMISE(bytes.len == 0 || bytes.data != NULL);
    note(listener, kind, bytes.data, bytes.len);
}

static void note_number(struct listener *listener, const char *kind, uint64_t number)
{
    note(listener, kind, &number, sizeof number);
}

static bool reacts(const struct listener *listener, int reaction)
{
    return (listener->reactions & reaction) != 0;
}

static void open_channel(struct listener *listener)
{
    uint16_t number = 0;
    int error = session_channel_open(listener->session, &number);
    FUZZ_PROMISE(error != 0 || number > 0);
}

static void on_opened(void *owner)
{
    struct listener *listener = owner;
    note(listener, "opened", NULL, 0);
    FUZZ_PROMISE(session_state(listener->session) == SESSION_OPEN);
    for (int i = 0; i < LISTENER_CHANNELS; i++)
        open_channel(listener);
}

static void on_closed(void *owner, const struct session_closing *closing)
{
    struct listener *listener = owner;
    note_number(listener, "closed", (uint64_t)closing->code);
    /* What a server of another kind said is quoted as far as it had come. */
    if (closing->during != SESSION_STARTING)
        note_bytes(listener, "text", closing->text);
    for (int i = 0; i <= LISTENER_CHANNELS; i++)
        FUZZ_PROMISE(listener->held[i] == NULL);
    FUZZ_PROMISE(session_state(listener->session) == SESSION_CLOSED);
    listener->closed = true;
}

static void on_blocked(void *owner, whippet_bytes reason)
{
    note_bytes(owner, "blocked", reason);
}

static void on_unblocked(void *owner)
{
    note(owner, "unblocked", NULL, 0);
}

/* Channel 1 consumes with a large limit, 2 with a small one, 3 publishes, 4 declares. */
static void use_channel(struct listener *listener, uint16_t number)
{
    struct consumption consumption = {
        .queue = "q", .consumer_tag = number == 1 ? "a" : "b", .max_message_size = number == 1 ? 100000 : 10};
    struct queue_declaration declaration = {.queue = "q"};
    if (number <= 2)
        session_consume(listener->session, number, &consumption);
    else if (number == 3)
        session_confirm_select(listener->session, number);
    else
        session_queue_declare(listener->session, number, &declaration);
}

static void publish(struct listener *listener, uint16_t number)
{
    static const char body[5000];
    session_publish(listener->session, number, "e", "k", bytes_of("\0\0", 2), bytes_of(body, sizeof body));
}

static void on_replied(void *owner, uint16_t number, const struct channel_reply *reply)
{
    struct listener *listener = owner;
    note_number(listener, "replied", (uint64_t)number << 8 | reply->kind);
    note_bytes(listener, "queue", reply->queue);
    switch (reply->kind) {
    case CHANNEL_OPENED: use_channel(listener, number); break;
    case CHANNEL_CONFIRMING: publish(listener, number); break;
    case CHANNEL_QUEUE_DECLARED: session_qos(listener->session, number, 10); break;
    case CHANNEL_CONSUMING:
        if (reacts(listener, REACT_CANCEL))
            session_cancel(listener->session, number);
        break;
    case CHANNEL_CLOSED:
        if (reacts(listener, REACT_REOPEN))
            open_channel(listener);
        break;
    default: break;
    }
}

static void expect_none_held(const struct listener *listener, uint16_t number)
{
    FUZZ_PROMISE(number >= 1 && number <= LISTENER_CHANNELS);
    FUZZ_PROMISE(listener->held[number] == NULL);
}

static void on_channel_closed(void *owner, uint16_t number, const struct channel_reason *reason)
{
    struct listener *listener = owner;
    expect_none_held(listener, number);
    note_number(listener, "channel closed", (uint64_t)number << 16 | (uint64_t)reason->code);
    note_bytes(listener, "text", reason->text);
    if (reacts(listener, REACT_REOPEN))
        open_channel(listener);
}

static void on_consumer_cancelled(void *owner, uint16_t number)
{
    note_number(owner, "cancelled", number);
}

static void note_message(struct listener *listener, const struct message *message)
{
    note_number(listener, "message",
                message->delivery_tag * 8 + message->redelivered * 4u + message->headers);
    note_bytes(listener, "exchange", message->exchange);
    note_bytes(listener, "key", message->routing_key);
    note_bytes(listener, "properties", message->properties);
    note_bytes(listener, "body", message->body);
    FUZZ_PROMISE(message->headers != PROPERTIES_MALFORMED);
    for (enum property property = 0; property < PROPERTY_COUNT; property++)
        note_bytes(listener, "property", properties_get(message->properties, property));
}

static void on_delivered(void *owner, uint16_t number, struct message *message)
{
    struct listener *listener = owner;
    uint64_t tag = message->delivery_tag;
    expect_none_held(listener, number);
    note_message(listener, message);
    message_destroy(message);
    if (reacts(listener, REACT_ACK))
        session_ack(listener->session, number, tag, false);
    if (reacts(listener, REACT_CLOSE_CHANNEL))
        session_channel_close(listener->session, number, listener->now);
    if (reacts(listener, REACT_CLOSE_SESSION))
        session_close(listener->session, 200, "enough");
}

static void on_oversized_begin(void *owner, uint16_t number, const struct oversized *oversized)
{
    struct listener *listener = owner;
    expect_none_held(listener, number);
    note_message(listener, oversized->message);
    note_number(listener, "oversized", oversized->body_size);
    listener->held[number] = oversized->message;
    listener->received[number] = 0;
}

static void on_oversized_part(void *owner, uint16_t number, const struct oversized *oversized,
                              whippet_bytes part)
{
    struct listener *listener = owner;
    FUZZ_PROMISE(listener->held[number] == oversized->message);
    note_bytes(listener, "part", part);
    listener->received[number] += part.len;
    FUZZ_PROMISE(listener->received[number] <= oversized->body_size);
    if (reacts(listener, REACT_ABORT_ON_PART))
        session_abort(listener->session, "enough");
    else if (reacts(listener, REACT_CLOSE_CHANNEL))
        session_channel_close(listener->session, number, listener->now);
}

static void on_oversized_end(void *owner, uint16_t number, const struct oversized *oversized, bool complete)
{
    struct listener *listener = owner;
    FUZZ_PROMISE(listener->held[number] == oversized->message);
    FUZZ_PROMISE(!complete || listener->received[number] == oversized->body_size);
    listener->held[number] = NULL;
    note_number(listener, "end", complete);
    session_nack(listener->session, number, oversized->message->delivery_tag, false, true);
}

static void on_returned(void *owner, uint16_t number, const struct channel_reason *reason,
                        const struct message *message)
{
    note_number(owner, "returned", (uint64_t)number << 16 | (uint64_t)reason->code);
    note_bytes(owner, "text", reason->text);
    note_message(owner, message);
}

static void on_confirmed(void *owner, uint16_t number, uint64_t delivery_tag, bool multiple, bool nacked)
{
    struct listener *listener = owner;
    note_number(listener, multiple ? "confirmed all" : "confirmed", delivery_tag * 2 + nacked);
    if (reacts(listener, REACT_PUBLISH) && buffer_length(&listener->sent) < 100000)
        publish(listener, number);
}

static const struct session_events EVENTS = {
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

bool listener_create(struct listener *listener, uint8_t reactions)
{
    static const struct session_options options = {.user = "u",
                                                   .password = "p",
                                                   .vhost = "/",
                                                   .connection_name = "fuzz",
                                                   .version = "0",
                                                   .heartbeat = 10};
    *listener = (struct listener){.reactions = reactions, .now = 1};
    buffer_init(&listener->sent);
    listener->session = session_create(&options, &EVENTS, listener);
    if (listener->session == NULL)
        return false;
    session_start(listener->session, listener->now);
    return true;
}

void listener_destroy(struct listener *listener)
{
    uint64_t events = listener->events;
    session_destroy(listener->session);
    FUZZ_PROMISE(listener->events == events);
    buffer_destroy(&listener->sent);
}

/* Whole frames behind the protocol header, each within the agreed size. */
static void check_output(struct listener *listener)
{
    const uint8_t *data = buffer_begin(&listener->sent);
    size_t length = buffer_length(&listener->sent);
    if (listener->read == 0 && length >= 8) {
        FUZZ_PROMISE(memcmp(data, "AMQP\0\0\x09\x01", 8) == 0);
        listener->read = 8;
    }
    while (listener->read < length) {
        FUZZ_PROMISE(length - listener->read >= 8);
        size_t size = read_u32(data + listener->read + 3);
        FUZZ_PROMISE(size <= session_frame_max(listener->session) - 8);
        FUZZ_PROMISE(size <= length - listener->read - 8);
        FUZZ_PROMISE(data[listener->read + 7 + size] == 0xCE);
        listener->read += size + 8;
    }
}

static void take_output(struct listener *listener)
{
    struct buffer *output = session_output(listener->session);
    size_t length = buffer_length(output);
    if (length == 0)
        return;
    FUZZ_PROMISE(buffer_append(&listener->sent, buffer_begin(output), length));
    buffer_consume(output, length);
    session_sent(listener->session, listener->now);
    check_output(listener);
}

static size_t next_chunk(uint64_t *seed, size_t left)
{
    if (*seed == 0)
        return left;
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    size_t chunk = 1 + (size_t)(*seed >> 40) % 60;
    return chunk < left ? chunk : left;
}

void listener_feed(struct listener *listener, const uint8_t *data, size_t size, uint64_t seed)
{
    size_t used = 0, offered = 0;
    while (offered < size && !listener->closed) {
        offered += next_chunk(&seed, size - offered);
        size_t taken = session_receive(listener->session, data + used, offered - used, listener->now);
        FUZZ_PROMISE(taken <= offered - used);
        used += taken;
        take_output(listener);
    }
}
