/* What a queue's settings come to: the statements that are run, and where their parameters come from. */
#ifndef POSTGRES_SETTINGS_H
#define POSTGRES_SETTINGS_H

#include "source.h"
#include <stdatomic.h>

/* A statement and what goes into it: $1 comes from the first source, and so on. */
struct query {
    char *text;             /* owned; NULL: there is none */
    struct source *sources; /* owned */
    size_t count;
};

/* Of one queue. */
struct settings {
    whippet_pg *pg;     /* owned */
    const char *table;  /* borrowed; NULL: a statement of the user's own */
    char *quoted_table; /* owned; NULL likewise */
    struct query write; /* what each message does */
    char *write_once;   /* owned; the same with the inbox in it: two more parameters, queue and message
                           id; NULL for a statement of the user's own, and without an inbox */
    const char *inbox;  /* borrowed; NULL: none */
    char *inbox_insert; /* owned; for a statement of the user's own: enters queue and message id */
    char *inbox_create; /* owned; NULL: it is not for us to make */
    char *quoted_inbox; /* owned */
    atomic_bool inbox_is_there; /* as far as we know */
    struct query verify;
    whippet_retry_policy verify_policy;
};

extern const whippet_option settings_options[];

/* NULL with the failure saying what is wrong. */
struct settings *settings_create(const whippet_settings *given, whippet_failure *failure);
void settings_destroy(struct settings *settings);

#endif
