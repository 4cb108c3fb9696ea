/* One end of a socket that carries frames (child_protocol.h), many of them with one system call: what is sent
 * goes out at the end of the loop's turn, what comes is taken in as it comes. */
#ifndef WORKER_FRAME_LINK_H
#define WORKER_FRAME_LINK_H

#include "child_protocol.h"
#include <async/loop.h>
#include <base/buffer.h>
#include <base/bytes.h>
#include <base/failure.h>

struct frame_handlers {
    /* A whole frame; the payload is borrowed, and not aligned. May close the link. */
    void (*frame)(void *owner, const struct frame *frame, const uint8_t *payload);

    /* The other end is gone (CLOSED), or has sent what is no frame (PROTOCOL), or memory is short (MEMORY).
     * Nothing comes any more. Once, and never after frame_link_close. */
    void (*closed)(void *owner, int error);

    /* There is room again after frame_link_is_full. May be NULL. */
    void (*drained)(void *owner);
};

struct frame_link {
    struct loop *loop;
    int descriptor; /* owned; -1: closed */
    struct watch *watch;
    struct buffer in;
    struct buffer out;
    whippet_bytes lent;  /* goes out after `out` and before `later` */
    struct buffer later; /* what was sent since something is lent */
    struct posted flush;
    bool was_full;
    bool is_over; /* `closed` was called */
    const struct frame_handlers *handlers;
    void *owner;
};

/* Takes the descriptor over when it succeeds; false when memory is short. The link must not move. */
bool frame_link_open(struct frame_link *link, struct loop *loop, int descriptor,
                     const struct frame_handlers *handlers, void *owner);
void frame_link_close(struct frame_link *link); /* what was not sent yet is forgotten; again does no harm */

static inline bool frame_link_is_open(const struct frame_link *link)
{
    return link->descriptor >= 0 && !link->is_over;
}

/* Sends a frame whose payload is `head` bytes that the caller writes to where this returns, and then `tail`.
 * A large tail may be lent: it must stay as it is until frame_link_is_full says no. NULL when memory is
 * short or the link is closed: nothing is sent. */
uint8_t *frame_link_begin(struct frame_link *link, enum frame_kind kind, uint32_t slot, uint32_t serial,
                          size_t head, whippet_bytes tail);

/* The same with all of it at hand. */
bool frame_link_send(struct frame_link *link, enum frame_kind kind, uint32_t slot, uint32_t serial,
                     const void *payload, size_t length);

/* True while so much waits to be sent that no more should be added. */
bool frame_link_is_full(const struct frame_link *link);

/* Sends now what can be sent. */
void frame_link_flush(struct frame_link *link);

/* Takes in now what is there, to the last byte. */
void frame_link_take(struct frame_link *link);

#endif
