/* Connecting, without ever blocking the loop. */
#include "postgres_connection.h"
#include <async/task.h>
#include <base/memory.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* What the server says meanwhile (NOTICE) goes to the log of the task that asked. On an idle connection libpq
 * takes the server's last words for a notice, too: class 57, an operator's intervention. */
static void on_notice(void *arg, const PGresult *notice)
{
    struct postgres_connection *connection = arg;
    const struct postgres_library *library = connection->library;
    const char *severity = library->resultErrorField(notice, PG_DIAG_SEVERITY);
    const char *sqlstate = library->resultErrorField(notice, PG_DIAG_SQLSTATE);
    const char *message = library->resultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
    if (connection->task != NULL && message != NULL)
        whippet_log(connection->task, WHIPPET_DEBUG, "PostgreSQL: %s: %s",
                    severity != NULL ? severity : "NOTICE", message);
    if (connection->task == NULL && sqlstate != NULL && strncmp(sqlstate, "57", 2) == 0)
        connection->broken = true;
}

/* --- What libpq says ------------------------------------------------------------------------------------
 *
 * There is no function for the SQLSTATE of a connection that was refused; at the verbosity "verbose" it
 * stands in the text: "FATAL:  28P01: password authentication failed …\nLOCATION:  auth_failed, auth.c:335".
 */

static bool is_sqlstate(const char *text)
{
    for (size_t i = 0; i < POSTGRES_SQLSTATE_SIZE - 1; i++) {
        if (!isupper((unsigned char)text[i]) && !isdigit((unsigned char)text[i]))
            return false;
    }
    return strncmp(text + POSTGRES_SQLSTATE_SIZE - 1, ": ", 2) == 0;
}

/* Takes the SQLSTATEs and places in the source out of `text`, which may tell of several attempts; the last
 * one is kept in `sqlstate`. */
static void take_sqlstate(char *text, char *sqlstate)
{
    for (char *at = strstr(text, ":  "); at != NULL; at = strstr(at + 1, ":  ")) {
        char *found = at + 3, *behind = found + POSTGRES_SQLSTATE_SIZE + 1;
        if (!is_sqlstate(found))
            continue;
        memcpy(sqlstate, found, POSTGRES_SQLSTATE_SIZE - 1);
        memmove(found, behind, strlen(behind) + 1);
        char *location = strstr(found, "\nLOCATION:");
        if (location != NULL) {
            behind = location + 1 + strcspn(location + 1, "\n");
            memmove(location, behind, strlen(behind) + 1);
        }
    }
}

static int refuse(struct postgres_refusal *refusal, const char *message)
{
    char text[FAILURE_TEXT_SIZE];
    snprintf(text, sizeof text, "%s", message);
    take_sqlstate(text, refusal->sqlstate);
    postgres_text_join_lines(text);
    if (*text == '\0')
        snprintf(text, sizeof text, "connecting failed");
    return failure_set(&refusal->failure, *refusal->sqlstate != '\0' ? WHIPPET_E_REFUSED : WHIPPET_E_SYSTEM,
                       "%s%s%s%s", text, *refusal->sqlstate != '\0' ? " (SQLSTATE " : "", refusal->sqlstate,
                       *refusal->sqlstate != '\0' ? ")" : "");
}

/* --- Connecting -----------------------------------------------------------------------------------------*/

struct readiness {
    int descriptor;
    int events;
};

static int await_ready(whippet_task *task, void *arg)
{
    const struct readiness *readiness = arg;
    return whippet_wait_fd(task, readiness->descriptor, readiness->events);
}

/* Each answer in `silence` seconds at most. 0; or the error, with the refusal filled. */
static int poll_to_end(whippet_task *task, struct postgres_connection *connection, double silence,
                       const char *place, struct postgres_refusal *refusal)
{
    const struct postgres_library *library = connection->library;
    PGconn *pg = connection->pg;
    PostgresPollingStatusType status =
        library->status(pg) != CONNECTION_BAD ? PGRES_POLLING_WRITING : PGRES_POLLING_FAILED;
    while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) {
        struct readiness readiness = {.descriptor = library->socket(pg),
                                      .events = status == PGRES_POLLING_READING ? WHIPPET_READABLE
                                                                                : WHIPPET_WRITABLE};
        int ready = whippet_with_timeout(task, silence, await_ready, &readiness);
        if (ready < 0)
            return failure_set(&refusal->failure, ready, "connecting to PostgreSQL at %s: %s", place,
                               whippet_error_text(ready));
        status = library->connectPoll(pg);
    }
    return status == PGRES_POLLING_OK ? 0 : refuse(refusal, library->errorMessage(pg));
}

static int connect_once(whippet_task *task, struct postgres_connection *connection,
                        const struct postgres_parameters *parameters, double silence, const char *place,
                        struct postgres_refusal *refusal)
{
    const struct postgres_library *library = connection->library;
    connection->pg = library->connectStartParams(parameters->keywords, parameters->values, 0);
    if (connection->pg == NULL)
        return failure_set(&refusal->failure, WHIPPET_E_MEMORY, "out of memory");
    library->setNoticeReceiver(connection->pg, on_notice, connection);
    library->setErrorVerbosity(connection->pg, PQERRORS_VERBOSE);
    int error = poll_to_end(task, connection, silence, place, refusal);
    library->setErrorVerbosity(connection->pg, PQERRORS_DEFAULT);
    if (error == 0 && library->setnonblocking(connection->pg, 1) != 0)
        error = refuse(refusal, library->errorMessage(connection->pg));
    return error;
}

/* Takes the host that has kept silent from the list. Returns how many are left. */
static size_t leave_out(struct postgres_connection *connection, struct hosts *hosts)
{
    const struct postgres_library *library = connection->library;
    PGconn *pg = connection->pg;
    size_t before = hosts_count(hosts);
    size_t left = hosts_remove(hosts, library->host(pg), library->hostaddr(pg), library->port(pg));
    library->finish(pg);
    connection->pg = NULL;
    return left < before ? left : 0;
}

/* libpq goes on to the next of several hosts when one refuses, but for one that says nothing it would wait
 * for ever here: PQconnectPoll knows no connect_timeout. So each has its share of the time, and then it
 * begins anew without that one. */
static int connect_to(whippet_task *task, struct postgres_connection *connection,
                      const struct postgres_target *target, struct postgres_refusal *refusal)
{
    struct postgres_parameters parameters;
    const char *place = postgres_target_place(target);
    int error = postgres_target_resolve(task, target, &parameters, &refusal->failure);
    if (error != 0)
        return error;
    size_t left = hosts_count(&parameters.hosts);
    do {
        double silence = whippet_time_left(task) / (double)(left > 0 ? left : 1);
        error = connect_once(task, connection, &parameters, silence, place, refusal);
    } while (error == WHIPPET_E_TIMEOUT && task_struck(task) == 0 &&
             (left = leave_out(connection, &parameters.hosts)) > 0);
    postgres_parameters_destroy(&parameters);
    return error;
}

struct postgres_connection *postgres_connection_open(whippet_task *task,
                                                     const struct postgres_library *library,
                                                     const struct postgres_target *target,
                                                     size_t most_prepared, struct postgres_refusal *refusal)
{
    struct postgres_connection *connection = memory_allocate_zeroed(sizeof *connection);
    if (connection == NULL) {
        failure_set(&refusal->failure, WHIPPET_E_MEMORY, "out of memory");
        return NULL;
    }
    *connection = (struct postgres_connection){.library = library, .most_prepared = most_prepared};
    if (most_prepared > 0)
        connection->prepared = memory_allocate_zeroed(most_prepared * sizeof *connection->prepared);
    if (most_prepared > 0 && connection->prepared == NULL)
        failure_set(&refusal->failure, WHIPPET_E_MEMORY, "out of memory");
    else if (connect_to(task, connection, target, refusal) == 0)
        return connection;
    postgres_connection_close(connection);
    return NULL;
}

void postgres_connection_close(struct postgres_connection *connection)
{
    if (connection == NULL)
        return;
    if (connection->pg != NULL)
        connection->library->finish(connection->pg);
    for (size_t i = 0; i < connection->prepared_count; i++)
        memory_free(connection->prepared[i].statement);
    memory_free(connection->prepared);
    memory_free(connection);
}
