#include "loop_state.h"
#include <base/clock.h>
#include <base/memory.h>
#include <math.h>
#include <signal.h>
#include <time.h>

/* --- Turning --------------------------------------------------------------------------------------------*/

static void on_check(struct ev_loop *ev, ev_check *check, int events)
{
    (void)ev, (void)events;
    struct loop *loop = list_entry(check, struct loop, check);
    loop->polled_at = loop_refresh_now(loop);
    pulse_begin(&loop->pulse, loop->polled_at);
}

/* The turn that follows runs the timers. */
static void on_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev, (void)timer, (void)events;
}

/* libev counts from its own reading of the clock, which is on_check's but for a few nanoseconds. */
static void set_timer(struct loop *loop)
{
    double next = scheduler_next(&loop->scheduler);
    if (ev_is_active(&loop->timer) && loop->timer_at == next)
        return;
    ev_timer_stop(loop->ev, &loop->timer);
    if (next == INFINITY)
        return;
    ev_timer_set(&loop->timer, next - loop->polled_at, 0.0);
    ev_timer_start(loop->ev, &loop->timer);
    loop->timer_at = next;
}

/* Not libev's own collect interval, which a timer due within a millisecond switches off. */
static void gather(struct loop *loop)
{
    double left = loop->polled_at + loop->gather - (clock_monotonic() + loop->ahead);
    if (left <= 0)
        return;
    struct timespec pause = {.tv_sec = (time_t)left};
    pause.tv_nsec = (long)((left - (double)pause.tv_sec) * 1e9);
    nanosleep(&pause, NULL);
}

/* Where everybody waits for the clock, and nothing outside could come first, it may as well be later. */
static void leap(struct loop *loop)
{
    double next = scheduler_next(&loop->scheduler);
    if (next == INFINITY || loop->watching > 0 || offload_is_under_way(&loop->own) ||
        offload_is_under_way(&loop->processors))
        return;
    double left = next - loop_refresh_now(loop);
    if (left > 0)
        loop->ahead += left;
    loop->polled_at = loop_refresh_now(loop);
}

void loop_run(struct loop *loop)
{
    ev_now_update(loop->ev);
    loop->polled_at = loop_refresh_now(loop);
    while (!loop->stopped) {
        bool busy = scheduler_busy(&loop->scheduler);
        if (loop->leaps && !busy)
            leap(loop);
        pulse_end(&loop->pulse);
        if (loop->gather > 0 && !busy)
            gather(loop);
        set_timer(loop);
        ev_run(loop->ev, busy ? EVRUN_NOWAIT : EVRUN_ONCE);
        scheduler_turn(&loop->scheduler, loop->scheduler.now);
    }
    pulse_end(&loop->pulse);
    loop->stopped = false;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

double loop_now(const struct loop *loop)
{
    return loop->scheduler.now;
}

double loop_refresh_now(struct loop *loop)
{
    loop->scheduler.now = clock_monotonic() + loop->ahead;
    return loop->scheduler.now;
}

void loop_set_leaping(struct loop *loop, bool leaps)
{
    loop->leaps = leaps;
}

void loop_set_gather(struct loop *loop, double seconds)
{
    loop->gather = seconds;
}

/* --- Coming and going -----------------------------------------------------------------------------------*/

struct loop *loop_create(size_t stack_size, struct whippet_failure *failure)
{
    struct loop *loop = memory_allocate_zeroed(sizeof *loop);
    if (loop == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "no memory for an event loop");
        return NULL;
    }
    if (scheduler_init(&loop->scheduler, stack_size, failure) != 0) {
        memory_free(loop);
        return NULL;
    }
    loop->scheduler.loop = loop;
    pulse_init(&loop->pulse);
    loop->ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    if (loop->ev == NULL) {
        failure_set(failure, WHIPPET_E_SYSTEM,
                    "libev cannot make an event loop: neither epoll nor poll works here");
        scheduler_destroy(&loop->scheduler);
        memory_free(loop);
        return NULL;
    }
    list_init(&loop->signals);
    list_init(&loop->residents);
    ev_check_init(&loop->check, on_check);
    ev_set_priority(&loop->check, EV_MAXPRI);
    ev_check_start(loop->ev, &loop->check);
    ev_timer_init(&loop->timer, on_timer, 0.0, 0.0);
    offload_init(&loop->own, loop->ev);
    offload_init(&loop->processors, loop->ev);
    calls_init(&loop->calls, loop->ev);
    loop_refresh_now(loop);
    return loop;
}

static void drop_signals(struct loop *loop);

void loop_destroy(struct loop *loop)
{
    if (loop == NULL)
        return;
    residents_destroy(loop);
    offload_destroy(&loop->own);
    offload_destroy(&loop->processors);
    calls_destroy(&loop->calls, loop->ev);
    drop_signals(loop);
    ev_timer_stop(loop->ev, &loop->timer);
    ev_check_stop(loop->ev, &loop->check);
    ev_loop_destroy(loop->ev);
    scheduler_destroy(&loop->scheduler);
    memory_free(loop);
}

struct scheduler *loop_scheduler(struct loop *loop)
{
    return &loop->scheduler;
}

struct loop *loop_of_task(const whippet_task *task)
{
    return task_scheduler(task)->loop;
}

/* --- Descriptors ----------------------------------------------------------------------------------------*/

struct watch {
    ev_io io;
    struct loop *loop;
    watch_function *function;
    void *owner;
};

/* Touches nothing after the call: the watch may be gone. */
static void on_descriptor(struct ev_loop *ev, ev_io *io, int events)
{
    (void)ev;
    struct watch *watch = list_entry(io, struct watch, io);
    events &= io->events; /* libev reports an error as both */
    int readable = (events & EV_READ) != 0 ? WHIPPET_READABLE : 0;
    int writable = (events & EV_WRITE) != 0 ? WHIPPET_WRITABLE : 0;
    watch->function(watch->owner, readable | writable);
}

struct watch *watch_create(struct loop *loop, int descriptor, watch_function *function, void *owner)
{
    struct watch *watch = memory_allocate_zeroed(sizeof *watch);
    if (watch == NULL)
        return NULL;
    watch->loop = loop;
    watch->function = function;
    watch->owner = owner;
    ev_io_init(&watch->io, on_descriptor, descriptor, 0);
    return watch;
}

/* Takes back ev_io_init's word that the kernel has to be told of it, whatever it knows. */
void watch_same(struct watch *watch)
{
    watch->io.events = 0;
}

static void stop_watching(struct watch *watch)
{
    watch->loop->watching -= ev_is_active(&watch->io) ? 1 : 0;
    ev_io_stop(watch->loop->ev, &watch->io);
}

/* A change that is taken back within the turn costs no system call: libev tells the kernel at the next poll.
 */
void watch_set(struct watch *watch, int events)
{
    int readable = (events & WHIPPET_READABLE) != 0 ? EV_READ : 0;
    int writable = (events & WHIPPET_WRITABLE) != 0 ? EV_WRITE : 0;
    if (((int)watch->io.events & (EV_READ | EV_WRITE)) == (readable | writable))
        return;
    stop_watching(watch);
    ev_io_modify(&watch->io, readable | writable);
    if (events == 0)
        return;
    ev_io_start(watch->loop->ev, &watch->io);
    watch->loop->watching++;
}

void watch_destroy(struct watch *watch)
{
    if (watch == NULL)
        return;
    stop_watching(watch);
    memory_free(watch);
}

/* --- Signals --------------------------------------------------------------------------------------------*/

struct signal_watch {
    ev_signal signal;
    struct list link;
    void (*function)(void *owner);
    void *owner;
};

static void on_signal(struct ev_loop *ev, ev_signal *signal, int events)
{
    (void)ev, (void)events;
    struct signal_watch *watch = list_entry(signal, struct signal_watch, signal);
    watch->function(watch->owner);
}

static bool signal_may_be_caught(struct loop *loop, int number)
{
    bool is_of_libc = number > SIGSYS && number < SIGRTMIN;
    if (number <= 0 || number >= NSIG || is_of_libc || number == SIGKILL || number == SIGSTOP)
        return false;
    list_each (link, &loop->signals) {
        if (list_entry(link, struct signal_watch, link)->signal.signum == number)
            return false;
    }
    return true;
}

bool loop_on_signal(struct loop *loop, int signal_number, void (*function)(void *owner), void *owner)
{
    if (!signal_may_be_caught(loop, signal_number))
        return false;
    struct signal_watch *watch = memory_allocate_zeroed(sizeof *watch);
    if (watch == NULL)
        return false;
    watch->function = function;
    watch->owner = owner;
    list_append(&loop->signals, &watch->link);
    ev_signal_init(&watch->signal, on_signal, signal_number);
    ev_signal_start(loop->ev, &watch->signal);
    return true;
}

static void drop_signals(struct loop *loop)
{
    struct list *link;
    while ((link = list_take_first(&loop->signals)) != NULL) {
        struct signal_watch *watch = list_entry(link, struct signal_watch, link);
        ev_signal_stop(loop->ev, &watch->signal);
        memory_free(watch);
    }
}
