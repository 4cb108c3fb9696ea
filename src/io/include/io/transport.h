/* A stream to the broker. Plain TCP is one kind, TLS (tls.h) another behind the same functions. */
#ifndef IO_TRANSPORT_H
#define IO_TRANSPORT_H

#include <base/failure.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <whippet/types.h>

struct transport;

/* What read and write answer instead of a count of bytes, which is above 0. */
enum transport_status {
    TRANSPORT_CLOSED = 0,  /* the peer has closed its side; reading only */
    TRANSPORT_AGAIN = -1,  /* nothing to be had now: wait for readiness */
    TRANSPORT_FAILED = -2, /* broken for good; the failure says why */
};

struct transport_kind {
    ssize_t (*read)(struct transport *transport, void *data, size_t size, struct whippet_failure *failure);
    ssize_t (*write)(struct transport *transport, const void *data, size_t size,
                     struct whippet_failure *failure);
    void (*destroy)(struct transport *transport); /* closes the descriptor, too */
};

struct transport {
    const struct transport_kind *kind;
    int descriptor; /* owned; non-blocking */

    /* What TLS may have beside: after a read or write that answered AGAIN, the readiness that it waits for is
     * the other one. */
    bool reading_awaits_writable;
    bool writing_awaits_readable;
    bool has_more; /* after a read: the next one gets something at once, although no readiness shows it */
};

/* Takes the descriptor over, whatever the outcome. NULL when memory is short. */
struct transport *transport_plain_create(int descriptor);

static inline void transport_destroy(struct transport *transport)
{
    if (transport != NULL)
        transport->kind->destroy(transport);
}

#endif
