/* One connection to the server, and statements on it, one at a time. */
#ifndef CLIENTS_POSTGRES_CONNECTION_H
#define CLIENTS_POSTGRES_CONNECTION_H

#include "postgres_result.h"
#include "postgres_target.h"
#include <base/list.h>
#include <whippet/sync.h>

/* The text of a statement that the server knows by a name. */
struct postgres_prepared {
    char *statement; /* owned */
    size_t length;
};

struct postgres_connection {
    struct list link;  /* among the pool's idle ones */
    double given_at;   /* the moment it was last given back to them */
    double made_after; /* the moment of the pool's last doubt when it was made; 0: none yet */
    const struct postgres_library *library;
    PGconn *pg;                /* owned */
    struct loop *loop;         /* on which its descriptor was last waited for; NULL: none yet */
    whippet_task *task;        /* that uses it; NULL: none does */
    whippet_semaphore *permit; /* released when it is closed, which is when that use ends; NULL: no orphan */
    bool broken;               /* nothing may be sent on it any more */
    bool outdated;             /* that is so since what it has prepared is; others' may be, too */
    struct postgres_prepared *prepared; /* owned; room for `most_prepared` */
    size_t prepared_count;
    size_t most_prepared;
};

/* A statement, and its parameters as libpq takes them. */
struct postgres_statement {
    const char *text;
    int count;
    const char *const *values;
    const int *lengths;
    const int *formats;
};

/* Why there is no connection. */
struct postgres_refusal {
    struct whippet_failure failure;
    char sqlstate[POSTGRES_SQLSTATE_SIZE]; /* "" when it was not the server that refused */
};

/* Connects, and suspends until that is done, or the deadline strikes. NULL with the refusal filled. */
struct postgres_connection *postgres_connection_open(whippet_task *task,
                                                     const struct postgres_library *library,
                                                     const struct postgres_target *target,
                                                     size_t most_prepared, struct postgres_refusal *refusal);

/* Closes it; whatever it had begun is rolled back by the server. NULL is fine. */
void postgres_connection_close(struct postgres_connection *connection);

/* The same once the task that uses it just now has come to its end with it, whatever that is; and then
 * releases one permit of the semaphore. */
void postgres_connection_orphan(struct postgres_connection *connection, whippet_semaphore *permit);

/* Whether an idle one still stands, as far as can be told without asking the server. */
bool postgres_connection_is_alive(struct postgres_connection *connection);

/* Whether it is in a transaction, or its state is unknown. */
bool postgres_connection_is_in_transaction(const struct postgres_connection *connection);

/* Whether a statement of its transaction has failed, so that only a rollback can end it. */
bool postgres_connection_has_failed_transaction(const struct postgres_connection *connection);

/* Runs a statement and suspends until the server is ready for another. As whippet_pg_query; when cut short,
 * or when the connection broke, it is broken afterwards. `*result` is never NULL.
 *
 * The types of a prepared statement's parameters are those that the columns had when it was prepared. So
 * where it does not take a value (SQLSTATE class 22) the statement is run anew, by its text; in a
 * transaction, which the error has ended, the result is a doubtful one, and the connection outdated. */
int postgres_connection_run(whippet_task *task, struct postgres_connection *connection,
                            const struct postgres_statement *statement, const whippet_pg_result **result);

/* The same for a statement without parameters, such as BEGIN. */
int postgres_connection_command(whippet_task *task, struct postgres_connection *connection,
                                const char *command, const whippet_pg_result **result);

#endif
