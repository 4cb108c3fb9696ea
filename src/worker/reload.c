/* From one configuration to the next while messages come in. Everything that can fail is done first, and can
 * be undone; what follows can't fail. */
#include "child_group.h"
#include "reload_plan.h"
#include "worker_internal.h"
#include <base/log.h>
#include <base/memory.h>
#include <string.h>

struct reload {
    struct worker *worker;
    const struct config *config; /* the new one */
    struct config_errors *errors;
    struct reload_plan plan;
    struct brokers *brokers;     /* for new connections; owned; NULL: those there are stay */
    struct subscription **fresh; /* for each step: the subscription it begins; NULL: none */
};

/* The one that consumes, or is about to, from that queue. */
static struct subscription *find_current(const struct worker *worker, const char *name)
{
    each_subscription (subscription, worker)
        if (!subscription->retired && !subscription->held && strcmp(subscription->config->name, name) == 0)
            return subscription;
    return NULL;
}

/* The one that a step keeps, replaces or removes; NULL with ADD. */
static struct subscription *subject_of(const struct reload *reload, const struct reload_step *step)
{
    if (step->action == RELOAD_ADD)
        return NULL;
    return find_current(reload->worker, reload->worker->config->queues[step->before].name);
}

/* --- Preparing ------------------------------------------------------------------------------------------*/

static void fail_for_memory(struct reload *reload)
{
    config_errors_add(reload->errors, reload->config, "", "out of memory");
}

/* Looks at every processor as `whippet check` does, so that all errors are found at once; and where the queue
 * is what it was, its plugin may be another. */
static void check_processor(struct reload *reload, struct reload_step *step)
{
    struct plugin *plugin;
    whippet_settings *settings;
    if (!queue_prepare(reload->config, step->after, &plugin, &settings, reload->errors))
        return;
    const struct subscription *subject = subject_of(reload, step);
    if (subject != NULL && subject->processor.plugin != plugin)
        reload_step_change(step, "its plugin");
    settings_destroy(settings);
    plugin_unload(plugin);
}

static bool check(struct reload *reload)
{
    worker_check_stacks(reload->worker, reload->config, reload->errors);
    for (size_t i = 0; i < reload->plan.count; i++)
        if (reload->plan.steps[i].action != RELOAD_REMOVE)
            check_processor(reload, &reload->plan.steps[i]);
    return reload->errors->count == 0;
}

static struct subscription *make_subscription(struct reload *reload, const struct reload_step *step)
{
    struct subscription *subscription = subscription_create(reload->worker, reload->config, step->after);
    if (subscription == NULL) {
        fail_for_memory(reload);
        return NULL;
    }
    subscription->held = true;
    subscription_make_processor(subscription, reload->errors);
    return subscription;
}

static bool make_subscriptions(struct reload *reload)
{
    for (size_t i = 0; i < reload->plan.count; i++) {
        const struct reload_step *step = &reload->plan.steps[i];
        if (step->action == RELOAD_CHANGE || step->action == RELOAD_ADD)
            reload->fresh[i] = make_subscription(reload, step);
    }
    return reload->errors->count == 0;
}

static bool start_tasks(struct reload *reload)
{
    bool started = true;
    for (size_t i = 0; i < reload->plan.count && started; i++)
        started = reload->fresh[i] == NULL || subscription_start(reload->fresh[i]);
    if (started && *reload->plan.reconnect != '\0')
        started = renewal_begin(reload->worker);
    if (!started)
        fail_for_memory(reload);
    return started;
}

/* New connections must not be begun with files that can't be used; and those that are to be begun already
 * take what the files hold now. */
static bool read_credentials(struct reload *reload)
{
    if (*reload->plan.reconnect != '\0' || reload->worker->renewal != NULL)
        reload->brokers = brokers_create(reload->config, reload->errors);
    return reload->errors->count == 0;
}

static bool prepare(struct reload *reload)
{
    bool planned = reload_plan_make(&reload->plan, reload->worker->config, reload->config) == 0;
    if (planned)
        reload->fresh = memory_allocate_zeroed(reload->plan.count * sizeof(struct subscription *));
    if (reload->fresh == NULL) {
        fail_for_memory(reload);
        return false;
    }
    return check(reload) && read_credentials(reload) && make_subscriptions(reload) && start_tasks(reload);
}

static void undo(struct reload *reload)
{
    for (size_t i = 0; reload->fresh != NULL && i < reload->plan.count; i++) {
        struct subscription *fresh = reload->fresh[i];
        if (fresh == NULL)
            continue;
        if (fresh->task != NULL)
            subscription_retire(fresh);
        else
            subscription_destroy(fresh);
    }
}

/* --- Doing ----------------------------------------------------------------------------------------------*/

static void report_step(const struct reload *reload, const struct reload_step *step,
                        const struct subscription *subject)
{
    const struct queue_config *config =
        step->action == RELOAD_REMOVE ? subject->config : &reload->config->queues[step->after];
    struct log_fields fields = {.queue = config->name, .processor = config->processor};
    switch (step->action) {
    case RELOAD_KEEP: break;
    case RELOAD_ADD: log_event(WHIPPET_INFO, &fields, "added"); break;
    case RELOAD_REMOVE: log_event(WHIPPET_INFO, &fields, "removed: what has begun is finished"); break;
    case RELOAD_CHANGE:
        log_event(WHIPPET_INFO, &fields,
                  "changed (%s): a new subscription takes over, the old one finishes what it has begun",
                  step->changed);
    }
}

static void follow_step(struct reload *reload, size_t index)
{
    const struct reload_step *step = &reload->plan.steps[index];
    struct subscription *subject = subject_of(reload, step), *fresh = reload->fresh[index];
    report_step(reload, step, subject);
    if (subject != NULL && step->action != RELOAD_KEEP)
        subscription_retire(subject);
    struct subscription *stays = step->action == RELOAD_KEEP ? subject : fresh;
    if (stays == NULL)
        return;
    /* The list has the order of the configuration. */
    list_remove(&stays->link);
    list_append(&reload->worker->subscriptions, &stays->link);
}

/* Only when every old one is known for retired may the new ones look whether they have to wait. */
static void release_fresh(const struct reload *reload)
{
    for (size_t i = 0; i < reload->plan.count; i++) {
        if (reload->fresh[i] == NULL)
            continue;
        reload->fresh[i]->held = false;
        subscription_wake(reload->fresh[i]);
    }
}

static void report(const struct reload *reload)
{
    const struct reload_plan *plan = &reload->plan;
    char keys[RELOAD_KEYS_SIZE];
    log_event(WHIPPET_INFO, NULL, "reloaded %s: %zu unchanged, %zu changed, %zu added, %zu removed",
              reload->config->file, reload_plan_count(plan, RELOAD_KEEP),
              reload_plan_count(plan, RELOAD_CHANGE), reload_plan_count(plan, RELOAD_ADD),
              reload_plan_count(plan, RELOAD_REMOVE));
    if (*plan->reconnect != '\0')
        log_event(WHIPPET_INFO, NULL, "the connections are made anew (%s), once what has begun is finished",
                  plan->reconnect);
    reload_restart_keys(reload->worker->started_with, reload->config, keys);
    if (*keys != '\0')
        log_event(WHIPPET_WARNING, NULL, "%s: needs a restart to take effect; the rest is applied", keys);
}

static void tell_children(struct worker *worker)
{
    each_subscription (subscription, worker)
        if (subscription->children != NULL)
            child_group_tell_log(subscription->children);
}

static void commit(struct reload *reload)
{
    struct worker *worker = reload->worker;
    for (size_t i = 0; i < reload->plan.count; i++)
        follow_step(reload, i);
    release_fresh(reload);
    config_destroy(worker->config);
    worker->config = config_retain(reload->config);
    worker_limit_spawning(worker);
    tell_children(worker);
    report(reload);
    if (reload->brokers == NULL) {
        connections_refresh_credentials(worker->connections);
        return;
    }
    brokers_destroy(worker->to_come);
    worker->to_come = reload->brokers;
    reload->brokers = NULL;
}

bool worker_reload(struct worker *worker, const struct config *config, struct config_errors *errors)
{
    struct reload reload = {.worker = worker, .config = config, .errors = errors};
    worker->reloading = true;
    bool prepared = prepare(&reload);
    if (prepared)
        commit(&reload);
    else
        undo(&reload);
    worker->reloading = false;
    waiter_wake(&worker->retirement, 0);
    reload_plan_destroy(&reload.plan);
    brokers_destroy(reload.brokers);
    memory_free(reload.fresh);
    return prepared;
}
