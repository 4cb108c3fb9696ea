/* What processors call. */
#include "postgres_arguments.h"
#include "postgres_pool.h"
#include <async/loop.h>
#include <base/memory.h>
#include <whippet/task.h>

enum {
    PARAMETERS_MOST = 65535, /* the protocol counts them with 16 bits */
};

struct whippet_pg {
    struct postgres_pool *pool;
    struct postgres_connection *connection; /* NULL: whichever the pool has */
};

/* --- The pool -------------------------------------------------------------------------------------------*/

whippet_pg *whippet_pg_open(const whippet_pg_options *options, whippet_failure *failure)
{
    struct postgres_pool *pool = postgres_pool_create(options, failure);
    if (pool == NULL)
        return NULL;
    whippet_pg *pg = memory_allocate(sizeof *pg);
    if (pg == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        postgres_pool_destroy(pool);
        return NULL;
    }
    *pg = (whippet_pg){.pool = pool};
    return pg;
}

void whippet_pg_close(whippet_pg *pool)
{
    if (pool == NULL)
        return;
    postgres_pool_destroy(pool->pool);
    memory_free(pool);
}

/* --- Statements -----------------------------------------------------------------------------------------*/

static int run_on_pool(whippet_task *task, struct postgres_pool *pool,
                       const struct postgres_statement *statement, const whippet_pg_result **result)
{
    struct postgres_connection *connection;
    int error = postgres_pool_take(task, pool, &connection, result);
    if (error != 0)
        return error;
    error = postgres_connection_run(task, connection, statement, result);
    postgres_pool_give(task, pool, connection);
    return error;
}

static int run(whippet_task *task, whippet_pg *pg, const struct postgres_statement *statement,
               const whippet_pg_result **result)
{
    return pg->connection != NULL ? postgres_connection_run(task, pg->connection, statement, result)
                                  : run_on_pool(task, pg->pool, statement, result);
}

static int explain_arguments(whippet_task *task, int error, size_t count, size_t place,
                             const whippet_pg_result **result)
{
    if (error == WHIPPET_E_MEMORY)
        *result = postgres_result_fail(task, "", "out of memory");
    else if (count > PARAMETERS_MOST)
        *result = postgres_result_fail(task, "", "%zu parameters: PostgreSQL takes at most %d", count,
                                       PARAMETERS_MOST);
    else
        *result = postgres_result_fail(
            task, "", "$%zu can't be sent: a text with a NUL in it, or more than two gigabytes", place);
    return error;
}

int whippet_pg_query(whippet_task *task, whippet_pg *pg, const char *statement,
                     const whippet_pg_parameter *parameters, size_t count, const whippet_pg_result **result)
{
    const whippet_pg_result *ignored;
    struct postgres_statement made = {.text = statement};
    void *memory = NULL;
    size_t place = 0;
    if (result == NULL)
        result = &ignored;
    *result = NULL;
    if (loop_of_task(task) == NULL)
        return WHIPPET_E_UNAVAILABLE;
    int error = count <= PARAMETERS_MOST ? postgres_arguments_make(parameters, count, &made, &memory, &place)
                                         : WHIPPET_E_INVALID;
    if (error != 0)
        return explain_arguments(task, error, count, place, result);
    error = run(task, pg, &made, result);
    memory_free(memory);
    return error;
}

/* --- Transactions ---------------------------------------------------------------------------------------*/

static int commit(whippet_task *task, struct postgres_connection *connection,
                  const whippet_pg_result **failed)
{
    /* COMMIT would roll back then, and call that a success. */
    if (postgres_connection_has_failed_transaction(connection)) {
        *failed = postgres_result_fail(
            task, "", "the transaction was rolled back, since one of its statements had failed");
        return WHIPPET_E_REFUSED;
    }
    return postgres_connection_command(task, connection, "COMMIT", failed);
}

int whippet_pg_transaction(whippet_task *task, whippet_pg *pool, whippet_pg_function *function, void *arg,
                           const whippet_pg_result **failed)
{
    const whippet_pg_result *result = NULL;
    struct postgres_connection *connection;
    if (failed != NULL)
        *failed = NULL;
    if (pool->connection != NULL)
        return WHIPPET_E_INVALID;
    if (loop_of_task(task) == NULL)
        return WHIPPET_E_UNAVAILABLE;
    int error = postgres_pool_take(task, pool->pool, &connection, &result);
    int returned = 0;
    if (error == 0) {
        error = postgres_connection_command(task, connection, "BEGIN", &result);
        if (error == 0)
            returned = function(task, &(whippet_pg){.pool = pool->pool, .connection = connection}, arg);
        if (error == 0 && returned >= 0)
            error = commit(task, connection, &result);
        postgres_pool_give(task, pool->pool, connection);
    }
    if (error != 0 && failed != NULL)
        *failed = result;
    return error != 0 ? error : returned;
}
