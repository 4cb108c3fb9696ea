/* A whole worker's life against a fake broker: it starts, does messages that end in each of the ways there
 * are (ack, retry, dead letter), reloads, and stops. Whatever fails meanwhile, that must come to one of two
 * ends: a clear error, or all of it done. */
#ifndef FAULTS_SCENARIO_H
#define FAULTS_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <worker/worker.h>

enum scenario_end {
    SCENARIO_DONE = 0,
    SCENARIO_REFUSED = 1, /* with an error's text, and every message where it was */
    SCENARIO_GAVE_UP = 2, /* could not even stop in good order: the process ends, as the program's would */
    SCENARIO_WRONG = 3,   /* a promise is broken; what, is on standard error */
};

struct life_message {
    const char *queue, *body;
    bool is_dead_lettered; /* is to be, rather than done */
};

enum {
    LIFE_MESSAGES = 8
};

/* A kind of life: what the worker has to do with. The functions may be NULL; what they call is struck. */
struct life {
    const char *name;
    const char *queues; /* of the configuration, with ' in the place of ", and %d for a prefetch */
    struct life_message messages[LIFE_MESSAGES]; /* ends with one without a queue */
    bool tls;                                    /* to the broker */
    bool in_child;                        /* what is struck is not the worker, but one child of its own */
    void (*prepare)(void);                /* before anything else; not struck */
    bool (*begin)(struct worker *worker); /* before it starts. False: it said why not */
    void (*look)(void);                   /* when all messages are done */
    void (*end)(void);                    /* when the worker has stopped, or could not be started */
};

/* All there are (lives.c); ends with one without a name. */
extern const struct life LIVES[];

/* Lives it, in a process of its own. `folder` is for its files. */
enum scenario_end scenario_run(const struct life *life, const char *folder);

/* Ends it as WRONG unless that is so; `what` is the promise. */
void scenario_check(bool fine, const char *what);

#endif
