/* The owner of a session that is fuzzed: reacts to events as a busy worker would, and checks what a session
 * promises: no event after the closed one, one closed event, oversized deliveries in good order, whole frames
 * in the output. */
#ifndef FUZZ_LISTENER_H
#define FUZZ_LISTENER_H

#include <amqp/session.h>

enum {
    LISTENER_CHANNELS = 4
};

struct listener {
    struct session *session;
    double now;
    uint64_t events; /* a hash of all of them, in their order */
    bool closed;
    struct message *held[LISTENER_CHANNELS + 1]; /* of the oversized delivery under way on each channel */
    uint64_t received[LISTENER_CHANNELS + 1];
    struct buffer sent; /* all that the session put out */
    size_t read;        /* bytes of `sent` that were checked */
    uint8_t reactions;  /* bits that choose among them */
};

/* False when there is no session: memory is short. */
bool listener_create(struct listener *listener, uint8_t reactions);
void listener_destroy(struct listener *listener);

/* Feeds the bytes in chunks, whose sizes come from `seed` (0: in one), as a reader would: what is not used is
 * offered again. Then takes and checks the output. */
void listener_feed(struct listener *listener, const uint8_t *data, size_t size, uint64_t seed);

#endif
