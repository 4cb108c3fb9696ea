#include <async/loop.h>
#include <base/clock.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct loop *loop;
static int pair[2]; /* two ends of a connection, non-blocking */

static void set_up(void)
{
    loop = loop_create(65536, NULL);
    cr_assert_not_null(loop);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
}

static void tear_down(void)
{
    cr_expect_eq(loop_scheduler(loop)->tasks, 0);
    loop_destroy(loop);
    close(pair[0]);
    close(pair[1]);
}

TestSuite(loops, .init = set_up, .fini = tear_down, .timeout = 20);

static void put(int descriptor, const char *text)
{
    cr_assert_eq(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
}

static size_t drain(int descriptor)
{
    char text[4096];
    size_t total = 0;
    ssize_t length;
    while ((length = read(descriptor, text, sizeof text)) > 0)
        total += (size_t)length;
    return total;
}

/* --- Coming and going -----------------------------------------------------------------------------------*/

static int permitted;

static bool permit_some(size_t size)
{
    (void)size;
    return permitted-- > 0;
}

Test(loops, cannot_be_had_without_memory)
{
    for (int some = 0; some < 10; some++) {
        struct whippet_failure failure = {0};
        permitted = some;
        memory_permit = permit_some;
        struct loop *other = loop_create(65536, &failure);
        memory_permit = NULL;
        if (other != NULL) {
            loop_destroy(other);
            return;
        }
        cr_expect_eq(failure.error, WHIPPET_E_MEMORY, "%d", failure.error);
    }
    cr_assert(false, "ten allocations are not enough");
}

Test(loops, refuse_a_stack_size_that_makes_no_sense)
{
    struct whippet_failure failure = {0};
    cr_expect_null(loop_create(1000, &failure));
    cr_expect_eq(failure.error, WHIPPET_E_INVALID, "%d", failure.error);
}

Test(loops, that_were_never_made_need_no_destroying)
{
    loop_destroy(NULL);
}

Test(loops, stopped_before_they_run_return_at_once)
{
    loop_stop(loop);
    loop_run(loop);
}

/* --- Time -----------------------------------------------------------------------------------------------*/

static int sleeps_and_stops(whippet_task *task, void *arg)
{
    int error = whippet_sleep(task, *(double *)arg);
    loop_stop(loop_of_task(task));
    return error;
}

Test(loops, wake_for_the_next_timer)
{
    double seconds = 0.050;
    double before = loop_refresh_now(loop);
    task_start(loop_scheduler(loop), sleeps_and_stops, &seconds, INFINITY, NULL, NULL, NULL);
    loop_run(loop);
    double took = clock_monotonic() - before;
    cr_expect_geq(took, 0.050, "%g", took);
    cr_expect_lt(took, 5.0, "%g", took);
}

Test(loops, tell_the_time_of_the_monotonic_clock)
{
    double before = clock_monotonic();
    double now = loop_refresh_now(loop);
    double after = clock_monotonic();
    cr_expect(before <= now && now <= after, "%f is not between %f and %f", now, before, after);
    cr_expect_eq(loop_now(loop), now);
}

static int sleeps_and_notes(whippet_task *task, void *arg)
{
    double *moments = arg;
    for (int i = 0; i < 3; i++) {
        whippet_sleep(task, 0.010);
        moments[i] = loop_now(loop);
    }
    loop_stop(loop);
    return 0;
}

Test(loops, read_the_clock_once_a_turn)
{
    double moments[3];
    task_start(loop_scheduler(loop), sleeps_and_notes, moments, INFINITY, NULL, NULL, NULL);
    loop_run(loop);
    cr_expect(moments[0] + 0.0099 < moments[1] && moments[1] + 0.0099 < moments[2], "%f %f %f", moments[0],
              moments[1], moments[2]);
}

Test(loops, are_known_to_their_tasks)
{
    struct scheduler other;
    double forever = INFINITY;
    whippet_task *task =
        task_start(loop_scheduler(loop), sleeps_and_stops, &forever, INFINITY, NULL, NULL, NULL);
    cr_expect_eq(loop_of_task(task), loop);
    task_cancel(task);
    loop_run(loop);
    cr_assert_eq(scheduler_init(&other, 65536, NULL), 0);
    cr_expect_null(other.loop);
    scheduler_destroy(&other);
}

static double processor_time(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}

static size_t turns;

static void count_turn(struct posted *posted)
{
    if (++turns < 1000)
        scheduler_post(loop_scheduler(loop), posted);
    else
        loop_stop(loop);
}

Test(loops, that_are_idle_do_not_turn)
{
    double seconds = 0.300;
    loop_refresh_now(loop);
    task_start(loop_scheduler(loop), sleeps_and_stops, &seconds, INFINITY, NULL, NULL, NULL);
    double before = processor_time();
    loop_run(loop);
    double used = processor_time() - before;
    cr_expect_lt(used, 0.050, "an idle loop used %g seconds of processor time in 0.3", used);
}

static void stop(struct posted *posted)
{
    (void)posted;
    loop_stop(loop);
}

/* Nothing is there to end a wait: a loop that waited even once would never come back. */
Test(loops, do_not_wait_while_the_scheduler_is_busy)
{
    struct posted counting = {.function = count_turn};
    scheduler_post(loop_scheduler(loop), &counting);
    loop_run(loop);
    cr_expect_eq(turns, 1000, "%zu turns", turns);
}

Test(loops, end_the_turn_in_which_they_are_stopped)
{
    struct posted first = {.function = stop};
    struct posted second = {.function = count_turn};
    scheduler_post(loop_scheduler(loop), &first);
    scheduler_post(loop_scheduler(loop), &second);
    loop_run(loop);
    cr_expect_eq(turns, 1, "%zu", turns);
    posted_cancel(&second);
}

/* --- Descriptors ----------------------------------------------------------------------------------------*/

struct seen {
    struct watch *watch;
    int events;
    size_t count;
};

static void see(void *owner, int events)
{
    struct seen *seen = owner;
    seen->events |= events;
    seen->count++;
    loop_stop(loop);
}

Test(loops, tell_when_a_descriptor_is_readable)
{
    struct seen seen = {0};
    struct watch *watch = watch_create(loop, pair[0], see, &seen);
    watch_set(watch, WHIPPET_READABLE);
    put(pair[1], "x");
    loop_run(loop);
    cr_expect_eq(seen.events, WHIPPET_READABLE, "%d", seen.events);
    watch_destroy(watch);
}

Test(loops, tell_when_a_descriptor_is_writable)
{
    struct seen seen = {0};
    struct watch *watch = watch_create(loop, pair[0], see, &seen);
    watch_set(watch, WHIPPET_READABLE | WHIPPET_WRITABLE);
    loop_run(loop);
    cr_expect_eq(seen.events, WHIPPET_WRITABLE, "%d", seen.events);
    watch_destroy(watch);
}

static void run_for(double seconds)
{
    loop_refresh_now(loop);
    task_start(loop_scheduler(loop), sleeps_and_stops, &seconds, INFINITY, NULL, NULL, NULL);
    loop_run(loop);
}

static void count(void *owner, int events)
{
    struct seen *seen = owner;
    seen->events |= events;
    seen->count++;
}

Test(loops, tell_nothing_of_a_descriptor_that_is_not_watched_any_more)
{
    struct seen seen = {0};
    struct watch *watch = watch_create(loop, pair[0], count, &seen);
    put(pair[1], "x");
    run_for(0.010);
    cr_expect_eq(seen.count, 0, "nothing is watched at first");
    watch_set(watch, WHIPPET_READABLE);
    run_for(0.010);
    cr_expect_gt(seen.count, 0);
    watch_set(watch, 0);
    seen.count = 0;
    run_for(0.010);
    cr_expect_eq(seen.count, 0, "%zu", seen.count);
    watch_set(watch, WHIPPET_READABLE);
    watch_set(watch, WHIPPET_WRITABLE);
    watch_set(watch, WHIPPET_WRITABLE);
    seen.events = 0;
    run_for(0.010);
    cr_expect_eq(seen.events, WHIPPET_WRITABLE, "%d", seen.events);
    watch_destroy(watch);
}

static void destroy_itself(void *owner, int events)
{
    (void)events;
    struct seen *seen = owner;
    seen->count++;
    watch_destroy(seen->watch);
    loop_stop(loop);
}

Test(loops, let_a_watch_be_destroyed_from_inside_its_function)
{
    struct seen seen = {0};
    seen.watch = watch_create(loop, pair[0], destroy_itself, &seen);
    watch_set(seen.watch, WHIPPET_WRITABLE);
    loop_run(loop);
    run_for(0.010);
    cr_expect_eq(seen.count, 1, "%zu", seen.count);
}

struct rivals {
    struct watch *watches[2];
    size_t count;
};

static struct rivals rivals;

static void destroy_both(void *owner, int events)
{
    (void)owner, (void)events;
    rivals.count++;
    watch_destroy(rivals.watches[0]);
    watch_destroy(rivals.watches[1]);
    loop_stop(loop);
}

Test(loops, let_a_watch_be_destroyed_that_is_about_to_be_told)
{
    for (int i = 0; i < 2; i++) {
        rivals.watches[i] = watch_create(loop, pair[i], destroy_both, NULL);
        watch_set(rivals.watches[i], WHIPPET_WRITABLE);
    }
    loop_run(loop);
    run_for(0.010);
    cr_expect_eq(rivals.count, 1, "%zu", rivals.count);
}

Test(loops, tell_a_closed_peer_by_readiness)
{
    struct seen seen = {0};
    struct watch *watch = watch_create(loop, pair[0], see, &seen);
    watch_set(watch, WHIPPET_READABLE);
    shutdown(pair[1], SHUT_RDWR);
    loop_run(loop);
    cr_expect_eq(seen.events, WHIPPET_READABLE, "%d", seen.events);
    cr_expect_eq(drain(pair[0]), 0);
    watch_destroy(watch);
}

Test(loops, find_a_number_again_that_was_closed_and_opened_anew)
{
    struct seen seen = {0};
    struct watch *watch = watch_create(loop, pair[0], count, &seen);
    watch_set(watch, WHIPPET_READABLE);
    run_for(0.005);
    watch_destroy(watch);
    close(pair[0]);
    close(pair[1]);

    int number = pair[0];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    cr_assert(pair[0] == number || pair[1] == number);
    watch = watch_create(loop, pair[0], see, &seen);
    watch_set(watch, WHIPPET_READABLE);
    put(pair[1], "x");
    loop_run(loop);
    cr_expect_eq(seen.events, WHIPPET_READABLE);
    watch_destroy(watch);
}

Test(loops, cannot_watch_without_memory)
{
    permitted = 0;
    memory_permit = permit_some;
    cr_expect_null(watch_create(loop, pair[0], see, NULL));
    memory_permit = NULL;
    watch_destroy(NULL);
}

/* --- Gathering ------------------------------------------------------------------------------------------*/

enum {
    POLLS = 5
};

static void read_all(void *owner, int events)
{
    (void)events;
    *(size_t *)owner += drain(pair[0]);
}

/* Each write is read in a poll of its own. */
static int writes_now_and_then(whippet_task *task, void *arg)
{
    size_t *bytes = arg;
    for (size_t i = 1; i <= POLLS; i++) {
        put(pair[1], "x");
        while (*bytes < i)
            whippet_sleep(task, 0.0001);
    }
    loop_stop(loop);
    return 0;
}

static double seconds_of_polls(double gather)
{
    size_t bytes = 0;
    struct watch *watch = watch_create(loop, pair[0], read_all, &bytes);
    watch_set(watch, WHIPPET_READABLE);
    loop_set_gather(loop, gather);
    loop_refresh_now(loop);
    task_start(loop_scheduler(loop), writes_now_and_then, &bytes, INFINITY, NULL, NULL, NULL);
    double before = clock_monotonic();
    loop_run(loop);
    watch_destroy(watch);
    return clock_monotonic() - before;
}

Test(loops, that_gather_let_time_pass_between_polls_until_they_are_told_to_stop)
{
    double gathered = seconds_of_polls(0.020);
    cr_expect_geq(gathered, (POLLS - 1) * 0.020, "%d polls took %g seconds", POLLS, gathered);
    /* Without it they take as long only when the machine is busy with something else. */
    double plain = INFINITY;
    for (int tries = 0; tries < 50 && plain > gathered / 2; tries++)
        plain = seconds_of_polls(0);
    cr_expect_lt(plain, gathered / 2, "%d polls took %g seconds, %g when gathered", POLLS, plain, gathered);
}

/* --- Signals --------------------------------------------------------------------------------------------*/

static void count_signal(void *owner)
{
    ++*(size_t *)owner;
    loop_stop(loop);
}

Test(loops, tell_of_signals)
{
    size_t count_of_them = 0;
    cr_assert(loop_on_signal(loop, SIGUSR1, count_signal, &count_of_them));
    raise(SIGUSR1);
    cr_expect_eq(count_of_them, 0, "on the loop's stack, and nowhere else");
    loop_run(loop);
    cr_expect_eq(count_of_them, 1);
    kill(getpid(), SIGUSR1);
    loop_run(loop);
    cr_expect_eq(count_of_them, 2);
}

static int is_interrupted(whippet_task *task, void *arg)
{
    (void)task, (void)arg;
    raise(SIGUSR1);
    return 0;
}

Test(loops, tell_of_signals_that_come_while_a_task_runs)
{
    size_t count_of_them = 0;
    cr_assert(loop_on_signal(loop, SIGUSR1, count_signal, &count_of_them));
    task_start(loop_scheduler(loop), is_interrupted, NULL, INFINITY, NULL, NULL, NULL);
    loop_run(loop);
    cr_expect_eq(count_of_them, 1);
}

Test(loops, take_one_function_a_signal_and_only_signals_that_can_be_caught)
{
    size_t count_of_them = 0;
    cr_expect(loop_on_signal(loop, SIGUSR2, count_signal, &count_of_them));
    cr_expect_not(loop_on_signal(loop, SIGUSR2, count_signal, &count_of_them));
    static const int wrong[] = {0, -1, 32, 33, 65, 1000, SIGKILL, SIGSTOP};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect_not(loop_on_signal(loop, wrong[i], count_signal, &count_of_them), "%d", wrong[i]);
    permitted = 0;
    memory_permit = permit_some;
    cr_expect_not(loop_on_signal(loop, SIGHUP, count_signal, &count_of_them));
    memory_permit = NULL;
}
