/* Tasks with a pool, on the server that the tests of a program share. Included by one test file each. */
#ifndef TESTS_CLIENTS_POSTGRES_TESTING_H
#define TESTS_CLIENTS_POSTGRES_TESTING_H

#include "patience.h"
#include "postgres.h"
#include <async/loop.h>
#include <async/task.h>
#include <base/failure.h>
#include <base/log.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <whippet/postgres.h>

static struct postgres server;
static struct loop *loop;
static char application_name[32]; /* this test's, by which the server knows its connections */

static void set_up(void)
{
    struct whippet_failure failure;
    signal(SIGPIPE, SIG_IGN);
    server = postgres_shared();
    snprintf(application_name, sizeof application_name, "test %d", getpid());
    setenv("PGAPPNAME", application_name, 1);
    loop = loop_create(256 * 1024, &failure);
    cr_assert_not_null(loop, "%s", failure.text);
}

/* An assertion that failed in a task has left that task where it was. */
static void tear_down(void)
{
    if (loop_scheduler(loop)->tasks == 0)
        loop_destroy(loop);
}

static void stop_loop(void *arg, int result)
{
    (void)arg, (void)result;
    if (loop_scheduler(loop)->tasks == 0)
        loop_stop(loop);
}

/* Runs a root task to its end. */
static inline void run_task(whippet_task_function *function, void *arg)
{
    bool started;
    loop_refresh_now(loop);
    task_start(loop_scheduler(loop), function, arg, INFINITY, NULL, stop_loop, &started);
    cr_assert(started, "no memory for a task");
    while (loop_scheduler(loop)->tasks > 0)
        loop_run(loop);
}

static inline whippet_pg *open_pool(const whippet_pg_options *options)
{
    struct whippet_failure failure;
    whippet_pg_options on_server = *options;
    if (on_server.url == NULL)
        on_server.url = server.url;
    whippet_pg *pool = whippet_pg_open(&on_server, &failure);
    cr_assert_not_null(pool, "%s", failure.text);
    return pool;
}

/* Runs a task whose argument is a pool with these options, on the shared server unless they have a url. */
static inline void run_with_pool(whippet_task_function *function, const whippet_pg_options *options)
{
    whippet_pg *pool = open_pool(options);
    run_task(function, pool);
    whippet_pg_close(pool);
}

/* A statement that must work. */
static inline const whippet_pg_result *ask(whippet_task *task, whippet_pg *pg, const char *statement)
{
    const whippet_pg_result *result;
    int error = whippet_pg_query(task, pg, statement, NULL, 0, &result);
    cr_assert_eq(error, 0, "%s: %s: %s", statement, whippet_error_text(error), whippet_pg_error(result));
    return result;
}

static inline void assert_contains(const char *text, const char *part)
{
    cr_assert_not_null(strstr(text, part), "\"%s\" is not in \"%s\"", part, text);
}

#endif
