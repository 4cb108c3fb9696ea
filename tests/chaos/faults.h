/* What can go wrong, each fault from its beginning to its end. All note themselves in the trial's account. */
#ifndef TESTS_CHAOS_FAULTS_H
#define TESTS_CHAOS_FAULTS_H

#include "trial.h"

/* The worker ends, and another one starts. */
void fault_worker_killed(void);
void fault_worker_stopped(void);

/* The broker ends as by a power cut, or in good order, and starts again; or hangs for a while. */
void fault_broker_killed(void);
void fault_broker_restarted(void);
void fault_broker_paused(double seconds);

/* An alarm: the broker takes no messages for a while, and the worker has heard of it. */
void fault_memory_alarm(double seconds);
void fault_disk_alarm(double seconds);

/* By trial_proxy(). `way`: "up" (to the broker), "down" or "both". */
void fault_cut(void);
void fault_reset(void);
void fault_held(double seconds);
void fault_swallowed(const char *way, double seconds);
void fault_refused(double seconds);
void fault_hanging(double seconds);
void fault_corrupted(unsigned offset);
void fault_slow(double delay, unsigned bytes_per_second, double seconds); /* nothing is lost by that */

#endif
