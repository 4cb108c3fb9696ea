/* The connections of one processor: who gets one, and what becomes of it afterwards. */
#ifndef CLIENTS_POSTGRES_POOL_H
#define CLIENTS_POSTGRES_POOL_H

#include "postgres_connection.h"

struct postgres_pool; /* shared by the threads of `run: thread` */

/* NULL with the failure filled. */
struct postgres_pool *postgres_pool_create(const whippet_pg_options *options,
                                           struct whippet_failure *failure);
void postgres_pool_destroy(struct postgres_pool *pool); /* nothing may use it any more */

/* Suspends until the task has a connection, which is idle and stands as far as can be told; while the server
 * can't be reached that may take until the deadline. 0, and it must be given back; else the error, and
 * `*result` says why. */
int postgres_pool_take(whippet_task *task, struct postgres_pool *pool,
                       struct postgres_connection **connection, const whippet_pg_result **result);

/* Gives it back, to the next in line or to the idle ones. Rolls back what was left open, and closes what is
 * broken: that may suspend, whatever has struck the task. One that a child of the task still uses is closed
 * when that has come to its end with it. */
void postgres_pool_give(whippet_task *task, struct postgres_pool *pool,
                        struct postgres_connection *connection);

#endif
