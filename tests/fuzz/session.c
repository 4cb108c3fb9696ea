/* What a server sends, from its first byte on. The first byte of the input chooses what the owner does; the
 * rest is fed twice, in one and in chunks, which must come to the same. */
#include "fuzz.h"
#include "listener.h"

static uint64_t run(const uint8_t *data, size_t size, uint8_t reactions, uint64_t seed)
{
    struct listener listener;
    if (!listener_create(&listener, reactions))
        abort();
    listener_feed(&listener, data, size, seed);
    listener.now += 30;
    session_tick(listener.session, listener.now);
    uint64_t events = listener.events;
    listener_destroy(&listener);
    return events;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint64_t whole = run(data + 1, size - 1, data[0], 0);
    FUZZ_PROMISE(run(data + 1, size - 1, data[0], 1 + size) == whole);
    return 0;
}
