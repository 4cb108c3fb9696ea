#include "reload_plan.h"
#include <base/memory.h>
#include <config/difference.h>
#include <stdio.h>
#include <string.h>
#include <whippet/task.h>

const char *reload_action_name(enum reload_action action)
{
    static const char *const NAMES[] = {
        [RELOAD_KEEP] = "unchanged",
        [RELOAD_CHANGE] = "changed",
        [RELOAD_ADD] = "added",
        [RELOAD_REMOVE] = "removed",
    };
    return NAMES[action];
}

/* What does not fit is left out: it is for people. */
static void append_key(char *keys, const char *key)
{
    size_t length = strlen(keys);
    snprintf(keys + length, RELOAD_KEYS_SIZE - length, "%s%s", length > 0 ? ", " : "", key);
}

static bool is_within(const char *path, const char *section)
{
    size_t length = strlen(section);
    return strncmp(path, section, length) == 0 && (path[length] == '\0' || path[length] == '.');
}

static void note_key(void *owner, const char *path)
{
    append_key(owner, path);
}

static void note_connection_key(void *owner, const char *path)
{
    if (is_within(path, "amqp"))
        append_key(owner, path);
}

/* processor_path shows in the plugins that are found by it, and management is for who owns the worker. */
static void note_restart_key(void *owner, const char *path)
{
    static const char *const APPLIED[] = {"amqp",      "log",        "shutdown_timeout", "processor_path",
                                          "max_tasks", "management", "$schema"};
    for (size_t i = 0; i < sizeof APPLIED / sizeof APPLIED[0]; i++)
        if (is_within(path, APPLIED[i]))
            return;
    append_key(owner, path);
}

void reload_restart_keys(const struct config *started, const struct config *after,
                         char keys[RELOAD_KEYS_SIZE])
{
    keys[0] = '\0';
    config_differences(started, after, note_restart_key, keys);
}

/* The index of the queue with that name; the count when there is none. */
static size_t find_queue(const struct config *config, const char *name)
{
    size_t index = 0;
    while (index < config->queue_count && strcmp(config->queues[index].name, name) != 0)
        index++;
    return index;
}

void reload_step_change(struct reload_step *step, const char *key)
{
    step->action = RELOAD_CHANGE;
    append_key(step->changed, key);
}

static void plan_queue(struct reload_step *step, const struct config *before, const struct config *after,
                       size_t index)
{
    *step = (struct reload_step){.after = index, .before = find_queue(before, after->queues[index].name)};
    if (step->before == before->queue_count) {
        step->action = RELOAD_ADD;
        return;
    }
    config_queue_differences(before, step->before, after, index, note_key, step->changed);
    step->action = *step->changed != '\0' ? RELOAD_CHANGE : RELOAD_KEEP;
}

int reload_plan_make(struct reload_plan *plan, const struct config *before, const struct config *after)
{
    *plan = (struct reload_plan){0};
    plan->steps = memory_allocate((before->queue_count + after->queue_count) * sizeof *plan->steps);
    if (plan->steps == NULL)
        return WHIPPET_E_MEMORY;
    config_differences(before, after, note_connection_key, plan->reconnect);
    for (size_t i = 0; i < after->queue_count; i++) {
        struct reload_step *step = &plan->steps[plan->count++];
        plan_queue(step, before, after, i);
        if (step->action == RELOAD_KEEP && *plan->reconnect != '\0')
            reload_step_change(step, "the connection");
    }
    for (size_t i = 0; i < before->queue_count; i++)
        if (find_queue(after, before->queues[i].name) == after->queue_count)
            plan->steps[plan->count++] = (struct reload_step){.action = RELOAD_REMOVE, .before = i};
    return 0;
}

void reload_plan_destroy(struct reload_plan *plan)
{
    memory_free(plan->steps);
    *plan = (struct reload_plan){0};
}

size_t reload_plan_count(const struct reload_plan *plan, enum reload_action action)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++)
        count += plan->steps[i].action == action;
    return count;
}
