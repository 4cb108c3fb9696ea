#include "postgres_pool.h"
#include <async/task.h>
#include <base/clock.h>
#include <base/memory.h>
#include <base/random.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <whippet/sync.h>

enum {
    CONNECTIONS_DEFAULT = 4,
    CONNECTIONS_MOST = 1000,
    STATEMENTS_DEFAULT = 64,
};

static const double connect_timeout_default = 10.0;           /* seconds */
static const double backoff_first = 0.25, backoff_most = 5.0; /* seconds between two attempts to connect */
static const double rollback_timeout = 5.0;                   /* seconds */
static const double just_now =
    0.001; /* seconds for which a connection stands as it did when it last answered */

struct postgres_pool {
    const struct postgres_library *library;
    struct postgres_target *target; /* owned */
    double connect_timeout;
    size_t most_prepared;       /* of each connection */
    size_t size;                /* connections at most */
    whippet_semaphore *permits; /* owned; one for each connection that is used or made */

    pthread_mutex_t mutex; /* guards all below */
    struct list idle;      /* the one that was used last first */
    unsigned failures;     /* attempts to connect that failed since the last that did not */
    double not_before;     /* the moment of the next attempt, of clock_monotonic */
    double doubted_at;     /* when a connection was found outdated: older ones are not used again; 0: never */
};

/* --- Coming and going -----------------------------------------------------------------------------------*/

static double connect_timeout_of(const struct postgres_target *target, const whippet_pg_options *options)
{
    double of_url = postgres_target_connect_timeout(target);
    if (options->connect_timeout > 0)
        return options->connect_timeout;
    return of_url > 0 ? of_url : connect_timeout_default;
}

static int read_options(struct postgres_pool *pool, const whippet_pg_options *options,
                        struct whippet_failure *failure)
{
    pool->size = options->connections > 0 ? options->connections : CONNECTIONS_DEFAULT;
    if (!options->unprepared)
        pool->most_prepared = options->statements > 0 ? options->statements : STATEMENTS_DEFAULT;
    if (pool->size > CONNECTIONS_MOST)
        return failure_set(failure, WHIPPET_E_INVALID, "a pool of %zu connections: the most is %d",
                           pool->size, CONNECTIONS_MOST);
    if (!(options->connect_timeout >= 0) || !isfinite(options->connect_timeout))
        return failure_set(failure, WHIPPET_E_INVALID, "the time to connect must be above 0");
    pool->library = postgres_library_load(failure);
    if (pool->library == NULL)
        return failure->error;
    pool->target = postgres_target_create(pool->library, options, failure);
    if (pool->target == NULL)
        return failure->error;
    pool->connect_timeout = connect_timeout_of(pool->target, options);
    pool->permits = whippet_semaphore_create(pool->size);
    return pool->permits != NULL ? 0 : failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
}

struct postgres_pool *postgres_pool_create(const whippet_pg_options *options, struct whippet_failure *failure)
{
    struct postgres_pool *pool = memory_allocate_zeroed(sizeof *pool);
    if (pool == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        return NULL;
    }
    list_init(&pool->idle);
    pthread_mutex_init(&pool->mutex, NULL);
    if (read_options(pool, options, failure) == 0)
        return pool;
    postgres_pool_destroy(pool);
    return NULL;
}

void postgres_pool_destroy(struct postgres_pool *pool)
{
    struct list *link;
    while ((link = list_take_first(&pool->idle)) != NULL)
        postgres_connection_close(list_entry(link, struct postgres_connection, link));
    whippet_semaphore_destroy(pool->permits);
    postgres_target_destroy(pool->target);
    pthread_mutex_destroy(&pool->mutex);
    memory_free(pool);
}

/* --- Connecting, again and again ------------------------------------------------------------------------*/

/* Seconds until the next attempt to connect. */
static double pause_before_connecting(struct postgres_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    double pause = pool->failures > 0 ? pool->not_before - clock_monotonic() : 0;
    pthread_mutex_unlock(&pool->mutex);
    return pause;
}

/* Returns how many attempts have failed since one did not. What failed at the same time counts once. */
static unsigned note_failure(struct postgres_pool *pool)
{
    double now = clock_monotonic();
    pthread_mutex_lock(&pool->mutex);
    unsigned failures = pool->failures;
    if (failures == 0 || now >= pool->not_before) {
        double pause = fmin(backoff_first * exp2(fmin(failures, 16)), backoff_most);
        pool->not_before = now + pause * (0.5 + random_unit() / 2);
        pool->failures = ++failures;
    } else {
        failures = 0;
    }
    pthread_mutex_unlock(&pool->mutex);
    return failures;
}

/* Returns how many had failed. */
static unsigned note_success(struct postgres_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    unsigned failures = pool->failures;
    pool->failures = 0;
    pthread_mutex_unlock(&pool->mutex);
    return failures;
}

struct opening {
    struct postgres_pool *pool;
    struct postgres_connection *connection;
    struct postgres_refusal refusal;
};

static int open_connection(whippet_task *task, void *arg)
{
    struct opening *opening = arg;
    struct postgres_pool *pool = opening->pool;
    opening->refusal = (struct postgres_refusal){0};
    pthread_mutex_lock(&pool->mutex);
    double doubted_at = pool->doubted_at;
    pthread_mutex_unlock(&pool->mutex);
    opening->connection =
        postgres_connection_open(task, pool->library, pool->target, pool->most_prepared, &opening->refusal);
    if (opening->connection == NULL)
        return opening->refusal.failure.error;
    opening->connection->made_after = doubted_at;
    return 0;
}

/* What no later attempt makes good: who we say we are (28), or which database we want (3D, 42501). */
static bool is_final(const struct postgres_refusal *refusal)
{
    const char *sqlstate = refusal->sqlstate;
    return strncmp(sqlstate, "28", 2) == 0 || strncmp(sqlstate, "3D", 2) == 0 ||
           strcmp(sqlstate, "42501") == 0 || refusal->failure.error == WHIPPET_E_MEMORY;
}

/* Whether to go on after a failed attempt. */
static bool may_try_again(whippet_task *task, struct opening *opening)
{
    if (task_struck(task) != 0 || is_final(&opening->refusal))
        return false;
    if (note_failure(opening->pool) == 1)
        whippet_log(task, WHIPPET_WARNING, "no connection to PostgreSQL, trying again: %s",
                    opening->refusal.failure.text);
    return true;
}

/* Until there is a connection, or the deadline strikes. */
static int connect_patiently(whippet_task *task, struct opening *opening)
{
    int error;
    do {
        double pause = pause_before_connecting(opening->pool);
        error = pause > 0 ? whippet_sleep(task, pause) : 0;
        if (error != 0)
            return error;
        error = whippet_with_timeout(task, opening->pool->connect_timeout, open_connection, opening);
    } while (error != 0 && may_try_again(task, opening));
    if (error == 0 && note_success(opening->pool) > 0)
        whippet_log(task, WHIPPET_INFO, "connected to PostgreSQL again");
    return error;
}

/* Apart from its caller, to have the refusal's text off the stack while statements run. */
__attribute__((noinline)) static int connect_or_explain(whippet_task *task, struct postgres_pool *pool,
                                                        struct postgres_connection **connection,
                                                        const whippet_pg_result **result)
{
    struct opening opening = {.pool = pool};
    int error = connect_patiently(task, &opening);
    const struct postgres_refusal *refusal = &opening.refusal;
    *connection = opening.connection;
    if (error != 0)
        *result = postgres_result_fail(task, refusal->sqlstate, "no connection to PostgreSQL: %s",
                                       *refusal->failure.text != '\0' ? refusal->failure.text
                                                                      : whippet_error_text(error));
    return error;
}

/* --- Taking and giving ----------------------------------------------------------------------------------*/

static struct postgres_connection *take_idle(struct postgres_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    struct list *link = list_take_first(&pool->idle);
    pthread_mutex_unlock(&pool->mutex);
    return link != NULL ? list_entry(link, struct postgres_connection, link) : NULL;
}

/* Whether what it has prepared is no older than the last doubt. */
static bool is_up_to_date(struct postgres_pool *pool, const struct postgres_connection *connection)
{
    pthread_mutex_lock(&pool->mutex);
    bool is = connection->made_after == pool->doubted_at;
    pthread_mutex_unlock(&pool->mutex);
    return is;
}

/* Who has just answered need not be looked at. */
static bool stands(struct postgres_connection *connection, double now)
{
    return now - connection->given_at < just_now || postgres_connection_is_alive(connection);
}

static struct postgres_connection *take_living(struct postgres_pool *pool)
{
    struct postgres_connection *connection;
    while ((connection = take_idle(pool)) != NULL &&
           !(is_up_to_date(pool, connection) && stands(connection, clock_monotonic())))
        postgres_connection_close(connection);
    return connection;
}

int postgres_pool_take(whippet_task *task, struct postgres_pool *pool,
                       struct postgres_connection **connection, const whippet_pg_result **result)
{
    int error = whippet_semaphore_acquire(task, pool->permits);
    if (error != 0) {
        *result = postgres_result_fail(task, "", "waiting for one of %zu connections to PostgreSQL: %s",
                                       pool->size, whippet_error_text(error));
        return error;
    }
    *connection = take_living(pool);
    if (*connection == NULL)
        error = connect_or_explain(task, pool, connection, result);
    if (error != 0)
        whippet_semaphore_release(pool->permits);
    return error;
}

static int roll_back(whippet_task *task, void *arg)
{
    const whippet_pg_result *ignored;
    return postgres_connection_command(task, arg, "ROLLBACK", &ignored);
}

static int roll_back_in_time(whippet_task *task, void *connection)
{
    return whippet_with_timeout(task, rollback_timeout, roll_back, connection);
}

/* Whether it may be used again. */
static bool clean(whippet_task *task, struct postgres_connection *connection)
{
    if (!connection->broken && postgres_connection_is_in_transaction(connection))
        whippet_shield(task, roll_back_in_time, connection);
    return !connection->broken && !postgres_connection_is_in_transaction(connection);
}

/* One that is older than the last doubt tells nothing new. */
static void note_outdated(struct postgres_pool *pool, const struct postgres_connection *connection)
{
    pthread_mutex_lock(&pool->mutex);
    if (connection->outdated && connection->made_after == pool->doubted_at)
        pool->doubted_at = clock_monotonic();
    pthread_mutex_unlock(&pool->mutex);
}

void postgres_pool_give(whippet_task *task, struct postgres_pool *pool,
                        struct postgres_connection *connection)
{
    if (connection->task != NULL) {
        postgres_connection_orphan(connection, pool->permits);
        return;
    }
    note_outdated(pool, connection);
    if (clean(task, connection)) {
        connection->given_at = clock_monotonic();
        pthread_mutex_lock(&pool->mutex);
        list_prepend(&pool->idle, &connection->link);
        pthread_mutex_unlock(&pool->mutex);
    } else {
        postgres_connection_close(connection);
    }
    whippet_semaphore_release(pool->permits);
}
