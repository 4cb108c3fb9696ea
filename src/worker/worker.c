#include "child_group.h"
#include "worker_internal.h"
#include <base/clock.h>
#include <base/log.h>
#include <base/memory.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>
#include <worker/publishing.h>

static const double CANCEL_SECONDS = 1; /* for tasks to come to their end once they were cancelled */

/* --- Creation -------------------------------------------------------------------------------------------*/

static const struct executor *executor_of(const struct queue_config *config,
                                          const whippet_processor *descriptor)
{
    switch (queue_run_mode(config, descriptor)) {
    case RUN_THREAD: return &THREAD_EXECUTOR;
    case RUN_PROCESS: return &PROCESS_EXECUTOR;
    default: return &LOOP_EXECUTOR;
    }
}

bool subscription_make_processor(struct subscription *subscription, struct config_errors *errors)
{
    struct whippet_failure failure;
    struct plugin *plugin;
    whippet_settings *settings;
    char path[64];
    size_t index = (size_t)(subscription->config - subscription->source->queues);
    if (!queue_prepare(subscription->source, index, &plugin, &settings, errors))
        return false;
    subscription->executor = executor_of(subscription->config, &plugin->descriptor);
    if (subscription->executor->set_up(subscription, plugin, settings, &failure) == 0)
        return true;
    snprintf(path, sizeof path, "queues[%zu].processor", index);
    config_errors_add(errors, subscription->source, path, "\"%s\" could not be set up: %s",
                      subscription->config->processor, failure.text);
    settings_destroy(settings);
    plugin_unload(plugin);
    return false;
}

static bool make_subscriptions(struct worker *worker, struct config_errors *errors)
{
    const struct config *config = worker->config;
    for (size_t i = 0; i < config->queue_count; i++) {
        struct subscription *subscription = subscription_create(worker, config, i);
        if (subscription == NULL)
            return false;
        subscription_make_processor(subscription, errors);
    }
    return true;
}

/* Each task takes a stack: those of processors may be spawned where the machine has room beside the worker's
 * own. */
void worker_check_stacks(const struct worker *worker, const struct config *config,
                         struct config_errors *errors)
{
    size_t reserved = config_tasks_reserved(config);
    size_t limit = stack_pool_limit(loop_scheduler(worker->loop)->stacks);
    if (reserved > limit)
        config_errors_add(
            errors, config, "queues",
            "concurrency adds up to %zu tasks, and this machine has room for %zu guarded stacks: lower "
            "concurrency, or raise vm.max_map_count (sysctl) above %zu",
            reserved, limit, 2 * reserved);
}

void worker_limit_spawning(struct worker *worker)
{
    struct scheduler *scheduler = loop_scheduler(worker->loop);
    size_t reserved = config_tasks_reserved(worker->config);
    size_t limit = stack_pool_limit(scheduler->stacks);
    size_t most = worker->config->max_tasks < limit ? worker->config->max_tasks : limit;
    worker->spawned.most = most > reserved ? most - reserved : 0;
    scheduler->quota = &worker->spawned;
}

/* False when memory is short; without a file there is a ledger in memory, that ends with the process. */
static bool open_ledger(struct worker *worker)
{
    struct whippet_failure why;
    bool is_wanted = worker->config->state_dir != NULL;
    worker->ledger = ledger_open(worker->trial == NULL ? ledger_folder(worker->config) : NULL, &why);
    if (worker->ledger == NULL)
        return false;
    if (why.error != 0 && worker->trial == NULL)
        log_event(is_wanted ? WHIPPET_WARNING : WHIPPET_INFO, NULL,
                  "no ledger is kept: %s. A message that crashes the worker will not be recognised when it "
                  "comes again, so max_crashes does nothing",
                  why.text);
    worker->loop_slot = ledger_slot_acquire(worker->ledger);
    loop_scheduler(worker->loop)->board = ledger_slot_board(worker->loop_slot);
    worker_watch_offload(worker, worker->loop);
    return true;
}

static void close_ledger(struct worker *worker)
{
    loop_scheduler(worker->loop)->board = NULL;
    ledger_close(worker->ledger);
}

struct ledger *worker_ledger(const struct worker *worker)
{
    return worker->ledger;
}

struct ledger_slot *worker_loop_slot(const struct worker *worker)
{
    return worker->loop_slot;
}

static void open_connections(struct worker *worker, struct config_errors *errors)
{
    struct brokers *brokers = brokers_create(worker->config, errors);
    struct connections *connections = brokers != NULL ? connections_create(worker, brokers) : NULL;
    if (connections != NULL) {
        connections_use(worker, connections);
    } else if (brokers != NULL) {
        brokers_destroy(brokers);
        config_errors_add(errors, worker->config, "", "out of memory");
    }
}

static struct worker *create(struct loop *loop, const struct config *config, const char *version,
                             struct trial *trial, struct config_errors *errors)
{
    struct worker *worker = memory_allocate_zeroed(sizeof *worker);
    if (worker == NULL) {
        config_errors_add(errors, config, "", "out of memory");
        return NULL;
    }
    worker->loop = loop;
    worker->trial = trial;
    worker->config = config_retain(config);
    worker->started_with = config_retain(config);
    list_init(&worker->subscriptions);
    worker->version = version;
    stats_init(&worker->stats, version);
    worker->stats.looks = worker;
    worker->stats.look_who_blocks = observer_look_who_blocks;
    list_init(&worker->relays);
    waiter_init(&worker->progress);
    waiter_init(&worker->retirement);
    if (gethostname(worker->host, sizeof worker->host - 1) != 0)
        snprintf(worker->host, sizeof worker->host, "unknown");
    pace_init(worker);
    turns_init(worker);
    roll_call_init(worker);
    if (!open_ledger(worker))
        config_errors_add(errors, config, "", "out of memory");
    open_connections(worker, errors);
    if (!make_subscriptions(worker, errors))
        config_errors_add(errors, config, "", "out of memory");
    worker_check_stacks(worker, config, errors);
    worker_limit_spawning(worker);
    if (errors->count > 0) {
        worker_destroy(worker);
        return NULL;
    }
    publishing_install(publish_for_processor, worker);
    return worker;
}

struct worker *worker_create(struct loop *loop, const struct config *config, const char *version,
                             struct config_errors *errors)
{
    return create(loop, config, version, NULL, errors);
}

struct worker *worker_create_for_trial(struct loop *loop, const struct config *config, struct trial *trial,
                                       struct config_errors *errors)
{
    return create(loop, config, "", trial, errors);
}

void worker_destroy(struct worker *worker)
{
    if (worker == NULL)
        return;
    publishing_install(NULL, NULL);
    while (!list_empty(&worker->subscriptions))
        subscription_destroy(list_entry(worker->subscriptions.next, struct subscription, link));
    thread_pool_destroy(worker->threads);
    roll_call_destroy(worker);
    stats_destroy(&worker->stats);
    timer_stop(&loop_scheduler(worker->loop)->timers, &worker->observer);
    connections_destroy(worker->connections);
    brokers_destroy(worker->to_come);
    close_ledger(worker);
    config_destroy(worker->config);
    config_destroy(worker->started_with);
    memory_free(worker);
}

size_t worker_offloaded(const struct worker *worker)
{
    return worker != NULL ? thread_pool_offloaded(worker->threads) : 0;
}

void worker_trace(struct worker *worker, struct tracer *tracer)
{
    worker->tracer = tracer;
}

/* --- Beginning ------------------------------------------------------------------------------------------*/

bool worker_start(struct worker *worker)
{
    each_subscription (subscription, worker)
        if (!subscription_start(subscription))
            return false;
    return connections_start(worker->connections);
}

double worker_read_clock(struct worker *worker)
{
    worker->clock = clock_monotonic();
    return worker->clock;
}

/* --- Stopping -------------------------------------------------------------------------------------------*/

void worker_progressed(struct worker *worker)
{
    waiter_wake(&worker->progress, 0);
}

void worker_wake_subscriptions(struct worker *worker)
{
    each_subscription (subscription, worker)
        subscription_wake(subscription);
}

static bool subscriptions_have_ended(const struct worker *worker)
{
    each_subscription (subscription, worker)
        if (subscription->task != NULL)
            return false;
    return true;
}

uint64_t worker_in_flight(const struct worker *worker)
{
    uint64_t count = 0;
    each_subscription (subscription, worker)
        count += queue_counters_in_flight(&subscription->stats.counters);
    return count;
}

static bool backgrounds_have_ended(const struct worker *worker)
{
    each_subscription (subscription, worker)
        if (background_runs(&subscription->background))
            return false;
    return true;
}

bool worker_has_ended(const struct worker *worker)
{
    return worker->ended && worker_in_flight(worker) == 0 && backgrounds_have_ended(worker);
}

/* Waits until nothing is at work any more, at most until `until`. */
static void await_quiet(whippet_task *task, struct worker *worker, double until)
{
    while (!subscriptions_have_ended(worker) || worker_in_flight(worker) > 0) {
        waiter_init(&worker->progress);
        if (waiter_wait(task, &worker->progress, until, "stopping") != 0)
            return;
    }
}

/* What is to be handed over is, while the broker takes it; else it goes back to its queue. */
static void hurry_handovers(struct worker *worker)
{
    publisher_hurry(worker->dead_letters);
    relays_hurry(worker);
    each_subscription (subscription, worker) {
        list_each (link, &subscription->at_work) {
            struct delivery *delivery = list_entry(link, struct delivery, link);
            if (delivery->handover != NULL)
                handover_hurry(delivery->handover);
        }
    }
}

static void cancel_at_work(struct worker *worker)
{
    each_subscription (subscription, worker) {
        list_each (link, &subscription->at_work)
            delivery_cancel(list_entry(link, struct delivery, link));
        if (subscription->task != NULL)
            task_cancel(subscription->task);
    }
}

static void close_executors(whippet_task *task, struct worker *worker, double until)
{
    /* All at once: who is waited for last must not have the least time. */
    each_subscription (subscription, worker) {
        background_cancel(&subscription->background);
        if (subscription->children != NULL)
            child_group_end(subscription->children);
    }
    each_subscription (subscription, worker)
        subscription->executor->close(task, subscription, until);
}

static int stop_main(whippet_task *task, void *arg)
{
    struct worker *worker = arg;
    double until = loop_now(worker->loop) + worker->config->shutdown_timeout;
    renewal_stop(task, worker);
    worker_wake_subscriptions(worker);
    hurry_handovers(worker);
    await_quiet(task, worker, until);
    if (!subscriptions_have_ended(worker) || worker_in_flight(worker) > 0) {
        log_event(WHIPPET_WARNING, NULL,
                  "shutdown_timeout is over: what is still at work is cancelled and returned");
        cancel_at_work(worker);
        await_quiet(task, worker, loop_refresh_now(worker->loop) + CANCEL_SECONDS);
    }
    close_executors(task, worker, fmax(until, loop_now(worker->loop) + CANCEL_SECONDS));
    pace_flush_acks(worker);
    connections_stop(task, worker->connections, fmax(until, loop_now(worker->loop) + CANCEL_SECONDS));
    worker->ended = true;
    loop_stop(worker->loop);
    return 0;
}

void worker_stop(struct worker *worker)
{
    if (worker->stopping)
        return;
    worker->stopping = true;
    ledger_note_end(worker->ledger);
    atomic_store_explicit(&worker->stats.stopping, true, memory_order_relaxed);
    pace_end_rush(worker);
    log_event(WHIPPET_INFO, NULL, "stopping: %llu in flight", (unsigned long long)worker_in_flight(worker));
    bool started = false;
    task_start(loop_scheduler(worker->loop), stop_main, worker, INFINITY, NULL, NULL, &started);
    if (!started)
        loop_stop(worker->loop);
}

/* --- Words ----------------------------------------------------------------------------------------------*/

void subscription_log_counters(const struct subscription *subscription)
{
    const struct queue_counters *counters = &subscription->stats.counters;
    const counter *outcomes = counters->outcomes;
    struct log_fields fields = {.queue = subscription->config->name,
                                .processor = subscription->config->processor};
    log_event(WHIPPET_INFO, &fields,
              "consumed %llu = acked %llu + retried %llu + dead-lettered %llu + discarded %llu + "
              "returned %llu + in flight %llu",
              (unsigned long long)counter_get(&counters->consumed),
              (unsigned long long)counter_get(&outcomes[OUTCOME_ACKED]),
              (unsigned long long)counter_get(&outcomes[OUTCOME_RETRIED]),
              (unsigned long long)counter_get(&outcomes[OUTCOME_DEAD_LETTERED]),
              (unsigned long long)counter_get(&outcomes[OUTCOME_DISCARDED]),
              (unsigned long long)counter_get(&outcomes[OUTCOME_RETURNED]),
              (unsigned long long)queue_counters_in_flight(counters));
}

void worker_log_summary(const struct worker *worker)
{
    each_subscription (subscription, worker)
        subscription_log_counters(subscription);
}
