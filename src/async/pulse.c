#include "pulse.h"
#include "loop_state.h"
#include <base/clock.h>
#include <sys/timerfd.h>

static const double WINDOW = 15; /* seconds: as often as metrics are usually read */
static const double QUIET = 0.1; /* seconds without a turn, after which the loop counts as idle */

void pulse_init(struct pulse *pulse)
{
    *pulse = (struct pulse){.timer = -1};
}

/* --- The loop's side ------------------------------------------------------------------------------------*/

static void set_pulse_timer(const struct pulse *pulse, double seconds)
{
    struct itimerspec spec = {.it_value.tv_sec = (time_t)seconds};
    spec.it_value.tv_nsec = (long)((seconds - (double)spec.it_value.tv_sec) * 1e9);
    timerfd_settime(pulse->timer, 0, &spec, NULL);
}

static void arm(struct pulse *pulse, double now)
{
    atomic_store(&pulse->look_at, now + LOOP_WATCH_SECONDS);
    atomic_store(&pulse->armed, true);
    set_pulse_timer(pulse, LOOP_WATCH_SECONDS);
}

static void show(struct pulse *pulse, double began)
{
    if (pulse->shown != NULL)
        atomic_store_explicit(pulse->shown, began, memory_order_relaxed);
}

/* In sequence with loop_watch_rest: either we see that nobody is about to look, or they see that a turn has
 * begun. */
void pulse_begin(struct pulse *pulse, double now)
{
    show(pulse, now);
    if (pulse->timer < 0) {
        atomic_store_explicit(&pulse->began, now, memory_order_relaxed);
        return;
    }
    atomic_store(&pulse->began, now);
    if (!atomic_load(&pulse->armed))
        arm(pulse, now);
}

/* One short turn in a quiet while takes its timer back, so that an idle loop wakes up nobody else. */
static void disarm_if_idle(struct pulse *pulse, double began, double now)
{
    double quiet = began - atomic_load_explicit(&pulse->ended, memory_order_relaxed);
    if (quiet < QUIET || now - began > QUIET)
        return;
    set_pulse_timer(pulse, 0);
    atomic_store(&pulse->armed, false);
}

static void note_length(struct pulse *pulse, double length, double now)
{
    if (now >= pulse->window_ends) {
        bool lapsed = now >= pulse->window_ends + WINDOW;
        double before = lapsed ? 0 : atomic_load_explicit(&pulse->longest, memory_order_relaxed);
        atomic_store_explicit(&pulse->longest_before, before, memory_order_relaxed);
        atomic_store_explicit(&pulse->longest, 0, memory_order_relaxed);
        pulse->window_ends = now + WINDOW;
    }
    if (length > atomic_load_explicit(&pulse->longest, memory_order_relaxed))
        atomic_store_explicit(&pulse->longest, length, memory_order_relaxed);
}

void pulse_end(struct pulse *pulse)
{
    double now = clock_monotonic();
    double began = atomic_load_explicit(&pulse->began, memory_order_relaxed);
    if (began == 0)
        return;
    show(pulse, 0);
    note_length(pulse, now - began, now);
    if (pulse->timer >= 0 && atomic_load_explicit(&pulse->armed, memory_order_relaxed))
        disarm_if_idle(pulse, began, now);
    atomic_store_explicit(&pulse->ended, now, memory_order_relaxed);
    atomic_store_explicit(&pulse->began, 0, memory_order_release);
}

/* --- What is seen from other threads --------------------------------------------------------------------*/

double loop_turn_began(const struct loop *loop)
{
    return atomic_load(&loop->pulse.began);
}

double loop_busy_for(const struct loop *loop)
{
    double began = loop_turn_began(loop);
    double length = began > 0 ? clock_monotonic() - began : 0;
    return length > 0 ? length : 0;
}

double loop_lag(const struct loop *loop)
{
    double lag = loop_busy_for(loop);
    double longest = atomic_load_explicit(&loop->pulse.longest, memory_order_relaxed);
    double before = atomic_load_explicit(&loop->pulse.longest_before, memory_order_relaxed);
    lag = longest > lag ? longest : lag;
    return before > lag ? before : lag;
}

void loop_show_turns(struct loop *loop, _Atomic double *where)
{
    loop->pulse.shown = where;
}

void loop_watch(struct loop *loop, int timer)
{
    loop->pulse.timer = timer;
    atomic_store(&loop->pulse.armed, false);
}

double loop_watch_due(const struct loop *loop)
{
    return atomic_load(&loop->pulse.look_at);
}

void loop_watch_again(struct loop *loop, double seconds)
{
    atomic_store(&loop->pulse.look_at, clock_monotonic() + seconds);
    set_pulse_timer(&loop->pulse, seconds);
}

bool loop_watch_rest(struct loop *loop)
{
    atomic_store(&loop->pulse.armed, false);
    if (atomic_load(&loop->pulse.began) == 0)
        return true;
    atomic_store(&loop->pulse.armed, true);
    return false;
}
