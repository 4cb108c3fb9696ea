/* What a new configuration means for a worker that runs an old one: which subscriptions go on untouched, and
 * which come, go, or are begun anew. It only compares: nothing is loaded, and nothing done. */
#ifndef WORKER_RELOAD_PLAN_H
#define WORKER_RELOAD_PLAN_H

#include <config/config.h>

enum reload_action {
    RELOAD_KEEP,   /* nothing of it changed */
    RELOAD_CHANGE, /* it drains, and a new one is begun */
    RELOAD_ADD,
    RELOAD_REMOVE, /* it drains, and goes */
};

const char *reload_action_name(enum reload_action action);

enum {
    RELOAD_KEYS_SIZE = 256
};

struct reload_step {
    enum reload_action action;
    size_t before;                  /* index of its queue in the old configuration; not with ADD */
    size_t after;                   /* in the new one; not with REMOVE */
    char changed[RELOAD_KEYS_SIZE]; /* with CHANGE: the keys, "timeout, retry" */
};

struct reload_plan {
    struct reload_step
        *steps; /* each queue of the new configuration in its order, then those that are removed */
    size_t count;
    char reconnect[RELOAD_KEYS_SIZE]; /* keys of the connection that changed; "": it stays. Then nothing is
                                         kept */
};

/* 0, or MEMORY. Queues are known by their names, which no configuration has twice. */
int reload_plan_make(struct reload_plan *plan, const struct config *before, const struct config *after);
void reload_plan_destroy(struct reload_plan *plan);

/* Adds to the keys for which a step is a change, or makes it one. */
void reload_step_change(struct reload_step *step, const char *key);

/* How many steps there are of a kind. */
size_t reload_plan_count(const struct reload_plan *plan, enum reload_action action);

/* The keys that differ between the configuration a process was started with and `after`, and that only a
 * restart can apply: "stack_size, admin.listen"; "" when there are none. Whatever is not known to be applied
 * is one. */
void reload_restart_keys(const struct config *started, const struct config *after,
                         char keys[RELOAD_KEYS_SIZE]);

#endif
