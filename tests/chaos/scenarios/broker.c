/* Brokers that go, hang, or take no messages for a while. */
#include "faults.h"
#include <string.h>

SCENARIO(private, broker_killed)
{
    trial_open(&(struct trial_plan){.name = "broker_killed"});
    trial_start_worker();
    trial_await(3000);
    fault_broker_killed();
    trial_await(6000);
    fault_broker_killed();
    trial_close();
}

SCENARIO(private, broker_restarted)
{
    trial_open(&(struct trial_plan){.name = "broker_restarted"});
    trial_start_worker();
    trial_await(5000);
    fault_broker_restarted();
    trial_close();
}

/* Long enough for the worker to give it up, and for it to find, when it wakes, that everybody has gone. */
SCENARIO(private, broker_paused)
{
    trial_open(&(struct trial_plan){.name = "broker_paused", .amqp = "'heartbeat': '2s'", .alone = true});
    trial_start_worker();
    trial_await(5000);
    fault_broker_paused(trial_seconds(8, 60));
    trial_close();
}

/* What is to be dead-lettered waits, what is done with is acked meanwhile, and nothing is done twice. */
static void outlast_alarm(const char *name, void (*fault)(double seconds))
{
    unsigned handled;

    trial_open(&(struct trial_plan){.name = name, .reject_every = 10, .alone = true});
    trial_start_worker();
    trial_await(3000);
    handled = trial_handled();
    fault(trial_seconds(4, 60));
    cr_assert_geq(trial_handled(), handled + 100, "the alarm stopped all work");
    trial_close();
}

SCENARIO(private, memory_alarm)
{
    outlast_alarm("memory_alarm", fault_memory_alarm);
}

SCENARIO(private, disk_alarm)
{
    outlast_alarm("disk_alarm", fault_disk_alarm);
}

static void set_consumer_timeout(unsigned timeout, unsigned interval)
{
    cr_assert_str_eq(broker_eval(stage_broker(),
                                 "application:set_env(rabbit, consumer_timeout, %u), "
                                 "application:set_env(rabbit, channel_tick_interval, %u)",
                                 timeout, interval),
                     "ok");
}

static bool broker_cancels_consumers(void)
{
    return strcmp(broker_eval(stage_broker(),
                              "rabbit_misc:version_compare(rabbit_misc:version(), \"4.3.0\", gte)"),
                  "true") == 0;
}

/* Five messages take longer than the broker waits for an ack: it closes the channel (from 4.3 on it cancels
 * the consumer), and all that was in flight on it comes again. */
SCENARIO(private, consumer_timeout)
{
    set_consumer_timeout(3000, 500);
    trial_open(&(struct trial_plan){
        .name = "consumer_timeout", .settings = "'slow_every': 2000, 'slow': '6s'", .alone = true});
    trial_start_worker();
    trial_await(9900);
    for (unsigned i = worker_said(trial_worker(), "no longer consuming"); i > 0; i--) {
        trial_fault();
    }
    cr_assert_gt(
        worker_said(trial_worker(), broker_cancels_consumers() ? "the broker cancelled" : "timed out"), 0,
        "no timeout has passed");
    trial_close();
    set_consumer_timeout(1800000, 60000);
}
