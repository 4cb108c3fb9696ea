/* One run of a scenario: numbered messages, a worker whose processor writes down its verdict on each before
 * it gives it, faults, and in the end the account. There is one trial per test:
 *
 *     trial_open(&(struct trial_plan){.name = "worker_killed"});
 *     trial_start_worker();
 *     trial_await(5000);
 *     … the fault …
 *     trial_fault();
 *     trial_close();
 */
#ifndef TESTS_CHAOS_TRIAL_H
#define TESTS_CHAOS_TRIAL_H

#include "proxy.h"
#include "stage.h"

/* A scenario is a test, and its suite says what it stands on: `shared`, a broker that it shares and must not
 * hurt; `private`, one that it has to itself, and leaves well behind; `cluster`, three nodes likewise. */
#define SCENARIO(suite, name) Test(suite, name, .init = stage_open, .fini = stage_close, .timeout = 600)

/* What is 0 or NULL is as the comment says. */
struct trial_plan {
    const char *name;
    const char *type;      /* of the queues: "quorum" */
    unsigned messages;     /* 10,000, over all queues */
    unsigned queues;       /* 1 */
    unsigned prefetch;     /* 100; the concurrency too */
    unsigned reject_every; /* 50: the others are processed, these are to be dead-lettered */
    size_t size;           /* bytes of a body: those of its number */
    unsigned large_every;  /* never: every so-manieth message has large_size bytes instead */
    size_t large_size;
    const char *delay;    /* that an attempt takes: "100ms" */
    const char *settings; /* further ones of the processor, as worker_start takes JSON */
    const char *amqp;     /* further members of "amqp" */
    const char *patience; /* its "reconnect.max": "500ms" */
    const char *urls;     /* JSON of "amqp.url": the stage's broker */
    bool proxied;         /* the worker goes through trial_proxy() */
    bool alone;           /* on the broker, which stays up: its own counters are compared too */
};

/* Declares the queues and publishes the messages, each of them confirmed. */
void trial_open(const struct trial_plan *plan);

/* More messages, numbered on from the last. */
void trial_publish(unsigned count);

/* Starts the worker, or the next one; returns when it consumes from all queues. */
void trial_start_worker(void);
struct worker *trial_worker(void);
struct proxy *trial_proxy(void);

/* Whom the worker logs in as; guest, unless said before it starts. */
void trial_set_login(const char *user, const char *password);

/* The queue of this number, from 0. */
const char *trial_queue(unsigned number);

/* Awaits a verdict on so many different messages. Fails when there is none for a while. */
void trial_await(unsigned count);
unsigned trial_handled(void);

/* The same on all but so many, of those published so far. */
void trial_await_all_but(unsigned count);

/* Until all of the messages published so far are done with and settled. */
void trial_await_settled(void);

/* Notes what may now be delivered twice: all that was in flight. */
void trial_fault(void);

/* Ends the worker as kill -9 does; its counters are lost. */
void trial_kill_worker(void);

/* Notes that the broker destroyed so many messages. */
void trial_destroyed(unsigned count);

/* Notes that so many bytes were corrupted, each of which may have damaged a message for its reader. */
void trial_damaged(unsigned count);

/* Adds a remark to the account. */
void trial_remark(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Stops the worker, draws up the account, prints it, and fails the test unless it balances. */
void trial_close(void);

/* Seconds for a fault to last: those, or in a long run (WHIPPET_CHAOS_LONG) the others. */
double trial_seconds(double usual, double in_a_long_run);

/* Lets so much time pass. Only for faults, whose length is what a scenario is about. */
void trial_last(double seconds);

#endif
