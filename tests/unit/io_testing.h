/* A loop and a fake broker in the test's own process: they turn when the test says so. */
#ifndef UNIT_IO_TESTING_H
#define UNIT_IO_TESTING_H

#include <async/loop.h>
#include <base/bytes.h>
#include <base/clock.h>
#include <base/log.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <fake_broker.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    struct fake_broker *broker;
    struct loop *loop;
    struct posted stop;
    void (*check)(void); /* after each turn; may be NULL */
} rig;

static inline void rig_stop_loop(struct posted *posted)
{
    (void)posted;
    loop_stop(rig.loop);
}

/* One turn of the loop and one of the broker; true when either has more to do. */
static inline bool rig_step(void)
{
    scheduler_post(loop_scheduler(rig.loop), &rig.stop);
    loop_run(rig.loop);
    if (rig.check != NULL)
        rig.check();
    return fake_broker_poll(rig.broker) || scheduler_busy(loop_scheduler(rig.loop));
}

/* The same, and a moment's rest when there is nothing to do. */
static inline bool rig_turn(void)
{
    bool busy = rig_step();
    if (!busy)
        fake_broker_wait(rig.broker, 1);
    return busy;
}

/* Seconds, stretched by $WHIPPET_TEST_PATIENCE (a factor, for slow tools such as Valgrind). */
static inline double rig_patience(double seconds)
{
    const char *factor = getenv("WHIPPET_TEST_PATIENCE");
    return clock_monotonic() + seconds * (factor != NULL ? strtod(factor, NULL) : 1.0);
}

/* Turns until the condition holds. */
#define rig_until(condition)                                                                                 \
    do {                                                                                                     \
        double rig_deadline = rig_patience(20);                                                              \
        while (!(condition)) {                                                                               \
            cr_assert(clock_monotonic() < rig_deadline, "waited in vain: %s", #condition);                   \
            rig_turn();                                                                                      \
        }                                                                                                    \
    } while (0)

/* Until each side has been heard a few times, and nobody has anything to say any more. */
static inline void rig_settle_down(void)
{
    for (int quiet = 0; quiet < 5;)
        quiet = rig_turn() ? 0 : quiet + 1;
}

static inline void rig_turn_for(double seconds)
{
    double until = clock_monotonic() + seconds;
    while (clock_monotonic() < until)
        rig_turn();
}

/* $RIG_LOG shows what is logged. */
static inline void rig_open(void)
{
    struct whippet_failure failure;
    memset(&rig, 0, sizeof rig);
    rig.stop.function = rig_stop_loop;
    if (getenv("RIG_LOG") == NULL)
        log_configure(open("/dev/null", O_WRONLY | O_CLOEXEC), WHIPPET_ERROR, LOG_FORMAT_TEXT);
    rig.broker = fake_broker_create();
    rig.loop = loop_create(64 * 1024, &failure);
    cr_assert_not_null(rig.loop, "%s", failure.text);
}

/* No task may be alive. */
static inline void rig_close(void)
{
    memory_permit = NULL;
    rig_until(loop_scheduler(rig.loop)->tasks == 0);
    const char *breach = fake_broker_breach(rig.broker);
    cr_assert_null(breach, "the broker says: %s", breach);
    loop_destroy(rig.loop);
    fake_broker_destroy(rig.broker);
}

#endif
