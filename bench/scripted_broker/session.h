/* What the broker says on one connection: requests come in, replies go into a buffer. No sockets. */
#ifndef SCRIPTED_BROKER_SESSION_H
#define SCRIPTED_BROKER_SESSION_H

#include "stream.h"
#include "wire.h"

enum {
    HEARTBEAT = 60, /* seconds, as offered */
    INPUT_SIZE = FRAME_MAX,
    REPLIES_SIZE = 64 * 1024,
};

struct session {
    struct stream *stream;
    bool greeted;       /* the protocol header has come */
    bool consuming;     /* the stream flows here */
    bool closing;       /* the last reply is close-ok */
    uint64_t published; /* messages taken, and confirmed */
    uint64_t body_left; /* bytes of the message being published that are still to come */
    size_t filled;
    size_t reply_length;
    unsigned char input[INPUT_SIZE];
    unsigned char replies[REPLIES_SIZE];
};

void session_init(struct session *session, struct stream *stream);

/* Answers every whole frame of the `filled` bytes in `input`, and keeps the rest. */
void session_answer(struct session *session);

/* Adds a heartbeat to the replies. */
void session_beat(struct session *session);

#endif
