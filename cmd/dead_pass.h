/* A pass over a dead-letter queue: each letter that was there when it began is met once, and is either done
 * with or stays. It takes the same little memory whatever the queue's length.
 *
 * What stays goes back in one of two ways. The first few are held unacknowledged, and return to their places
 * when the pass ends. The rest, and those that went back often before, are moved: a copy to the queue's end,
 * its confirm, and the ack of the original. So a filter never fills the prefetch, and looking at a letter
 * never brings it near a quorum queue's delivery-limit, beyond which the broker would drop it
 * (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling). */
#ifndef CMD_DEAD_PASS_H
#define CMD_DEAD_PASS_H

#include "broker_link.h"
#include "dead_letter.h"
#include <worker/settlement.h>

enum {
    DEAD_HANDS_MAX = 256, /* letters handled at once */
    DEAD_LOOK_MAX = 2000, /* letters looked at and left: quorum queues give no more at a time */
    DEAD_RETURNS_MAX = 3, /* a letter that went back so often is moved; the default limit is 20 */
};

enum dead_fate {
    DEAD_DONE,  /* ack it */
    DEAD_STAYS, /* it lies on in the queue */
    DEAD_FATAL, /* it lies on, and the pass ends; pass->failure says why */
};

struct dead_pass;
typedef enum dead_fate dead_pass_function(whippet_task *task, struct dead_pass *pass,
                                          const struct dead_letter *letter);

struct dead_pass {
    /* What is asked for. */
    struct broker_link *link;
    const char *queue;
    struct dead_filter filter;
    uint64_t limit; /* matching letters to handle; 0: all */
    uint64_t among; /* letters to meet at most; 0: all that are there when it begins */
    uint64_t look;  /* letters to look at, at most DEAD_LOOK_MAX, none of which is done; 0: no look */
    unsigned hands; /* letters handled at once, 1 to DEAD_HANDS_MAX */
    double rate;    /* handled a second; 0: as fast as it goes */
    dead_pass_function *handle; /* for each letter that matches; may suspend */
    void *owner;

    /* What came of it. */
    uint64_t ready;                 /* letters in the queue when it began */
    uint64_t met;                   /* of them, looked at */
    uint64_t matched;               /* of them, handled */
    uint64_t done;                  /* of them, acknowledged */
    uint64_t moved;                 /* of those that stay, put back at the queue's end */
    bool counted;                   /* `ready` is known */
    bool missing;                   /* there is no such queue */
    struct whippet_failure failure; /* error 0: it came to its end, or was interrupted */

    /* --- private --- */
    struct channel channel;
    struct settlement settlement;
    struct posted flush;
    struct list inbox;   /* struct dead_letter: delivered, and not taken yet */
    struct list waiting; /* struct taker: hands without a letter */
    size_t letter_bytes; /* what those take that are here: in the inbox, or in a hand */
    uint64_t target;     /* letters to meet */
    uint64_t arrived;    /* letters delivered */
    uint64_t held;       /* letters that stay, unacknowledged */
    uint64_t hold_max;
    unsigned hands_left;
    whippet_task *tasks[DEAD_HANDS_MAX];
    struct waiter ended;   /* dead_pass_run waits here */
    bool stopping;         /* no further letter is taken */
    bool paused;           /* reading, while the inbox is full */
    bool asked_for_stream; /* whether the queue is one */
    double started;
};

/* Suspends until it is over. 0, or the error that is in pass->failure. */
int dead_pass_run(whippet_task *task, struct dead_pass *pass);

#endif
