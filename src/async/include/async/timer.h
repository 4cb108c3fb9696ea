/* Timers: a heap of moments, without a clock of its own. */
#ifndef ASYNC_TIMER_H
#define ASYNC_TIMER_H

#include <base/list.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer;
typedef void timer_function(struct timer *timer);

/* Embedded by its owner. Zeroed: not armed. */
struct timer {
    double at;                /* the moment, in the scheduler's seconds */
    timer_function *function; /* called once, on the loop's own stack, after the timer was disarmed */
    size_t place;             /* 1 + its index in the heap, or TIMER_DUE; 0: not armed */
    struct list due;          /* among those about to run, when TIMER_DUE */
};

#define TIMER_DUE SIZE_MAX

/* The heap holds what it sorts by, so that sorting touches no timer it does not move. */
struct timer_slot {
    double at;
    uint64_t arming; /* of two at the same moment, the one armed first goes first */
    struct timer *timer;
};

/* A slot's timer is due no earlier than that of slot (index - 1) / 4. */
struct timers {
    struct timer_slot *heap; /* owned */
    size_t count;
    size_t capacity;
    size_t reserved;  /* slots that timer_start leaves to timer_start_reserved */
    uint64_t armings; /* how many timers were ever armed */
};

void timers_init(struct timers *timers);
void timers_destroy(struct timers *timers);

static inline bool timer_armed(const struct timer *timer)
{
    return timer->place != 0;
}

/* Arms, or moves when it is armed already. O(log n); O(1) when no later one is armed. False when memory is
 * short: it is not armed then. */
bool timer_start(struct timers *timers, struct timer *timer, double at);

/* Keeps room for `count` timers (in place of what was reserved before), so that as many as that can be armed
 * at once by timer_start_reserved, which cannot fail. False when memory is short: what was reserved before
 * still is. */
bool timers_reserve(struct timers *timers, size_t count);
void timer_start_reserved(struct timers *timers, struct timer *timer, double at);

/* Safe for a timer that is not armed. O(log n); O(1) for the one armed last, when it is the latest. */
void timer_stop(struct timers *timers, struct timer *timer);

/* The earliest moment; INFINITY when none is armed. */
double timers_next(const struct timers *timers);

/* Runs the functions of those due at `now`, in the order of their moments. Those armed meanwhile wait for the
 * next call, even when due. Returns how many ran. */
size_t timers_run(struct timers *timers, double now);

#endif
