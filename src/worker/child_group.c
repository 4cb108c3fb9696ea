#include "child_group.h"
#include <base/buffer.h>
#include <base/log.h>
#include <base/memory.h>
#include <base/random.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>

static const double SETUP_SECONDS = 60; /* for loading the plugin and its setup() */
static const double BACKOFF_MIN = 0.1; /* before the start after the second failure in a row, doubled up to */
static const double BACKOFF_MAX = 30;
static const double STALL_GRACE = 1; /* beyond the timeout, in one stretch without an await */
static const double STALL_LOOK_MIN = 0.05;
static const double STALL_LOOK_MAX = 1;
static const double TERM_SECONDS = 2;       /* between SIGTERM and SIGKILL */
static const double LONGEST_DURATION = 1e8; /* seconds: three years is nobody's attempt */
static const double END_SECONDS = 5;        /* for teardown() */

static struct worker *worker_of(const struct child *child)
{
    return child->group->subscription->worker;
}

static void set_timer(struct child *child, double seconds)
{
    struct loop *loop = worker_of(child)->loop;
    timer_start(&loop_scheduler(loop)->timers, &child->timer, loop_now(loop) + seconds);
}

static void stop_timer(struct child *child)
{
    timer_stop(&loop_scheduler(worker_of(child)->loop)->timers, &child->timer);
}

static struct log_fields fields_of(const struct child *child)
{
    const struct queue_config *config = child->group->subscription->config;
    return (struct log_fields){.queue = config->name, .processor = config->processor};
}

void child_group_wake(struct child_group *group)
{
    waiter_wake(&group->changed, 0);
}

static void kill_child(struct child *child, int signal_number)
{
    if (child->process.process > 0)
        kill(child->process.process, signal_number);
}

/* --- Seats ----------------------------------------------------------------------------------------------*/

static void look_for_stalls(struct child *child);

struct seat *child_take_seat(struct child *child, struct delivery *delivery)
{
    struct seat *seat = &child->seats[child->free[--child->free_count]];
    seat->delivery = delivery;
    seat->serial = ++child->serial;
    delivery->seat = seat;
    if (!timer_armed(&child->timer))
        look_for_stalls(child);
    return seat;
}

void child_free_seat(struct child *child, struct seat *seat)
{
    seat->delivery->seat = NULL;
    seat->delivery = NULL;
    child->free[child->free_count++] = (uint32_t)(seat - child->seats);
}

static bool make_seats(struct child *child)
{
    uint32_t share = child->group->share;
    child->seats = memory_allocate_zeroed(share * sizeof *child->seats);
    child->free = memory_allocate(share * sizeof *child->free);
    if (child->seats == NULL || child->free == NULL)
        return false;
    for (uint32_t i = 0; i < share; i++) {
        child->seats[i].child = child;
        child->free[i] = share - 1 - i;
    }
    child->free_count = share;
    return true;
}

/* --- Stalls ---------------------------------------------------------------------------------------------*/

static double stall_limit(const struct child *child)
{
    return child->group->subscription->config->timeout + STALL_GRACE;
}

static void look_for_stalls(struct child *child)
{
    set_timer(child, fmin(fmax(stall_limit(child) / 4, STALL_LOOK_MIN), STALL_LOOK_MAX));
}

static void end_stalled(struct child *child)
{
    struct log_fields fields = fields_of(child);
    if (child->stalled) {
        kill_child(child, SIGKILL);
        return;
    }
    child->stalled = true;
    log_event(WHIPPET_WARNING, &fields,
              "the child process %ld is held up by code that has not come to an await for %.1f s, past the "
              "timeout: "
              "it is ended",
              (long)child->process.process, loop_now(worker_of(child)->loop) - child->seen_since);
    kill_child(child, SIGTERM);
    set_timer(child, TERM_SECONDS);
}

/* An attempt that has kept the CPU since the last look, or something else that has, as background() can: the
 * loop is in the same turn then, and no attempt had the CPU in between. */
static bool is_stuck(const struct child *child, uint64_t turns, double turn)
{
    return turns == child->seen_turns && (turns % 2 == 1 || (turn != 0 && turn == child->seen_turn));
}

/* Since longer than any attempt may take? */
static void look_now(struct child *child)
{
    const struct child_page *page = child->process.page;
    uint64_t turns = board_turns(&page->board);
    double turn = atomic_load_explicit(&page->turn_began, memory_order_relaxed);
    double now = loop_now(worker_of(child)->loop);
    bool stuck = is_stuck(child, turns, turn);
    if (!stuck) {
        child->seen_turns = turns;
        child->seen_turn = turn;
        child->seen_since = now;
        child->stalled = false;
    }
    if (stuck && now - child->seen_since >= stall_limit(child))
        end_stalled(child);
    if (child_busy(child) > 0 && !timer_armed(&child->timer))
        look_for_stalls(child);
}

/* --- What it says ---------------------------------------------------------------------------------------*/

/* It writes what no child of ours writes: code of the processor's has got hold of its socket, or worse. */
static void refuse(struct child *child, const char *what)
{
    struct log_fields fields = fields_of(child);
    fields.error = what;
    log_event(WHIPPET_ERROR, &fields, "the child process %ld makes no sense, and is ended",
              (long)child->process.process);
    child->is_strange = true;
    kill_child(child, SIGKILL);
}

static void on_ready(struct child *child)
{
    struct subscription *subscription = child->group->subscription;
    struct log_fields fields = fields_of(child);
    if (child->state != CHILD_STARTING)
        return;
    child->state = CHILD_UP;
    log_repetition_over(&child->group->failed_starts);
    stop_timer(child);
    log_event(WHIPPET_DEBUG, &fields, "the child process %ld is ready", (long)child->process.process);
    subscription_wake(subscription);
    subscription_dispatch(subscription);
}

static bool on_ended(struct child *child, const struct frame *frame, const uint8_t *payload)
{
    struct ended_frame ended;
    if (frame->slot >= child->group->share || frame->length < sizeof ended)
        return false;
    struct seat *seat = &child->seats[frame->slot];
    struct delivery *delivery = seat->delivery;
    if (delivery == NULL || seat->serial != frame->serial ||
        (child->link.lent.len > 0 && delivery->message.content->body.data <= child->link.lent.data &&
         (const char *)child->link.lent.data <
             (const char *)delivery->message.content->body.data + delivery->message.content->body.len))
        return false;
    memcpy(&ended, payload, sizeof ended);
    if (!(ended.duration >= 0 && ended.duration < LONGEST_DURATION))
        return false;
    size_t reason = frame->length - sizeof ended;
    delivery->verdict = (whippet_verdict)ended.verdict;
    delivery->struck = ended.struck;
    delivery->duration = ended.duration;
    delivery->retry_after = ended.retry_after;
    memory_free(delivery->reason);
    delivery->reason = reason > 0 ? memory_copy_span(payload + sizeof ended, reason) : NULL;
    child_free_seat(child, seat);
    child->failures = 0;
    delivery_attempt_ended(delivery);
    return true;
}

static bool take_frame(struct child *child, const struct frame *frame, const uint8_t *payload)
{
    switch (frame->kind) {
    case FRAME_READY: on_ready(child); return true;
    case FRAME_FAILED:
        failure_set(&child->failure, WHIPPET_E_INVALID, "%.*s", (int)fmin(frame->length, FAILURE_TEXT_SIZE),
                    (const char *)payload);
        return true;
    case FRAME_ENDED: return on_ended(child, frame, payload);
    case FRAME_PUBLISH: return child_publish(child, frame, payload);
    case FRAME_RECALL: child_recall(child, frame->serial); return true;
    default: return false;
    }
}

void child_take_frame(void *owner, const struct frame *frame, const uint8_t *payload)
{
    struct child *child = owner;
    if (!child->is_strange && !take_frame(child, frame, payload))
        refuse(child, "it sent a frame that can't be");
}

/* Its exit watch does the rest; one that only closed its socket is of no more use. One that was told to end
 * has teardown() behind it, and what libc and libraries do at a process's end before it. */
static void on_closed(void *owner, int error)
{
    struct child *child = owner;
    if (error == WHIPPET_E_PROTOCOL)
        refuse(child, "it sent what is no frame");
    else if (child->state != CHILD_ENDING)
        kill_child(child, SIGKILL);
}

static void on_drained(void *owner)
{
    const struct child *child = owner;
    subscription_dispatch(child->group->subscription);
}

static const struct frame_handlers HANDLERS = {
    .frame = child_take_frame,
    .closed = on_closed,
    .drained = on_drained,
};

/* --- Coming ---------------------------------------------------------------------------------------------*/

/* Of the worker, and not of the queue's own configuration, which may be older. */
static struct log_frame log_of(const struct child *child)
{
    const struct config *config = worker_of(child)->config;
    return (struct log_frame){.level = (int32_t)config->log_level, .format = (int32_t)config->log_format};
}

/* False when memory is short. */
static bool send_setup(struct child *child)
{
    const struct subscription *subscription = child->group->subscription;
    const struct queue_config *config = subscription->config;
    const struct config *source = subscription->source;
    const char *processor = subscription->processor.plugin->descriptor.name;
    const char *path = subscription->processor.plugin->path;
    struct buffer payload;
    buffer_init(&payload);
    struct setup_frame setup = {
        .log = log_of(child),
        .stack_size = source->stack_size,
        .spawned = worker_of(child)->spawned.most,
        .timeout = config->timeout,
        .slots = child->group->share,
        .queue = (uint32_t)strlen(config->name) + 1,
        .processor = (uint32_t)strlen(processor) + 1,
        .path = (uint32_t)strlen(path) + 1,
        .has_plugin = plugin_descriptor(subscription->processor.plugin) >= 0,
    };
    bool written =
        buffer_append(&payload, &setup, sizeof setup) && buffer_append(&payload, config->name, setup.queue) &&
        buffer_append(&payload, processor, setup.processor) && buffer_append(&payload, path, setup.path);
    size_t before = buffer_length(&payload);
    written = written && settings_write(subscription->processor.settings, &payload);
    if (written) {
        setup.settings = (uint32_t)(buffer_length(&payload) - before);
        memcpy(buffer_begin(&payload), &setup, sizeof setup);
        written =
            frame_link_send(&child->link, FRAME_SETUP, 0, 0, buffer_begin(&payload), buffer_length(&payload));
    }
    buffer_destroy(&payload);
    return written;
}

static void on_exit_event(void *owner, int events);

/* False with the child's failure filled. */
static bool start(struct child *child)
{
    struct subscription *subscription = child->group->subscription;
    struct loop *loop = subscription->worker->loop;
    child->failure = (struct whippet_failure){0};
    child->serial = 0;
    child->seen_turns = 0;
    child->seen_turn = 0;
    child->stalled = false;
    child->is_strange = false;
    if (child_process_start(&child->process, subscription->config->name, child->group->share,
                            plugin_descriptor(subscription->processor.plugin), &child->failure) != 0)
        return false;
    child->exit_watch = watch_create(loop, child->process.handle, on_exit_event, child);
    if (child->exit_watch != NULL &&
        frame_link_open(&child->link, loop, child->process.socket, &HANDLERS, child)) {
        child->process.socket = -1;
        watch_set(child->exit_watch, WHIPPET_READABLE);
        child->state = CHILD_STARTING;
        set_timer(child, SETUP_SECONDS);
        if (!send_setup(child))
            kill_child(child, SIGKILL);
        return true;
    }
    watch_destroy(child->exit_watch);
    child->exit_watch = NULL;
    kill_child(child, SIGKILL);
    child_process_reap(&child->process);
    failure_set(&child->failure, WHIPPET_E_MEMORY, "out of memory for a child process");
    return false;
}

/* --- Going ----------------------------------------------------------------------------------------------*/

static void show_why(struct child *child, double delay)
{
    struct subscription *subscription = child->group->subscription;
    struct log_fields fields = fields_of(child);
    fields.error = child->failure.text;
    log_repeated(&child->group->failed_starts, loop_now(subscription->worker->loop), WHIPPET_ERROR, &fields,
                 "a child process has ended; the next starts in %.1f s", delay);
    if (child_group_is_up(child->group))
        return;
    subscription->failure = child->failure;
    shared_text_set(&subscription->stats.failure, child->failure.text);
}

/* The first end after work was done costs no pause: it was a message's. */
static void start_later(struct child *child)
{
    unsigned failures = child->failures++;
    double delay = failures == 0 ? 0 : fmin(BACKOFF_MIN * exp2(fmin(failures - 1, 16)), BACKOFF_MAX);
    delay *= 0.75 + 0.25 * random_unit();
    show_why(child, delay);
    set_timer(child, delay);
}

static void explain(struct child *child, enum child_state before, long process, int status)
{
    char how[128];
    struct whippet_failure said = child->failure;
    child_process_describe(status, how, sizeof how);
    if (said.error != 0)
        failure_set(&child->failure, said.error, "\"%s\" could not be set up: %s",
                    child->group->subscription->config->processor, said.text);
    else if (before == CHILD_STARTING && child->stalled)
        failure_set(&child->failure, WHIPPET_E_TIMEOUT, "setup() did not come to its end within %g s",
                    SETUP_SECONDS);
    else if (before == CHILD_STARTING) /* without its number: the same cause each time */
        failure_set(&child->failure, WHIPPET_E_CLOSED, "the child process %s before it was set up", how);
    else if (child->is_strange)
        failure_set(&child->failure, WHIPPET_E_CLOSED, "the child process %ld was ended for what it sent",
                    process);
    else
        failure_set(&child->failure, WHIPPET_E_CLOSED, "the child process %ld %s", process, how);
}

static void on_exit_event(void *owner, int events)
{
    struct child *child = owner;
    struct child_group *group = child->group;
    enum child_state before = child->state;
    long process = child->process.process;
    (void)events;
    child->state = CHILD_ENDING; /* it can't be given anything any more */
    frame_link_take(&child->link);
    watch_destroy(child->exit_watch);
    child->exit_watch = NULL;
    frame_link_close(&child->link);
    stop_timer(child);
    int status = child_process_reap(&child->process);
    child->state = CHILD_DOWN;
    explain(child, before, process, status);
    child_recall_all(child);
    if (before == CHILD_STARTING && group->subscription->worker->trial != NULL)
        trial_fail(group->subscription->worker->trial, &child->failure);
    if (!group->closing)
        start_later(child);
    child_settle(child, status);
    child_group_wake(group);
}

static void on_timer(struct timer *timer)
{
    struct child *child = list_entry(timer, struct child, timer);
    switch (child->state) {
    case CHILD_DOWN:
        if (!child->group->closing && !start(child))
            start_later(child);
        break;
    case CHILD_STARTING:
        child->stalled = true;
        kill_child(child, SIGKILL);
        break;
    case CHILD_UP: look_now(child); break;
    case CHILD_ENDING: break;
    }
}

/* --- The group ------------------------------------------------------------------------------------------*/

struct child_group *child_group_create(struct subscription *subscription)
{
    const struct queue_config *config = subscription->config;
    unsigned count = config->processes < config->concurrency ? config->processes : config->concurrency;
    struct child_group *group = memory_allocate_zeroed(sizeof *group + count * sizeof group->children[0]);
    if (group == NULL)
        return NULL;
    group->subscription = subscription;
    group->count = count;
    group->share = (config->concurrency + count - 1) / count;
    list_init(&group->publications);
    waiter_init(&group->changed);
    bool made = true;
    for (unsigned i = 0; i < count; i++) {
        struct child *child = &group->children[i];
        child->group = group;
        child->timer.function = on_timer;
        child->link.descriptor = -1;
        made = made && make_seats(child);
    }
    if (made)
        return group;
    child_group_destroy(group);
    return NULL;
}

void child_group_destroy(struct child_group *group)
{
    for (unsigned i = 0; group != NULL && i < group->count; i++) {
        struct child *child = &group->children[i];
        stop_timer(child);
        watch_destroy(child->exit_watch);
        frame_link_close(&child->link);
        if (child->process.process > 0) {
            kill_child(child, SIGKILL);
            child_process_reap(&child->process);
        }
        child_process_forget(&child->process);
        memory_free(child->seats);
        memory_free(child->free);
    }
    memory_free(group);
}

void child_group_open(struct child_group *group)
{
    for (unsigned i = 0; i < group->count; i++)
        if (group->children[i].state == CHILD_DOWN && !start(&group->children[i]))
            start_later(&group->children[i]);
}

void child_group_tell_log(struct child_group *group)
{
    for (unsigned i = 0; i < group->count; i++) {
        struct child *child = &group->children[i];
        struct log_frame log = log_of(child);
        if (child->state != CHILD_DOWN)
            frame_link_send(&child->link, FRAME_LOG, 0, 0, &log, sizeof log);
    }
}

bool child_group_is_up(const struct child_group *group)
{
    for (unsigned i = 0; i < group->count; i++)
        if (group->children[i].state == CHILD_UP)
            return true;
    return false;
}

static bool is_gone(const struct child_group *group)
{
    for (unsigned i = 0; i < group->count; i++)
        if (group->children[i].state != CHILD_DOWN)
            return false;
    return list_empty(&group->publications);
}

static void ask_to_end(struct child *child)
{
    stop_timer(child);
    if (child->state == CHILD_UP && child_busy(child) == 0 &&
        frame_link_send(&child->link, FRAME_DRAIN, 0, 0, NULL, 0))
        child->state = CHILD_ENDING;
    else
        kill_child(child, SIGKILL);
}

struct closing {
    struct child_group *group;
    struct timer timer;
};

static void kill_all(struct timer *timer)
{
    struct closing *closing = list_entry(timer, struct closing, timer);
    for (unsigned i = 0; i < closing->group->count; i++)
        kill_child(&closing->group->children[i], SIGKILL);
}

void child_group_end(struct child_group *group)
{
    if (group->closing)
        return;
    group->closing = true;
    for (unsigned i = 0; i < group->count; i++)
        ask_to_end(&group->children[i]);
}

void child_group_close(whippet_task *task, struct child_group *group, double until)
{
    struct loop *loop = group->subscription->worker->loop;
    struct timers *timers = &loop_scheduler(loop)->timers;
    struct closing closing = {.group = group, .timer.function = kill_all};
    if (group->awaited)
        return;
    group->awaited = true;
    child_group_end(group);
    if (!timer_start(timers, &closing.timer, fmin(until, loop_now(loop) + END_SECONDS)))
        kill_all(&closing.timer);
    while (!is_gone(group)) {
        waiter_init(&group->changed);
        waiter_wait_shielded(task, &group->changed, "ending child processes");
    }
    timer_stop(timers, &closing.timer);
}
