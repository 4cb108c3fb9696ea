#include "exec_child.h"
#include "exec_pump.h"
#include <async/loop.h>
#include <async/task.h>
#include <base/bytes.h>
#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <whippet/exec.h>

/* How long a child that has ended may leave its output open: a process it started and left behind has it
 * then, and would keep us waiting for ever. */
static const double grace = 1.0; /* seconds */

/* Most commands end soon and write little, which the pipes keep until then. Only of those that go on is the
 * output watched: who writes more than a pipe holds at once waits as long, once. */
static const double patience = 0.02; /* seconds */

/* One call of whippet_exec. On the stack of its task, which does not end before the pumps have stopped. */
struct run {
    whippet_task *task;
    struct child child;
    struct watch *exit_watch; /* NULL once the child has ended */
    struct waiter changed;    /* woken when the child ends, and when an output does */
    struct feeder input;
    struct feeder extra_input;
    struct collector output;
    struct collector error;
};

static void run_changed(void *owner)
{
    struct run *run = owner;
    if (!run->changed.woken)
        waiter_wake(&run->changed, 0);
}

static void run_child_ended(void *owner, int events)
{
    struct run *run = owner;
    (void)events;
    watch_destroy(run->exit_watch);
    run->exit_watch = NULL;
    run_changed(run);
}

static bool run_output_is_open(const struct run *run)
{
    return collector_is_open(&run->output) || collector_is_open(&run->error);
}

static void run_init(struct run *run, whippet_task *task, const whippet_command *command)
{
    *run = (struct run){.task = task};
    waiter_init(&run->changed);
    feeder_init(&run->input, command->input);
    feeder_init(&run->extra_input, command->extra_input);
    collector_init(&run->output, COLLECTOR_BEGINNING, command->output_limit, run_changed, run);
    collector_init(&run->error, COLLECTOR_END, command->error_limit, run_changed, run);
}

/* False when memory is short. */
static bool run_start_pumps(struct run *run)
{
    struct loop *loop = loop_of_task(run->task);
    int *ends = run->child.ends;
    bool has_extra_input = ends[CHILD_EXTRA_INPUT] >= 0;
    collector_take(&run->output, &ends[CHILD_OUTPUT]);
    collector_take(&run->error, &ends[CHILD_ERROR]);
    return feeder_start(&run->input, loop, &ends[CHILD_INPUT]) &&
           (!has_extra_input || feeder_start(&run->extra_input, loop, &ends[CHILD_EXTRA_INPUT]));
}

/* Awaits the next change, until the moment `until` at most: TIMEOUT then, and task_struck is 0, unless the
 * deadline strikes, or a cancellation, at the same time. */
static int run_await_change(struct run *run, double until)
{
    int error = waiter_wait(run->task, &run->changed, until, "running a command");
    waiter_init(&run->changed);
    if (error == WHIPPET_E_TIMEOUT && task_struck(run->task) != 0)
        return task_struck(run->task);
    if (error == 0 && (run->output.starved || run->error.starved))
        return WHIPPET_E_MEMORY;
    return error;
}

/* 0 or MEMORY. */
static int run_watch_output(struct run *run)
{
    struct loop *loop = loop_of_task(run->task);
    return collector_watch(&run->output, loop) && collector_watch(&run->error, loop) ? 0 : WHIPPET_E_MEMORY;
}

/* What is left of the output once the child has ended. */
static int run_await_output(struct run *run)
{
    double until = loop_now(loop_of_task(run->task)) + grace;
    int error = run_watch_output(run);
    while (error == 0 && run_output_is_open(run))
        error = run_await_change(run, until);
    if (error == WHIPPET_E_TIMEOUT && task_struck(run->task) == 0) {
        child_kill(&run->child);
        return 0;
    }
    return error;
}

/* Until the child has ended. */
static int run_await_exit(struct run *run)
{
    int error = run_await_change(run, loop_now(loop_of_task(run->task)) + patience);
    if (error == WHIPPET_E_TIMEOUT && task_struck(run->task) == 0)
        error = run_watch_output(run);
    while (error == 0 && run->exit_watch != NULL)
        error = run_await_change(run, INFINITY);
    return error;
}

static int run_await_end(struct run *run)
{
    struct collector *const outputs[] = {&run->output, &run->error};
    int error = run_await_exit(run);
    if (error != 0)
        return error;
    collectors_drain(outputs, 2);
    if (run->output.starved || run->error.starved)
        return WHIPPET_E_MEMORY;
    return run_output_is_open(run) ? run_await_output(run) : 0;
}

/* Until the child has died of a kill: not long, unless it hangs inside the system. The loop goes on. */
static void run_await_death(struct run *run)
{
    while (run->exit_watch != NULL) {
        waiter_wait_shielded(run->task, &run->changed, "killing a command");
        waiter_init(&run->changed);
    }
}

/* Returns the status as wait(2) has it. The child was not reaped before, so that its number, which is its
 * group's too, could not become anyone else's while it might be killed. */
static int run_finish(struct run *run, int error)
{
    if (error != 0) {
        child_kill(&run->child);
        run_await_death(run);
    }
    feeder_stop(&run->input);
    feeder_stop(&run->extra_input);
    collector_stop(&run->output);
    collector_stop(&run->error);
    return child_reap(&run->child);
}

/* 0, or MEMORY when the child could not be watched: it is gone then. */
static int run_start(struct run *run, const whippet_command *command, struct whippet_failure *failure)
{
    int error = child_start(&run->child, command, failure);
    if (error != 0)
        return error;
    run->exit_watch = watch_create(loop_of_task(run->task), run->child.handle, run_child_ended, run);
    if (run->exit_watch == NULL) {
        /* A killed child ends within microseconds, and there is no memory left to await that with. */
        child_kill(&run->child);
        child_reap(&run->child);
        return WHIPPET_E_MEMORY;
    }
    watch_set(run->exit_watch, WHIPPET_READABLE);
    return 0;
}

/* A copy that lives as long as the task. False when memory is short. */
static bool copy_for_task(whippet_task *task, whippet_bytes source, whippet_bytes *copy)
{
    char *memory = whippet_alloc(task, source.len + 1);
    if (memory == NULL)
        return false;
    if (source.data != NULL)
        memcpy(memory, source.data, source.len);
    *copy = bytes_of(memory, source.len);
    return true;
}

static bool copy_collected(struct run *run, const struct collector *collector, whippet_bytes *copy)
{
    size_t length = buffer_length(&collector->kept);
    return copy_for_task(run->task, bytes_of(length > 0 ? buffer_begin(&collector->kept) : NULL, length),
                         copy);
}

/* 0, or MEMORY. */
static int run_fill_result(struct run *run, int status, whippet_command_result *result)
{
    result->signalled = WIFSIGNALED(status);
    result->status = result->signalled ? WTERMSIG(status) : WEXITSTATUS(status);
    result->output_truncated = run->output.truncated;
    result->error_truncated = run->error.truncated;
    bool copied = copy_collected(run, &run->output, &result->output) &&
                  copy_collected(run, &run->error, &result->error);
    return copied ? 0 : WHIPPET_E_MEMORY;
}

/* Apart from whippet_exec, to have the failure's text off the stack while the command runs. */
__attribute__((noinline)) static int start_or_explain(struct run *run, const whippet_command *command,
                                                      whippet_command_result *result)
{
    struct whippet_failure failure = {0};
    int error = run_start(run, command, &failure);
    if (error == WHIPPET_E_SYSTEM && !copy_for_task(run->task, bytes_of_text(failure.text), &result->error))
        return WHIPPET_E_MEMORY;
    return error;
}

static bool command_is_valid(const whippet_command *command)
{
    return command->arguments != NULL && command->arguments[0] != NULL && command->arguments[0][0] != '\0' &&
           (command->input.data != NULL || command->input.len == 0);
}

int whippet_exec(whippet_task *task, const whippet_command *command, whippet_command_result *result)
{
    struct run run;
    *result = (whippet_command_result){0};
    if (!command_is_valid(command))
        return WHIPPET_E_INVALID;
    if (loop_of_task(task) == NULL)
        return WHIPPET_E_UNAVAILABLE;
    run_init(&run, task, command);
    int error = task_struck(task);
    if (error == 0)
        error = start_or_explain(&run, command, result);
    if (error != 0)
        return error;
    error = run_start_pumps(&run) ? run_await_end(&run) : WHIPPET_E_MEMORY;
    int status = run_finish(&run, error);
    if (error == 0)
        error = run_fill_result(&run, status, result);
    collector_destroy(&run.output);
    collector_destroy(&run.error);
    return error;
}
