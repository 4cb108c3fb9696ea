/* In place of the PostgreSQL client, where libpq's headers were missing when this was built. */
#include <base/failure.h>
#include <whippet/postgres.h>

whippet_pg *whippet_pg_open(const whippet_pg_options *options, whippet_failure *failure)
{
    (void)options;
    failure_set(failure, WHIPPET_E_UNAVAILABLE,
                "this whippet was built without PostgreSQL: build it again where libpq's headers are "
                "(Debian's package libpq-dev), without -D WHIPPET_POSTGRES=OFF");
    return NULL;
}

void whippet_pg_close(whippet_pg *pool)
{
    (void)pool;
}

int whippet_pg_query(whippet_task *task, whippet_pg *pg, const char *statement,
                     const whippet_pg_parameter *parameters, size_t count, const whippet_pg_result **result)
{
    (void)task, (void)pg, (void)statement, (void)parameters, (void)count;
    if (result != NULL)
        *result = NULL;
    return WHIPPET_E_UNAVAILABLE;
}

int whippet_pg_transaction(whippet_task *task, whippet_pg *pool, whippet_pg_function *function, void *arg,
                           const whippet_pg_result **failed)
{
    (void)task, (void)pool, (void)function, (void)arg;
    if (failed != NULL)
        *failed = NULL;
    return WHIPPET_E_UNAVAILABLE;
}
