#include "faults.h"

#include <math.h>

/* --- The worker -----------------------------------------------------------------------------------------*/

void fault_worker_killed(void)
{
    trial_kill_worker();
    trial_start_worker();
}

/* It finishes what it began and returns the rest, so that nothing is done twice. */
void fault_worker_stopped(void)
{
    worker_stop(trial_worker(), 30);
    trial_start_worker();
}

/* --- The broker -----------------------------------------------------------------------------------------*/

void fault_broker_killed(void)
{
    trial_fault();
    broker_kill(stage_broker());
    stage_start_broker();
}

void fault_broker_restarted(void)
{
    trial_fault();
    broker_stop(stage_broker());
    stage_start_broker();
}

void fault_broker_paused(double seconds)
{
    trial_fault();
    broker_pause(stage_broker());
    trial_last(seconds);
    broker_resume(stage_broker());
}

/* From `raise` to `clear`, two Erlang expressions. */
static void fault_alarm(const char *raise, const char *clear, double seconds)
{
    unsigned raised = worker_said(trial_worker(), "raised an alarm"),
             cleared = worker_said(trial_worker(), "alarm is over");

    cr_assert_str_eq(broker_eval(stage_broker(), "%s", raise), "ok", "no alarm could be raised");
    await(30, worker_said(trial_worker(), "raised an alarm") > raised, "the worker to hear of the alarm");
    trial_last(seconds);
    cr_assert_str_eq(broker_eval(stage_broker(), "%s", clear), "ok", "the alarm could not be cleared");
    await(30, worker_said(trial_worker(), "alarm is over") > cleared,
          "the worker to hear of the alarm's end");
}

void fault_memory_alarm(double seconds)
{
    fault_alarm("vm_memory_monitor:set_vm_memory_high_watermark(1.0e-6)",
                "vm_memory_monitor:set_vm_memory_high_watermark(0.4)", seconds);
}

void fault_disk_alarm(double seconds)
{
    fault_alarm("rabbit_disk_monitor:set_disk_free_limit(\"900000GB\")",
                "rabbit_disk_monitor:set_disk_free_limit(\"16MB\")", seconds);
}

/* --- The network ----------------------------------------------------------------------------------------*/

void fault_cut(void)
{
    trial_fault();
    proxy_say(trial_proxy(), "cut");
}

void fault_reset(void)
{
    trial_fault();
    proxy_say(trial_proxy(), "reset");
}

void fault_held(double seconds)
{
    trial_fault();
    proxy_say(trial_proxy(), "hold");
    trial_last(seconds);
    proxy_say(trial_proxy(), "pass");
}

void fault_swallowed(const char *way, double seconds)
{
    trial_fault();
    proxy_say(trial_proxy(), "swallow %s", way);
    trial_last(seconds);
    proxy_say(trial_proxy(), "pass");
}

static void fault_unreachable(const char *how, double seconds)
{
    trial_fault();
    proxy_say(trial_proxy(), "%s", how);
    proxy_say(trial_proxy(), "cut");
    trial_last(seconds);
    proxy_say(trial_proxy(), "accept");
    /* Those that hang would do so for ever. */
    proxy_say(trial_proxy(), "reset");
}

void fault_refused(double seconds)
{
    fault_unreachable("refuse", seconds);
}

void fault_hanging(double seconds)
{
    fault_unreachable("hang", seconds);
}

void fault_corrupted(unsigned offset)
{
    unsigned long before = proxy_status(trial_proxy()).corrupted;

    trial_fault();
    trial_damaged(1);
    proxy_say(trial_proxy(), "corrupt down %u", offset);
    await(60, proxy_status(trial_proxy()).corrupted > before, "a byte to corrupt");
}

void fault_slow(double delay, unsigned bytes_per_second, double seconds)
{
    proxy_say(trial_proxy(), "delay %ld", lround(delay * 1000));
    proxy_say(trial_proxy(), "throttle %u", bytes_per_second);
    trial_last(seconds);
    proxy_say(trial_proxy(), "pass");
}
