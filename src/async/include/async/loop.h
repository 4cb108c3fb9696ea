/* The event loop: libev under the scheduler. One per thread.
 *
 * It wakes up for descriptors, signals, offloaded work and the next timer, and for nothing else; libev alone
 * looks around once a minute. */
#ifndef ASYNC_LOOP_H
#define ASYNC_LOOP_H

#include <async/scheduler.h>
#include <async/task.h>
#include <base/failure.h>
#include <stdbool.h>

struct loop; /* owns a scheduler and an ev_loop */

/* NULL with the failure filled. */
struct loop *loop_create(size_t stack_size, struct whippet_failure *failure);

/* No task may be alive; watches must have been destroyed, or be a resident's. Waits for the end of offloaded
 * work that still runs: whoever can't wait leaves the process without destroying the loop. */
void loop_destroy(struct loop *loop);

struct scheduler *loop_scheduler(struct loop *loop);

/* The loop whose scheduler runs the task; NULL when that one is driven by something else. */
struct loop *loop_of_task(const whippet_task *task);

/* Turns until loop_stop: waits for I/O or the next timer, handles it, then scheduler_turn. loop_stop lets the
 * turn come to its end; before loop_run, it makes that return at once. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* The moment this turn began, in seconds of clock_monotonic; loop_refresh_now reads the clock anew. What is
 * started before loop_run should follow a loop_refresh_now, or its sleeps and deadlines count from
 * loop_create. */
double loop_now(const struct loop *loop);
double loop_refresh_now(struct loop *loop);

/* While above 0, the loop lets at least `seconds` pass between two polls, so that small reads come in
 * batches. Timers are late by as much at most; ready tasks and posted work never wait for it, and signals end
 * the pause. */
void loop_set_gather(struct loop *loop, double seconds);

/* For tests: where tasks wait for nothing but the clock, it leaps to the moment the next of them waits for,
 * so that an hour's sleep takes no time. While a descriptor is watched or a thread at work, time flows as
 * always. */
void loop_set_leaping(struct loop *loop, bool leaps);

/* --- Is it turning? --------------------------------------------------------------------------------------
 *
 * From any thread: what metrics, health checks and the watchdog look at. */

/* How long the turn that goes on has taken so far, in seconds; 0 while the loop waits for something to do. A
 * loop whose turn goes on for seconds is blocked: nothing else is served meanwhile. */
double loop_busy_for(const struct loop *loop);

/* The longest turn of the last 15 to 30 seconds, the one that goes on included: how late the loop was for
 * what came meanwhile. Seconds. */
double loop_lag(const struct loop *loop);

/* Has what loop_turn_began says written to `where` as well, which may be memory that another process looks
 * at. Before loop_run; borrowed. */
void loop_show_turns(struct loop *loop, _Atomic double *where);

/* For a watchdog, of which there is one at most. `timer` is a timerfd of CLOCK_MONOTONIC that the watchdog
 * waits for in a thread of its own; -1: nobody watches. The loop sets it to LOOP_WATCH_SECONDS when a turn
 * begins and nobody is about to look, and takes it back when it goes idle again soon. Set it before loop_run,
 * and take it away after. */
void loop_watch(struct loop *loop, int timer);

enum {
    LOOP_WATCH_SECONDS = 1
};

/* What the watchdog does whenever its timer has expired: looks, and then either sets it again or rests, which
 * is refused (false) when a turn has begun meanwhile. */
double loop_turn_began(const struct loop *loop); /* the moment; 0: waiting for something to do */
double loop_watch_due(const struct loop *loop);  /* the moment the timer was set for */
void loop_watch_again(struct loop *loop, double seconds);
bool loop_watch_rest(struct loop *loop);

/* --- Descriptors ----------------------------------------------------------------------------------------*/

struct watch; /* one descriptor's registration */

/* `events`: WHIPPET_READABLE | WHIPPET_WRITABLE, those of the watched ones that are there; all the watched
 * ones after an error, which the next read or write then reports. On the loop's own stack. */
typedef void watch_function(void *owner, int events);

/* Not watching anything at first. NULL when memory is short. The descriptor stays the caller's, and must stay
 * open for as long as anything is watched. */
struct watch *watch_create(struct loop *loop, int descriptor, watch_function *function, void *owner);
void watch_set(struct watch *watch, int events); /* 0: nothing */
void watch_destroy(struct watch *watch);         /* also from inside its own function; NULL is fine */

/* Before the first watch_set: the loop has watched this descriptor since it was opened. */
void watch_same(struct watch *watch);

/* whippet_wait_fd for who waits again and again for the same descriptor, known to be one: it costs no system
 * call where it goes from one waiting task to the next within a turn. `*last` is for the caller to keep with
 * the descriptor: the loop that it was last waited for on; NULL at first. */
int loop_wait_fd(whippet_task *task, int descriptor, int events, struct loop **last);

/* --- Signals --------------------------------------------------------------------------------------------*/

/* Calls the function on the loop's stack when the process gets the signal, until the loop is destroyed. One
 * function a signal, and one loop in a process. False when memory is short, the signal cannot be caught, or
 * has a function. */
bool loop_on_signal(struct loop *loop, int signal_number, void (*function)(void *owner), void *owner);

/* --- Residents ------------------------------------------------------------------------------------------*/

/* What lives on the loop for as long as there is one, shared by all of its tasks: a pool of connections, say.
 * Embedded by its owner. */
struct loop_resident {
    struct list link;
    const void *kind; /* the address of something of the owner's, which tells it from all others */
    void (*destroy)(struct loop_resident *resident); /* when the loop goes; it has left the loop then */
};

/* Kept until it leaves, or the loop is destroyed; one of a kind. */
void loop_keep(struct loop *loop, struct loop_resident *resident);
void loop_leave(struct loop_resident *resident);

/* NULL when there is none of the kind. */
struct loop_resident *loop_find(struct loop *loop, const void *kind);

/* --- Other threads --------------------------------------------------------------------------------------*/

/* A call that waits to be made. Embedded by its owner, who must not touch it again before it was made. */
struct loop_call {
    struct list link;
    void (*function)(struct loop_call *call);
};

/* Has call->function called once, on the loop's own stack; calls from one thread are made in their order.
 * From any thread, the loop's own too. What the caller wrote before is seen by the function. The loop must
 * not be destroyed meanwhile. */
void loop_call(struct loop *loop, struct loop_call *call);

/* --- Work off the loop ----------------------------------------------------------------------------------*/

/* Runs function(arg) in a thread of the loop's own and awaits it. Threads come when they are needed, at most
 * LOOP_OFFLOAD_THREADS of them; what comes while all are busy waits its turn. They block every signal.
 *
 * When the await is cut short (TIMEOUT, CANCELLED) the work goes on alone, or is left out if it had not
 * begun: `release(arg)` (may be NULL) is then called on the loop's stack when that is over; otherwise `arg`
 * stays the caller's.
 *
 * Returns 0 when the function has run; MEMORY, or SYSTEM when no thread could be had; UNAVAILABLE without a
 * loop. */
int loop_offload(whippet_task *task, void (*function)(void *arg), void *arg, void (*release)(void *arg));

/* Pieces of it that have not come to their end: loop_destroy would wait for those. */
size_t loop_offloaded(struct loop *loop);

/* How many threads whippet_offload has, at least 1; LOOP_OFFLOAD_THREADS unless told otherwise. They are not
 * those of loop_offload. Before the first task runs. */
void loop_set_threads(struct loop *loop, size_t threads);

enum {
    LOOP_OFFLOAD_THREADS = 4
};

/* Who looks on while threads of whippet_offload run processors' code. All is called in those threads. */
struct offload_observer {
    void *(*enter)(void *owner); /* a thread begins; gives what the others get as `seat` */
    void (*leave)(void *seat);   /* it ends */
    void (*begin)(void *seat, const whippet_task *task); /* a call for this task, which waits for its end */
    void (*end)(void *seat);
};

/* The observer must outlive the loop, its owner the tasks. Before the first task runs. */
void loop_observe_offload(struct loop *loop, const struct offload_observer *observer, void *owner);

#endif
