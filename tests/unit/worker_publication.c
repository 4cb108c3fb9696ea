/* What a processor publishes from another thread than the main loop's: an errand that lies on its stack. */
#include "worker_testing.h"
#include <time.h>
#include <whippet/publish.h>

enum {
    OVERWRITTEN = 16 * 1024
};

static const double TIMEOUT = 3;     /* seconds, of the attempt and so of the publication */
static const double HELD_UP = 0.1;   /* that the thread is late for its deadline */
static const double MAIN_LATE = 0.4; /* the main loop is, by more than that */
static int published;

static void sleep_until(double moment)
{
    double left = moment - clock_monotonic();
    struct timespec pause = {.tv_sec = (time_t)left};
    pause.tv_nsec = (long)((left - (double)pause.tv_sec) * 1e9);
    if (left > 0)
        nanosleep(&pause, NULL);
}

/* Keeps the thread's loop from its timers over the deadline. */
static int hold_up(whippet_task *task, void *arg)
{
    double deadline = clock_monotonic() + whippet_time_left(task);
    (void)arg;
    whippet_sleep(task, whippet_time_left(task) - HELD_UP);
    sleep_until(deadline + HELD_UP);
    return 0;
}

/* Where the errand lay. */
__attribute__((noinline)) static void overwrite_stack(void)
{
    volatile char stack[OVERWRITTEN];
    for (size_t i = 0; i < sizeof stack; i++)
        stack[i] = (char)0xA5;
}

static whippet_verdict publish_and_go(whippet_task *task, const whippet_message *message, void *state)
{
    whippet_publication publication = {.routing_key = "elsewhere", .body = whippet_body(message)};
    (void)state;
    cr_assert_not_null(whippet_spawn(task, hold_up, NULL));
    published = whippet_publish(task, &publication);
    overwrite_stack();
    return WHIPPET_ACK;
}

static struct {
    struct timer timer;
    double until;
} late;

static void be_late(struct timer *timer)
{
    (void)timer;
    sleep_until(late.until);
}

TestSuite(publication, .fini = work_close, .timeout = 180);

/* The deadline is the same for both loops, so that each may take the publication for its own to end. */
Test(publication, of_a_thread_is_not_touched_once_both_loops_have_given_it_up_at_once)
{
    work_open("{\"name\":\"q\",\"processor\":\"counting\",\"run\":\"thread\",\"timeout\":\"3s\"}");
    work.plugins[0].descriptor.process = publish_and_go;
    rig.broker->confirm = FAKE_HOLDS;
    work_deliver("q", "x");
    rig_until(fake_published(rig.broker) == 1);
    struct list *first = work_subscription(0)->at_work.next;
    double deadline = list_entry(first, struct delivery, link)->started_at + TIMEOUT;

    /* Within the turn in which the main loop gives it up, the thread does so as well. */
    late.timer.function = be_late;
    late.until = deadline + MAIN_LATE;
    sleep_until(deadline + HELD_UP / 4);
    timer_start(&loop_scheduler(rig.loop)->timers, &late.timer, deadline - 0.001);
    rig_step();
    sleep_until(deadline + 2 * MAIN_LATE);
    rig_until(rig.broker->acked == 1);
    cr_assert_eq(published, WHIPPET_E_TIMEOUT, "%s", whippet_error_text(published));
}
