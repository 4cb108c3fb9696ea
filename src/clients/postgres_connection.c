#include "postgres_connection.h"
#include "postgres_cancel.h"
#include <async/loop.h>
#include <base/clock.h>
#include <base/memory.h>
#include <stdio.h>
#include <string.h>
#include <whippet/task.h>

enum {
    NAME_SIZE = 32, /* of a prepared statement's name, "whippet12" */
};

static const double doubt_pause = 60; /* seconds */

/* --- Its state ------------------------------------------------------------------------------------------*/

bool postgres_connection_is_alive(struct postgres_connection *connection)
{
    const struct postgres_library *library = connection->library;
    /* The second of these reads what the first has got. */
    return library->consumeInput(connection->pg) == 1 && library->isBusy(connection->pg) == 0 &&
           !connection->broken && library->status(connection->pg) == CONNECTION_OK &&
           library->transactionStatus(connection->pg) == PQTRANS_IDLE;
}

bool postgres_connection_is_in_transaction(const struct postgres_connection *connection)
{
    return connection->library->transactionStatus(connection->pg) != PQTRANS_IDLE;
}

bool postgres_connection_has_failed_transaction(const struct postgres_connection *connection)
{
    return connection->library->transactionStatus(connection->pg) == PQTRANS_INERROR;
}

/* --- Waiting --------------------------------------------------------------------------------------------
 *
 * That the connection broke is no error here: libpq has a result that says so. */

/* Until what was sent is on its way. The server may have to be read from first, to read on itself. */
static int await_sent(whippet_task *task, struct postgres_connection *connection)
{
    const struct postgres_library *library = connection->library;
    PGconn *pg = connection->pg;
    while (library->flush(pg) > 0) {
        int ready =
            loop_wait_fd(task, library->socket(pg), WHIPPET_READABLE | WHIPPET_WRITABLE, &connection->loop);
        if (ready < 0)
            return ready;
        if ((ready & WHIPPET_READABLE) != 0 && library->consumeInput(pg) == 0)
            return 0;
    }
    return 0;
}

/* Until there is a result, or the word that there is none any more. */
static int await_result(whippet_task *task, struct postgres_connection *connection)
{
    const struct postgres_library *library = connection->library;
    while (library->isBusy(connection->pg)) {
        int ready = loop_wait_fd(task, library->socket(connection->pg), WHIPPET_READABLE, &connection->loop);
        if (ready < 0)
            return ready;
        if (library->consumeInput(connection->pg) == 0)
            return 0;
    }
    return 0;
}

static bool is_error(const struct postgres_library *library, const PGresult *result)
{
    ExecStatusType status = library->resultStatus(result);
    return status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY;
}

static bool is_copy(const struct postgres_library *library, const PGresult *result)
{
    ExecStatusType status = library->resultStatus(result);
    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/* All results of what was sent: the first error, or else the last one, is kept in `*kept`, the caller's. */
static int collect(whippet_task *task, struct postgres_connection *connection, PGresult **kept)
{
    const struct postgres_library *library = connection->library;
    int error = await_sent(task, connection);
    while (error == 0 && (error = await_result(task, connection)) == 0) {
        PGresult *next = library->getResult(connection->pg);
        if (next == NULL)
            return 0;
        PGresult *other = next;
        if (*kept == NULL || !is_error(library, *kept)) {
            other = *kept;
            *kept = next;
        }
        library->clear(other);
        if (is_copy(library, *kept))
            return WHIPPET_E_INVALID;
    }
    return error;
}

/* --- What came of it ------------------------------------------------------------------------------------*/

/* Whether the server ends the connection with this error, which libpq may not know yet. */
static bool is_fatal(const struct postgres_library *library, const PGresult *result)
{
    const char *severity = library->resultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    return severity == NULL || strcmp(severity, "ERROR") != 0;
}

/* Statements that the server no longer has under their names, or whose tables have changed meanwhile: the
 * next connection prepares them anew. */
static bool forgets_prepared(const char *sqlstate)
{
    return strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "0A000") == 0 || strcmp(sqlstate, "42P05") == 0;
}

/* Errors after which the next statement is better off on another connection: of prepared statements, or from
 * a server that has become, or was found as, one that can't be written to (25006). */
static bool is_unfit(const struct postgres_connection *connection, const char *sqlstate)
{
    return strcmp(sqlstate, "25006") == 0 || (connection->prepared_count > 0 && forgets_prepared(sqlstate));
}

/* Takes `raw`, which may be NULL. */
static int conclude(whippet_task *task, struct postgres_connection *connection, PGresult *raw,
                    const whippet_pg_result **result)
{
    const struct postgres_library *library = connection->library;
    if (raw == NULL) {
        *result = postgres_result_fail(task, "", "the connection broke");
        connection->broken = true;
        return WHIPPET_E_CLOSED;
    }
    *result = postgres_result_copy(task, library, raw);
    bool failed = is_error(library, raw), fatal = failed && is_fatal(library, raw);
    library->clear(raw);
    if (!failed)
        return *whippet_pg_error(*result) == '\0' ? 0 : WHIPPET_E_MEMORY;
    connection->broken = fatal || library->status(connection->pg) != CONNECTION_OK ||
                         is_unfit(connection, whippet_pg_sqlstate(*result));
    return fatal ? WHIPPET_E_CLOSED : WHIPPET_E_REFUSED;
}

/* The server may be at it still. */
static int abandon(whippet_task *task, struct postgres_connection *connection, int error,
                   const whippet_pg_result **result)
{
    connection->broken = true;
    if (error == WHIPPET_E_INVALID) {
        *result = postgres_result_fail(task, "", "COPY can't be run this way");
        return error;
    }
    postgres_cancel(task, connection->library, connection->pg);
    *result = postgres_result_fail(task, "", "the statement was cut short: %s", whippet_error_text(error));
    return error;
}

/* `sent` is what one of PQsend… returned. */
static int finish(whippet_task *task, struct postgres_connection *connection, int sent,
                  const whippet_pg_result **result)
{
    const struct postgres_library *library = connection->library;
    PGresult *raw = NULL;
    if (sent == 0) {
        connection->broken = true;
        *result = postgres_result_fail(task, "", "%s", library->errorMessage(connection->pg));
        return WHIPPET_E_CLOSED;
    }
    int error = collect(task, connection, &raw);
    if (error == 0)
        return conclude(task, connection, raw, result);
    library->clear(raw);
    return abandon(task, connection, error, result);
}

/* --- Prepared statements --------------------------------------------------------------------------------*/

/* Its place among the prepared ones; prepared_count when it is none. */
static size_t find_prepared(const struct postgres_connection *connection, const char *text, size_t length)
{
    size_t i = 0;
    while (i < connection->prepared_count && (connection->prepared[i].length != length ||
                                              memcmp(connection->prepared[i].statement, text, length) != 0))
        i++;
    return i;
}

static int prepare(whippet_task *task, struct postgres_connection *connection, const char *text,
                   size_t length, const char *name, const whippet_pg_result **result)
{
    char *copy = memory_copy_span(text, length);
    if (copy == NULL) {
        *result = postgres_result_fail(task, "", "out of memory");
        return WHIPPET_E_MEMORY;
    }
    int sent = connection->library->sendPrepare(connection->pg, name, text, 0, NULL);
    int error = finish(task, connection, sent, result);
    if (error != 0) {
        memory_free(copy);
        return error;
    }
    connection->prepared[connection->prepared_count++] =
        (struct postgres_prepared){.statement = copy, .length = length};
    return 0;
}

static int run_unprepared(whippet_task *task, struct postgres_connection *connection,
                          const struct postgres_statement *statement, const whippet_pg_result **result)
{
    int sent =
        connection->library->sendQueryParams(connection->pg, statement->text, statement->count, NULL,
                                             statement->values, statement->lengths, statement->formats, 0);
    return finish(task, connection, sent, result);
}

static bool is_misfit(int error, const whippet_pg_result *result)
{
    return error == WHIPPET_E_REFUSED && strncmp(whippet_pg_sqlstate(result), "22", 2) == 0;
}

static void outdate(struct postgres_connection *connection)
{
    connection->broken = connection->outdated = true;
}

/* What was prepared before does not take a value: the column may have been widened since. */
static int doubt(whippet_task *task, struct postgres_connection *connection,
                 const struct postgres_statement *statement, const whippet_pg_result **result)
{
    if (!postgres_connection_is_in_transaction(connection)) {
        int error = run_unprepared(task, connection, statement, result);
        if (error == 0)
            outdate(connection);
        return error;
    }
    /* One doubt serves all for a while: or each message that is wrong would cost all connections. */
    if (connection->made_after > 0 && clock_monotonic() - connection->made_after < doubt_pause)
        return WHIPPET_E_REFUSED;
    outdate(connection);
    *result = postgres_result_doubt(task, *result);
    return WHIPPET_E_REFUSED;
}

static int run_prepared(whippet_task *task, struct postgres_connection *connection,
                        const struct postgres_statement *statement, const whippet_pg_result **result)
{
    char name[NAME_SIZE];
    size_t length = strlen(statement->text);
    size_t place = find_prepared(connection, statement->text, length);
    bool is_new = place == connection->prepared_count;
    if (place == connection->most_prepared)
        return run_unprepared(task, connection, statement, result);
    snprintf(name, sizeof name, "whippet%zu", place);
    if (is_new) {
        int error = prepare(task, connection, statement->text, length, name, result);
        if (error != 0)
            return error;
    }
    int sent = connection->library->sendQueryPrepared(
        connection->pg, name, statement->count, statement->values, statement->lengths, statement->formats, 0);
    int error = finish(task, connection, sent, result);
    return !is_new && is_misfit(error, *result) ? doubt(task, connection, statement, result) : error;
}

/* --- Running --------------------------------------------------------------------------------------------*/

/* 0, or why nothing can be sent: another task, a child for instance, uses it just now; or it broke before. */
static int begin_use(whippet_task *task, struct postgres_connection *connection,
                     const whippet_pg_result **result)
{
    if (connection->task != NULL) {
        *result = postgres_result_fail(
            task, "", "another task uses this connection: statements on one come one after the other");
        return WHIPPET_E_INVALID;
    }
    if (connection->broken) {
        *result = postgres_result_fail(task, "", "the connection broke before this statement");
        return WHIPPET_E_CLOSED;
    }
    connection->task = task;
    return 0;
}

/* Nothing may be done with it after that. */
static void end_use(struct postgres_connection *connection)
{
    whippet_semaphore *permit = connection->permit;
    connection->task = NULL;
    if (permit == NULL)
        return;
    postgres_connection_close(connection);
    whippet_semaphore_release(permit);
}

void postgres_connection_orphan(struct postgres_connection *connection, whippet_semaphore *permit)
{
    connection->broken = true;
    connection->permit = permit;
}

int postgres_connection_run(whippet_task *task, struct postgres_connection *connection,
                            const struct postgres_statement *statement, const whippet_pg_result **result)
{
    int error = begin_use(task, connection, result);
    if (error != 0)
        return error;
    error = run_prepared(task, connection, statement, result);
    end_use(connection);
    return error;
}

int postgres_connection_command(whippet_task *task, struct postgres_connection *connection,
                                const char *command, const whippet_pg_result **result)
{
    int error = begin_use(task, connection, result);
    if (error != 0)
        return error;
    error = finish(task, connection, connection->library->sendQuery(connection->pg, command), result);
    end_use(connection);
    return error;
}
