#include <base/clock.h>
#include <base/log.h>
#include <base/memory.h>
#include <base/thread.h>
#include <config/units.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <worker/crash.h>
#include <worker/watchdog.h>

static const double NOTICED_AFTER = 1.0; /* seconds */
static const double LOOK = 0.5;          /* seconds between two looks at a loop that is at work */
static const double LATE = 0.25; /* seconds that the watchdog may wake late without it meaning anything */

struct watchdog {
    struct loop *loop;
    struct watchdog_options options;
    pthread_t watched;
    pthread_t thread;
    int timer; /* timerfd; the loop sets it, too */
    int end;   /* eventfd */
    struct sigaction before;

    /* The turn that is looked at. */
    double began;    /* a moment; 0: none */
    double forgiven; /* seconds of it in which we did not run either */
    double next;     /* it is reported at this age */
    bool reported;
};

/* --- In the loop's thread -------------------------------------------------------------------------------*/

static char words[128]; /* of the report asked for; the asking thread waits until `answered` */
static atomic_bool asked;
static atomic_bool answered;

static void answer(int signal_number)
{
    int error_before = errno;
    const struct log_fields *fields = crash_here();
    (void)signal_number;
    if (!atomic_exchange(&asked, false))
        return; /* the signal came from elsewhere */
    log_event_from_signal(fields, words);
    crash_log_stack(fields);
    atomic_store(&answered, true);
    errno = error_before;
}

/* --- Looking --------------------------------------------------------------------------------------------*/

/* Waits for the answer, since it uses `words`; not for long, as the loop may be in the kernel. */
static void report(const struct watchdog *watchdog, double age)
{
    const struct timespec nap = {.tv_nsec = 10000000};
    char so_far[UNITS_TEXT_SIZE];
    duration_format(floor(age * 10) / 10, so_far);
    if (!atomic_exchange(&answered, false)) {
        log_event(WHIPPET_WARNING, NULL, "the loop is blocked for %s now, and does not even answer a signal",
                  so_far);
        return;
    }
    snprintf(words, sizeof words, "the loop is blocked for %s now: nothing else is served meanwhile", so_far);
    atomic_store(&asked, true);
    pthread_kill(watchdog->watched, SIGURG);
    for (int i = 0; i < 20 && !atomic_load(&answered); i++)
        nanosleep(&nap, NULL);
}

static bool is_traced(void)
{
    char line[128];
    int tracer = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "TracerPid: %d", &tracer) == 1)
            break;
    if (status != NULL)
        fclose(status);
    return tracer != 0;
}

static void give_up(struct watchdog *watchdog, double age)
{
    if (is_traced()) {
        watchdog->forgiven += age;
        log_event(WHIPPET_WARNING, NULL, "the loop is blocked past stall_limit, but a debugger is attached");
        return;
    }
    ledger_note_stall(watchdog->options.ledger, watchdog->options.slot, age);
    log_event(WHIPPET_ERROR, NULL,
              "the loop was blocked for longer than stall_limit: the process ends, with status 70, so that "
              "whatever "
              "supervises it starts it anew");
    watchdog->options.gave_up(watchdog->options.owner);
}

static void end_turn(struct watchdog *watchdog, double now)
{
    if (watchdog->reported) {
        char length[UNITS_TEXT_SIZE];
        duration_format(floor((now - watchdog->began - watchdog->forgiven) * 10) / 10, length);
        log_event(WHIPPET_WARNING, NULL, "the loop goes on; it was blocked for about %s", length);
    }
    watchdog->began = 0;
}

static void begin_turn(struct watchdog *watchdog, double began)
{
    watchdog->began = began;
    watchdog->forgiven = 0;
    watchdog->next = NOTICED_AFTER;
    watchdog->reported = false;
}

/* `late`: how long after the moment it was to be. */
static void look(struct watchdog *watchdog, double late)
{
    double now = clock_monotonic();
    double began = loop_turn_began(watchdog->loop);
    if (watchdog->began != 0 && watchdog->began != began)
        end_turn(watchdog, now);
    if (began == 0)
        return;
    if (watchdog->began == 0)
        begin_turn(watchdog, began);
    if (late > LATE)
        watchdog->forgiven += fmin(late, now - began - watchdog->forgiven);
    double age = now - began - watchdog->forgiven;
    if (age >= watchdog->next) {
        report(watchdog, age);
        watchdog->reported = true;
        watchdog->next = age * 2;
    }
    if (age >= watchdog->options.limit)
        give_up(watchdog, age);
}

/* Sleeps on where the loop does nothing; while it is at work, whether in one turn or in many, looks on. */
static void look_and_sleep(struct watchdog *watchdog, double *seen)
{
    double due = loop_watch_due(watchdog->loop);
    look(watchdog, clock_monotonic() - due);
    double began = loop_turn_began(watchdog->loop);
    bool idle = began == 0 && *seen == 0;
    *seen = began;
    if (!idle || !loop_watch_rest(watchdog->loop))
        loop_watch_again(watchdog->loop, LOOK);
}

static void *watch(void *argument)
{
    struct watchdog *watchdog = argument;
    struct pollfd events[] = {{.fd = watchdog->timer, .events = POLLIN},
                              {.fd = watchdog->end, .events = POLLIN}};
    double seen = 0;
    uint64_t expirations;
    while (poll(events, 2, -1) < 0 || events[1].revents == 0) {
        if (read(watchdog->timer, &expirations, sizeof expirations) == (ssize_t)sizeof expirations)
            look_and_sleep(watchdog, &seen);
    }
    return NULL;
}

/* --- Coming and going -----------------------------------------------------------------------------------*/

static void release(struct watchdog *watchdog)
{
    if (watchdog->timer >= 0)
        close(watchdog->timer);
    if (watchdog->end >= 0)
        close(watchdog->end);
    memory_free(watchdog);
}

struct watchdog *watchdog_start(struct loop *loop, const struct watchdog_options *options,
                                struct whippet_failure *failure)
{
    struct sigaction action = {.sa_handler = answer, .sa_flags = SA_RESTART | SA_ONSTACK};
    struct watchdog *watchdog = memory_allocate_zeroed(sizeof *watchdog);
    if (watchdog == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory for the watchdog");
        return NULL;
    }
    watchdog->loop = loop;
    watchdog->options = *options;
    watchdog->watched = pthread_self();
    watchdog->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    watchdog->end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = watchdog->timer < 0 || watchdog->end < 0 ? errno : 0;
    if (error == 0) {
        atomic_store(&answered, true);
        sigaction(SIGURG, &action, &watchdog->before);
        loop_watch(loop, watchdog->timer);
        error = thread_start(&watchdog->thread, "whippet-watch", watch, watchdog);
    }
    if (error == 0)
        return watchdog;
    failure_set(failure, WHIPPET_E_SYSTEM, "no watchdog: %s", strerrordesc_np(error));
    loop_watch(loop, -1);
    release(watchdog);
    return NULL;
}

void watchdog_stop(struct watchdog *watchdog)
{
    const uint64_t one = 1;
    if (watchdog == NULL)
        return;
    if (write(watchdog->end, &one, sizeof one) == (ssize_t)sizeof one)
        pthread_join(watchdog->thread, NULL);
    loop_watch(watchdog->loop, -1);
    sigaction(SIGURG, &watchdog->before, NULL);
    release(watchdog);
}
