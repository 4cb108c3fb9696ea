/* The processor `postgres` between a real broker and a real server, which is cut off, killed and started
 * again: whatever happens, each message counts once. */
#include "postgres.h"
#include "every_mode.h"
#include "stage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(postgres_processor, .init = stage_open, .fini = stage_close, .timeout = 240);

static void make_table(const struct postgres *server, const char *queue)
{
    postgres_ask(server, "CREATE TABLE \"%s.seen\" (id text)", queue);
}

/* `more` are further settings, `members` further members of the queue. */
static struct worker *start(const struct postgres *server, const char *mode, const char *queue,
                            const char *more, const char *members)
{
    struct worker *worker = worker_start(
        "'threads': 8",
        "[{'name': '%s', 'processor': '%s', 'run': '%s', 'concurrency': 16%s, 'settings': {'url': '%s', "
        "'inbox': '%s', 'connections': 4%s}}]",
        queue, POSTGRES_PROCESSOR, mode, members, server->url, stage_name("inbox"), more);
    worker_await_consuming(worker, queue);
    return worker;
}

static unsigned long rows(const struct postgres *server, const char *queue)
{
    return strtoul(postgres_ask(server, "SELECT count(*) FROM \"%s.seen\"", queue), NULL, 10);
}

static unsigned long different_rows(const struct postgres *server, const char *queue)
{
    return strtoul(postgres_ask(server, "SELECT count(DISTINCT id) FROM \"%s.seen\"", queue), NULL, 10);
}

/* How many statements with this queue's name in a comment the server is at. */
static unsigned long running(const struct postgres *server, const char *queue)
{
    return strtoul(postgres_ask(server,
                                "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND "
                                "pid <> pg_backend_pid() AND query LIKE '%%/* %s */%%'",
                                queue),
                   NULL, 10);
}

/* The setting for a statement of some milliseconds that adds a row, which nothing would stop from being added
 * twice. */
static const char *insert_into(const char *queue)
{
    static char setting[512];
    snprintf(setting, sizeof setting,
             ", 'statement': 'INSERT INTO \\'%s.seen\\' SELECT $1 FROM pg_sleep(0.005)', 'parameters': "
             "['@message_id']",
             queue);
    return setting;
}

/* --- Every mode -----------------------------------------------------------------------------------------*/

enum {
    MANY = 300
};

/* Everything is sent twice. */
IN_EVERY_MODE_OF(postgres_processor, writes_each_message_once)
{
    struct postgres server = postgres_shared();
    const char *queue = stage_name("once");
    make_table(&server, queue);
    client_declare(stage_client(), queue, "quorum");
    struct worker *worker = start(&server, mode, queue, insert_into(queue), "");
    client_send_many(stage_client(), queue, MANY);
    client_send_many(stage_client(), queue, MANY);
    await(60, client_ready(stage_client(), queue) == 0 && rows(&server, queue) >= MANY, "%lu rows",
          rows(&server, queue));
    worker_stop(worker, 20);
    /* What was in its hands when it was told to stop may have gone back. */
    unsigned long acked = worker_counts(worker, queue).acked;
    await(10, acked + (unsigned long)client_ready(stage_client(), queue) == 2 * MANY, "%lu and %ld", acked,
          client_ready(stage_client(), queue));
    cr_assert_geq(acked, MANY);
    cr_assert_eq(rows(&server, queue), MANY);
    cr_assert_eq(different_rows(&server, queue), MANY);
}

/* --- A server that goes away ----------------------------------------------------------------------------*/

/* A process of the server's that is at a statement just now; 0 when there is none. */
static pid_t busy_backend(const struct postgres *server)
{
    return (pid_t)strtol(
        postgres_ask(server, "SELECT max(pid) FROM pg_stat_activity WHERE application_name = 'whippet' "
                             "AND (state <> 'idle' OR random() < 0.5)"),
        NULL, 10);
}

/* kill -9 of a process of the server's has it end all others, and start anew by itself. */
static void kill_a_backend(const struct postgres *server)
{
    pid_t backend = 0;
    await(30, (backend = busy_backend(server)) > 0, "a connection of the worker's");
    cr_assert_eq(kill(backend, SIGKILL), 0);
}

/* False also while the server takes no connections. */
static bool has_rows(const struct postgres *server, const char *queue, unsigned long expected)
{
    const char *answer = postgres_try(server, "SELECT count(*) FROM \"%s.seen\"", queue);
    return answer != NULL && strtoul(answer, NULL, 10) >= expected;
}

static void await_rows(const struct postgres *server, const char *queue, unsigned long expected)
{
    await(60, has_rows(server, queue, expected), "%lu rows", expected);
}

Test(postgres_processor, counts_each_message_once_though_the_server_is_killed_in_the_middle)
{
    struct postgres server = postgres_create();
    const char *queue = stage_name("killed");
    make_table(&server, queue);
    client_declare(stage_client(), queue, "quorum");
    struct worker *worker = start(&server, "loop", queue, insert_into(queue),
                                  ", 'timeout': '30s', 'retry': {'attempts': 50, 'delay': '100ms'}");

    client_send_numbered(stage_client(), queue, 0, MANY, 0);
    await_rows(&server, queue, MANY / 10);
    postgres_kill(&server);
    client_send_numbered(stage_client(), queue, MANY, MANY, 0);
    postgres_start(&server);
    await_rows(&server, queue, MANY);
    kill_a_backend(&server);
    client_send_numbered(stage_client(), queue, 2 * MANY, MANY, 0);
    await_rows(&server, queue, 3 * MANY);

    await(30, worker_in_flight(worker) == 0, "the last acknowledgements");
    worker_stop(worker, 20);
    struct worker_counts counts = worker_counts(worker, queue);
    cr_assert_eq(counts.acked, 3 * MANY, "%lu were acknowledged, %lu dead-lettered", counts.acked,
                 counts.dead_lettered);
    cr_assert_eq(rows(&server, queue), 3 * MANY);
    cr_assert_eq(different_rows(&server, queue), 3 * MANY);
    cr_assert_gt(worker_said(worker, "connected to PostgreSQL again"), 0);
    postgres_destroy(&server);
}

/* --- What ends in the dead letters ----------------------------------------------------------------------*/

static void assert_dead_letter(const char *queue, const char *reason, const char *error)
{
    struct client_message *message = NULL;
    char name[256];
    snprintf(name, sizeof name, "%s.dead", queue);
    await(60, client_ready(stage_client(), name) > 0, "a message in %s", name);
    await(5, (message = client_get(stage_client(), name)) != NULL, "the message in %s", name);
    char *found_reason = client_header_text(message, "whippet-reason");
    char *found_error = client_header_text(message, "whippet-error");
    cr_assert_str_eq(found_reason, reason);
    cr_assert_not_null(strstr(found_error, error), "\"%s\" is not in \"%s\"", error, found_error);
    free(found_reason);
    free(found_error);
    client_message_destroy(message);
}

Test(postgres_processor, dead_letters_what_a_constraint_refuses_with_the_servers_words)
{
    struct postgres server = postgres_shared();
    const char *queue = stage_name("refused");
    make_table(&server, queue);
    postgres_ask(&server, "ALTER TABLE \"%s.seen\" ADD CONSTRAINT only_small CHECK (id < 'b')", queue);
    client_declare(stage_client(), queue, "quorum");
    struct worker *worker = start(&server, "loop", queue, insert_into(queue), "");
    client_send(stage_client(), queue, "a", "");
    client_send(stage_client(), queue, "c", "");
    assert_dead_letter(queue, "rejected", "violates check constraint \"only_small\"");
    await(30, rows(&server, queue) == 1, "the other row");
    worker_stop(worker, 20);
    struct worker_counts counts = worker_counts(worker, queue);
    cr_assert(counts.acked == 1 && counts.dead_lettered == 1 && counts.retried == 0);
}

Test(postgres_processor, cancels_on_the_server_what_hangs_past_the_timeout)
{
    struct postgres server = postgres_shared();
    const char *queue = stage_name("hangs");
    client_declare(stage_client(), queue, "quorum");
    char statement[256];
    snprintf(statement, sizeof statement, ", 'statement': 'SELECT pg_sleep(1000) /* %s */'", queue);
    struct worker *worker = start(&server, "loop", queue, statement,
                                  ", 'timeout': '3s', 'retry': {'attempts': 2, 'delay': '10ms'}");
    client_send(stage_client(), queue, "1", "");
    assert_dead_letter(queue, "timeout", "the statement was cut short: timed out");
    await(10, running(&server, queue) == 0, "the statement to end on the server");
    worker_stop(worker, 20);
}
