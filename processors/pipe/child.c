#include "child.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double BACKOFF_MIN = 0.1; /* seconds before the start after the second failure, doubled up to */
static const double BACKOFF_MAX = 30;
static const double PARTING = 1; /* for a child that has closed a stream to end; for its streams after it */

bool child_create(struct child *child, struct pool *pool, unsigned number)
{
    child->pool = pool;
    child->number = number;
    child->spawned = (struct spawned){.handle = -1, .input = -1, .output = -1, .error = -1};
    child->log = (struct child_log){.level = pool->log, .rate.most = pool->log_rate, .number = number};
    child->calls = calloc(pool->in_flight, sizeof(struct call *));
    child->wake = whippet_event_create();
    child->over = whippet_event_create();
    return child->calls != NULL && child->wake != NULL && child->over != NULL &&
           lines_create(&child->answers, pool->answer_limit) &&
           lines_create(&child->log.lines, CHILD_LOG_LINE);
}

void child_destroy(struct child *child)
{
    lines_destroy(&child->answers);
    lines_destroy(&child->log.lines);
    whippet_event_destroy(child->wake);
    whippet_event_destroy(child->over);
    free(child->calls);
}

/* --- Its end --------------------------------------------------------------------------------------------*/

static int await_exit(whippet_task *task, void *arg)
{
    const struct child *child = arg;
    return whippet_wait_fd(task, child->spawned.handle, WHIPPET_READABLE);
}

/* Its streams may stay open when it has ended: somebody else may have them. */
static int see_exit(whippet_task *task, void *arg)
{
    const struct child *child = arg;
    if (await_exit(task, arg) != WHIPPET_E_CANCELLED)
        whippet_event_set(child->over);
    return 0;
}

/* --- At work --------------------------------------------------------------------------------------------*/

/* Until it is over: 0, or why nothing more can be done. */
static int tend(whippet_task *task, struct child *child)
{
    static whippet_task_function *const functions[CHILD_TASKS] = {child_read_answers, child_read_errors,
                                                                  child_write_requests, see_exit};
    for (int i = 0; i < CHILD_TASKS; i++) {
        child->tasks[i] = whippet_spawn(task, functions[i], child);
        if (child->tasks[i] == NULL) {
            child_refuse(child, "could not be tended: out of memory, or of tasks (max_tasks)");
            break;
        }
    }
    return whippet_event_wait(task, child->over);
}

/* Joins them all; what they return means nothing, and is 0 or above. */
static int join_tasks(whippet_task *task, void *arg)
{
    struct child *child = arg;
    int error = whippet_join_all(task);
    if (error == 0)
        memset(child->tasks, 0, sizeof child->tasks);
    return error;
}

static void stop_tasks(whippet_task *task, struct child *child)
{
    for (int i = 0; i < CHILD_TASKS; i++) {
        if (child->tasks[i] != NULL)
            whippet_cancel(child->tasks[i]);
    }
    join_tasks(task, child);
}

/* --- After its end
 * -----------------------------------------------------------------------------------------*/

/* What it wrote before its end is read, unless it can't be believed: those of its calls are done that it has
 * answered. Where memory is short it is as if it had not written it. */
static void read_rest(whippet_task *task, struct child *child)
{
    child->tasks[0] = whippet_spawn(task, child_read_answers, child);
    child->tasks[1] = whippet_spawn(task, child_read_errors, child);
}

/* Sees to it that it ends, within some seconds, and takes its end. A function for whippet_shield. */
static int finish(whippet_task *task, void *arg)
{
    struct child *child = arg;
    double patience = child->is_stopping ? child->pool->grace : PARTING;
    stop_tasks(task, child);
    child->was_late = pool_leave(child->pool, child);
    child->was_killed = child->was_late || child->problem[0] != '\0';
    spawn_close(&child->spawned.input);
    if (child->was_killed)
        spawn_kill(&child->spawned);
    read_rest(task, child);
    if (whippet_with_timeout(task, patience, await_exit, child) <= 0) {
        child->was_killed = true;
        spawn_kill(&child->spawned);
        await_exit(task, child);
    }
    if (whippet_with_timeout(task, PARTING, join_tasks, child) != 0) {
        /* A process that it has left behind keeps them open. */
        spawn_kill(&child->spawned);
        stop_tasks(task, child);
    }
    child->status = spawn_reap(&child->spawned);
    return 0;
}

/* --- What is said of it ---------------------------------------------------------------------------------*/

static void explain(const struct child *child, long process, char *text, size_t size)
{
    char how[128];
    const char *last = child->log.last;
    spawn_describe(child->status, how, sizeof how);
    if (child->problem[0] != '\0')
        snprintf(text, size, "child %u (process %ld) %s, and was killed", child->number, process,
                 child->problem);
    else if (child->was_late)
        snprintf(text, size, "child %u (process %ld) did not answer a message in time, and was killed",
                 child->number, process);
    else if (child->was_killed)
        snprintf(text, size, "child %u (process %ld) did not end when its %s closed, and was killed",
                 child->number, process, child->is_stopping ? "standard input was" : "streams were");
    else
        snprintf(text, size, "child %u (process %ld) %s%s%s", child->number, process, how,
                 *last != '\0' ? ": " : "", last);
}

/* A child may well end by itself when it has done enough: that is no warning. */
static void report(whippet_task *task, const struct child *child, const char *text, double pause)
{
    bool is_fine = child->status == 0 && child->failures == 0 && !child->was_killed;
    if (child->is_stopping && !child->was_killed)
        return;
    if (child->is_stopping)
        whippet_log(task, WHIPPET_WARNING, "%s", text);
    else
        whippet_log(task, is_fine ? WHIPPET_INFO : WHIPPET_WARNING, "%s; the next starts in %.1f s", text,
                    pause);
}

/* --- Again and again ------------------------------------------------------------------------------------*/

/* The first end after work was done costs no pause: it was a message's. */
static double next_pause(struct child *child)
{
    if (child->answered > 0)
        child->failures = 0;
    if (child->failures == 0)
        return 0;
    unsigned doublings = child->failures < 16 ? child->failures - 1 : 15;
    double pause = BACKOFF_MIN * (1u << doublings);
    return pause < BACKOFF_MAX ? pause : BACKOFF_MAX;
}

/* Seconds until the next start. */
static double fail_to_start(whippet_task *task, struct child *child, int error)
{
    char text[POOL_REASON_SIZE / 2];
    double pause = next_pause(child);
    snprintf(text, sizeof text, "child %u could not be started: %s: %s", child->number,
             child->pool->command[0], strerrordesc_np(error));
    whippet_log(task, WHIPPET_ERROR, "%s; the next try is in %.1f s", text, pause);
    pool_fail(child->pool, child, text);
    return pause;
}

/* From its start to its end. Returns the seconds until the next start. */
static double live(whippet_task *task, struct child *child)
{
    char text[POOL_REASON_SIZE];
    child->answered = 0;
    int error =
        spawn(&child->spawned, child->pool->command, child->pool->environment, child->pool->directory);
    if (error != 0)
        return fail_to_start(task, child, error);
    long process = child->spawned.process;
    child->problem[0] = child->log.last[0] = '\0';
    lines_clear(&child->answers);
    lines_clear(&child->log.lines);
    pool_join(child->pool, child);
    child->is_stopping = tend(task, child) != 0;
    whippet_shield(task, finish, child);
    explain(child, process, text, sizeof text);
    double pause = next_pause(child);
    report(task, child, text, pause);
    pool_fail(child->pool, child, text);
    return pause;
}

int child_keep_up(whippet_task *task, void *arg)
{
    struct child *child = arg;
    int error = 0;
    while (error == 0 && !child->is_stopping) {
        double pause = live(task, child);
        child->failures++;
        error = whippet_sleep(task, pause);
    }
    return error;
}
