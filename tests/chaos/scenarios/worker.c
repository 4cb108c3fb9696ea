/* Workers that end under load. */
#include "faults.h"

SCENARIO(shared, worker_killed)
{
    trial_open(&(struct trial_plan){.name = "worker_killed"});
    trial_start_worker();
    for (unsigned i = 1; i <= 3; i++) {
        trial_await(2500 * i);
        fault_worker_killed();
    }
    trial_close();
}

/* No fault is noted: not one message may be done twice. On a classic queue, since a busy RabbitMQ keeps acks
 * for a quorum queue in the channel (rabbit_fifo_client, when more than 32 commands are under way), and
 * forgets them when the worker closes it. */
SCENARIO(shared, worker_stopped)
{
    trial_open(&(struct trial_plan){.name = "worker_stopped", .type = "classic"});
    trial_start_worker();
    for (unsigned i = 1; i <= 3; i++) {
        trial_await(2500 * i);
        fault_worker_stopped();
    }
    trial_close();
}
