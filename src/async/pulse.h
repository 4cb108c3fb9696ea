/* When the loop began the turn it is in, for whoever watches it from another thread. Costs a clock reading
 * and two stores a turn, and a timer while a watchdog is there; see include/async/loop.h for what is seen. */
#ifndef ASYNC_PULSE_H
#define ASYNC_PULSE_H

#include <stdatomic.h>
#include <stdbool.h>

struct pulse {
    _Atomic double began; /* the moment; 0: waiting for something to happen */
    _Atomic double ended; /* the moment the last turn did */

    /* The longest turns of this window and of the one before. */
    _Atomic double longest;
    _Atomic double longest_before;
    double window_ends; /* the loop's own */

    _Atomic double *shown; /* `began` once more, for another process; borrowed, NULL: none looks */

    int timer;              /* a timerfd that the watchdog waits for; -1: nobody watches */
    _Atomic bool armed;     /* it is set: the watchdog will look */
    _Atomic double look_at; /* the moment it is set for */
};

void pulse_init(struct pulse *pulse);
void pulse_begin(struct pulse *pulse, double now); /* the poll has returned */
void pulse_end(struct pulse *pulse);               /* about to poll */

#endif
