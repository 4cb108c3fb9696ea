/* Hands messages to long-lived children that speak JSON lines. What they get and how they answer is in
 * README.md beside this file. */
#include "child.h"
#include "environment.h"
#include "pool.h"
#include "program.h"
#include "spawn.h"
#include <stdlib.h>
#include <string.h>
#include <whippet/processor.h>

enum {
    MOST_CHILDREN = 1000,
    MOST_IN_FLIGHT = 10000
};

static const whippet_option options[] = {
    {
        .name = "command",
        .type = WHIPPET_OPTION_STRINGS,
        .required = true,
        .help = "the program and its arguments, e.g. [\"python3\", \"worker.py\"]; no shell is involved",
    },
    {
        .name = "directory",
        .type = WHIPPET_OPTION_STRING,
        .help = "the folder it runs in; without it, the worker's own",
    },
    {
        .name = "environment",
        .type = WHIPPET_OPTION_MAP,
        .help = "variables added to the worker's own environment",
    },
    {
        .name = "children",
        .type = WHIPPET_OPTION_INTEGER,
        .default_value = "1",
        .help = "how many of them run",
    },
    {
        .name = "in_flight",
        .type = WHIPPET_OPTION_INTEGER,
        .default_value = "16",
        .help = "how many messages one of them has at once, at most",
    },
    {
        .name = "answer_limit",
        .type = WHIPPET_OPTION_SIZE,
        .default_value = "64KiB",
        .help = "how long one answer may be; a child that writes a longer line is killed",
    },
    {
        .name = "log",
        .type = WHIPPET_OPTION_STRING,
        .default_value = "info",
        .help = "what becomes of its standard error: the level at which it is logged, or \"discard\"",
    },
    {
        .name = "log_rate",
        .type = WHIPPET_OPTION_INTEGER,
        .default_value = "100",
        .help = "how many lines a second of one child are logged; the rest is counted and dropped",
    },
    {
        .name = "grace",
        .type = WHIPPET_OPTION_DURATION,
        .default_value = "3s",
        .help = "how long it may take to end once its standard input was closed; then it is killed",
    },
    {.name = NULL},
};

/* --- Settings -------------------------------------------------------------------------------------------*/

static bool read_count(const whippet_settings *given, const char *name, int64_t most, unsigned *count,
                       whippet_failure *failure)
{
    int64_t value = whippet_setting_integer(given, name);
    *count = (unsigned)value;
    if (value >= 1 && value <= most)
        return true;
    whippet_fail(failure, "%s: expected a number from 1 to %lld, found %lld", name, (long long)most,
                 (long long)value);
    return false;
}

static bool read_limits(struct pool *pool, const whippet_settings *given, whippet_failure *failure)
{
    pool->answer_limit = whippet_setting_size(given, "answer_limit");
    pool->grace = whippet_setting_duration(given, "grace");
    if (pool->answer_limit < 64 || pool->answer_limit > 64 << 20) {
        whippet_fail(failure, "answer_limit: expected 64 bytes to 64 MiB, found %zu bytes",
                     pool->answer_limit);
        return false;
    }
    return read_count(given, "children", MOST_CHILDREN, &pool->count, failure) &&
           read_count(given, "in_flight", MOST_IN_FLIGHT, &pool->in_flight, failure) &&
           read_count(given, "log_rate", UINT32_MAX, &pool->log_rate, failure) &&
           output_level_read("log", given, &pool->log, failure);
}

static bool read_command(struct pool *pool, const whippet_settings *given, whippet_failure *failure)
{
    size_t length;
    const char *directory = whippet_setting_string(given, "directory");
    pool->command = whippet_setting_strings(given, "command", &length);
    pool->directory = *directory != '\0' ? directory : NULL;
    if (length == 0) {
        whippet_fail(failure, "command: the list is empty; expected a program and its arguments");
        return false;
    }
    if (!program_check(pool->command[0], directory, failure))
        return false;
    pool->additions = environment_create(whippet_setting_strings(given, "environment", NULL), failure);
    return pool->additions != NULL;
}

static bool make_children(struct pool *pool, whippet_failure *failure)
{
    pool->environment = spawn_environment(pool->additions);
    pool->children = calloc(pool->count, sizeof *pool->children);
    bool made = pool->environment != NULL && pool->children != NULL;
    for (unsigned i = 0; made && i < pool->count; i++)
        made = child_create(&pool->children[i], pool, i + 1);
    if (!made)
        whippet_fail(failure, "out of memory");
    return made;
}

/* --- Coming and going -----------------------------------------------------------------------------------*/

static void teardown(void *state)
{
    struct pool *pool = state;
    for (unsigned i = 0; pool->children != NULL && i < pool->count; i++)
        child_destroy(&pool->children[i]);
    free(pool->children);
    free(pool->environment);
    environment_destroy(pool->additions);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static int setup(const whippet_settings *given, void **state, whippet_failure *failure)
{
    struct pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        whippet_fail(failure, "out of memory");
        return -1;
    }
    pool->line.next = pool->line.previous = &pool->line;
    pthread_mutex_init(&pool->lock, NULL);
    if (read_limits(pool, given, failure) && read_command(pool, given, failure) &&
        make_children(pool, failure)) {
        *state = pool;
        return 0;
    }
    teardown(pool);
    return -1;
}

/* Children whose tasks can't be had yet come when they can. */
static int background(whippet_task *task, void *state)
{
    struct pool *pool = state;
    for (unsigned i = 0; i < pool->count; i++) {
        while (whippet_spawn(task, child_keep_up, &pool->children[i]) == NULL) {
            whippet_log(task, WHIPPET_WARNING,
                        "child %u can't be started yet: out of memory, or of tasks (max_tasks)", i + 1);
            int error = whippet_sleep(task, 1);
            if (error != 0)
                return error;
        }
    }
    return whippet_join_all(task);
}

/* --- A message ------------------------------------------------------------------------------------------*/

/* What the child said, or was said of it; `otherwise` when that is nothing, or memory is short. */
static const char *reason_of(whippet_task *task, const struct call *call, const char *otherwise)
{
    whippet_bytes text = {.data = call->reason, .len = call->reason != NULL ? strlen(call->reason) : 0};
    if (call->reason_is_answer && text.len > 0) {
        whippet_bytes said = whippet_json_text(task, whippet_json_read(text, NULL, NULL));
        text = said.data != NULL ? said : text;
    }
    char *copy = text.len > 0 ? whippet_alloc(task, text.len + 1) : NULL;
    if (copy == NULL)
        return otherwise;
    memcpy(copy, text.data, text.len);
    return *copy != '\0' ? copy : otherwise;
}

static whippet_verdict verdict_of(whippet_task *task, const struct call *call)
{
    switch (call->verdict) {
    case WHIPPET_ACK: return WHIPPET_ACK;
    case WHIPPET_REJECT:
        return whippet_reject(task, "%s", reason_of(task, call, "rejected without a reason"));
    default: return whippet_retry_later(task, "%s", reason_of(task, call, "to be retried, without a reason"));
    }
}

static whippet_verdict gave_up(whippet_task *task, struct pool *pool, enum call_state state, int error)
{
    const char *why = whippet_error_text(error);
    if (state == CALL_SENT)
        return whippet_retry_later(task, "the child that had it did not answer, and was killed: %s", why);
    const char *trouble = pool_trouble(task, pool);
    return whippet_retry_later(task, "no child was free for it: %s%s%s%s", why, *trouble != '\0' ? " (" : "",
                               trouble, *trouble != '\0' ? ")" : "");
}

enum {
    MOST_TIMEOUTS = 4 /* that an attempt may take in all */
};

struct turn {
    struct pool *pool;
    struct call *call;
};

static int await_call(whippet_task *task, void *arg)
{
    return whippet_event_wait(task, ((struct turn *)arg)->call->ended);
}

static int await_turn(whippet_task *task, void *arg)
{
    struct turn *turn = arg;
    int error = WHIPPET_E_TIMEOUT;
    for (double left; error == WHIPPET_E_TIMEOUT && (left = call_time_left(turn->call, turn->pool)) > 0;)
        error = whippet_with_timeout(task, left, await_call, turn);
    return error;
}

/* What waits in a line that does not get shorter must end, too, before the broker takes the message away. */
static int await_turn_for_long(whippet_task *task, void *arg)
{
    struct turn *turn = arg;
    return whippet_with_timeout(task, (MOST_TIMEOUTS - 1) * turn->call->patience, await_turn, turn);
}

/* The attempt's deadline is for what it is at work for: one that has waited for its turn until then, in line
 * or behind another, has not had its time yet. Until then, and so mostly, it can be cancelled. */
static int await_end(whippet_task *task, struct pool *pool, struct call *call)
{
    struct turn turn = {.pool = pool, .call = call};
    int error = await_call(task, &turn);
    return error == WHIPPET_E_TIMEOUT ? whippet_shield(task, await_turn_for_long, &turn) : error;
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    struct pool *pool = state;
    struct call call;
    if (!call_open(&call, pool, task, message))
        return whippet_retry_later(task, "out of memory for a message of %zu bytes",
                                   whippet_body(message).len);
    call_begin(&call, pool);
    int error = await_end(task, pool, &call);
    enum call_state ended = call_withdraw(&call, pool);
    whippet_verdict verdict =
        ended == CALL_ENDED ? verdict_of(task, &call) : gave_up(task, pool, ended, error);
    call_close(&call);
    return verdict;
}

WHIPPET_PROCESSOR(.name = "pipe", .version = "1.0",
                  .summary = "hands messages to long-lived commands as JSON lines", .options = options,
                  .setup = setup, .process = process, .teardown = teardown, .background = background);
