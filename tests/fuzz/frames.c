/* Frames on an open connection with four channels: after a scripted handshake the input is taken for a list
 * of frames, each of them wrapped so that it is a valid one: type and channel in an octet, the payload's size
 * in two, the payload. So nothing is lost on framing, and the state machines behind it are reached. The first
 * byte chooses what the owner does. */
#include "../support/wire.h"
#include "fuzz.h"
#include "listener.h"
#include <string.h>

static void write_handshake(struct wire *wire)
{
    wire_start(wire, "PLAIN");
    wire_tune(wire, 2047, 4096, 10);
    wire_open_ok(wire);
    for (unsigned channel = 1; channel <= LISTENER_CHANNELS; channel++)
        wire_channel_open_ok(wire, channel);
    wire_consume_ok(wire, 1, "a");
    wire_consume_ok(wire, 2, "b");
    wire_method(wire, 3, AMQP_CONFIRM_SELECT_OK_METHOD, &(amqp_confirm_select_ok_t){0});
}

/* The two low bits of the octet choose the type, the next three the channel. */
static void write_frames(struct wire *wire, const uint8_t *data, size_t size)
{
    static const unsigned types[] = {WIRE_METHOD, WIRE_HEADER, WIRE_BODY, WIRE_HEARTBEAT};
    while (size >= 3) {
        size_t length = (size_t)data[1] << 8 | data[2];
        if (length > size - 3)
            length = size - 3;
        wire_frame(wire, types[data[0] & 3], data[0] >> 2 & 7, data + 3, length);
        data += 3 + length;
        size -= 3 + length;
    }
}

static uint64_t run(const struct wire *wire, uint8_t reactions, uint64_t seed)
{
    struct listener listener;
    if (!listener_create(&listener, reactions))
        abort();
    listener_feed(&listener, wire->data, wire->length, seed);
    uint64_t events = listener.events;
    listener_destroy(&listener);
    return events;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire wire = {0};
    if (size == 0)
        return 0;
    write_handshake(&wire);
    write_frames(&wire, data + 1, size - 1);
    uint64_t whole = run(&wire, data[0], 0);
    FUZZ_PROMISE(run(&wire, data[0], 1 + size) == whole);
    wire_destroy(&wire);
    return 0;
}
