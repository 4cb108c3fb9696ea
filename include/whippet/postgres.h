/**
 * @file
 * PostgreSQL as an await.
 *
 *     static int setup(const whippet_settings *settings, void **state, whippet_failure *failure)
 *     {
 *         whippet_pg_options options = {.url = whippet_setting_string(settings, "url"), .connections = 8};
 *         *state = whippet_pg_open(&options, failure);
 *         return *state != NULL ? 0 : -1;
 *     }
 *
 *     static whippet_verdict process(whippet_task *task, const whippet_message *message, void *pg)
 *     {
 *         whippet_pg_parameter id = whippet_pg_bytes_parameter(whippet_message_id(message));
 *         const whippet_pg_result *result;
 *         if (whippet_pg_query(task, pg, "DELETE FROM parcels WHERE id = $1", &id, 1, &result) == 0)
 *             return WHIPPET_ACK;
 *         if (whippet_pg_refuses_data(result))
 *             return whippet_reject(task, "%s", whippet_pg_error(result));
 *         return whippet_retry_later(task, "%s", whippet_pg_error(result));
 *     }
 *
 * A pool is made in setup() and opens connections as they are needed, up to its limit; tasks wait for a free
 * one in the order they come. While the server can't be reached they wait, too, and the pool tries again,
 * first after a quarter of a second and then ever more rarely, up to every five seconds: what ends the wait
 * is the task's deadline. A connection that broke is replaced. A statement that is cut short, by the deadline
 * or by cancellation, is cancelled on the server, and its connection is closed.
 *
 * It works in every run mode; under `run: process` each child has a pool of its own.
 *
 * Values go to the server as parameters ($1, $2, …), never by pasting them into the statement. Everything
 * comes and goes as UTF-8. */
#ifndef WHIPPET_POSTGRES_H
#define WHIPPET_POSTGRES_H

#include <string.h>
#include <whippet/processor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- The pool ------------------------------------------------------------------------------------------*/

/** Where statements go: a pool, which picks a connection for each statement; or, inside
 * whippet_pg_transaction, the one connection that has the transaction. Opaque. */
typedef struct whippet_pg whippet_pg;

/** How to connect. Zeroed members take their default; everything is borrowed for the call. */
typedef struct whippet_pg_options {
    const char *url; /**< "postgresql://user@host/database?sslmode=verify-full", or "host=… dbname=…": all
                        that libpq takes but `service`. NULL or "": what PGHOST and its kin say */
    const char *password_file; /**< the password, from a file; NULL or "": none */
    size_t connections;        /**< at most so many at a time, up to 1000; 0: 4 */
    double connect_timeout; /**< seconds until an attempt to connect is given up, of which each host has its
                               share; 0: what the url says in connect_timeout, for each host; or 10 */
    size_t statements; /**< how many different statements each connection keeps prepared; 0: 64. The first
                          ones that come; further ones are parsed each time */
    bool unprepared;   /**< prepare none: for poolers that hand each transaction another connection and know
                          nothing of prepared statements (PgBouncer before 1.21) */
} whippet_pg_options;

/** Reads the options and libpq, the library that does the work; does not connect, and does not suspend. For
 * setup(). NULL with the failure filled: a url that can't be read, a password file that can't, or no libpq.
 */
WHIPPET_API whippet_pg *whippet_pg_open(const whippet_pg_options *options, whippet_failure *failure);

/** Closes the pool's connections. For teardown(), where nothing runs any more. NULL is fine. */
WHIPPET_API void whippet_pg_close(whippet_pg *pool);

/* --- Statements ----------------------------------------------------------------------------------------*/

/** What a parameter is. */
enum whippet_pg_kind {
    WHIPPET_PG_NULL = 0, /**< SQL's NULL */
    WHIPPET_PG_TEXT,     /**< the value as it would stand in quotes, of whatever type the statement wants */
    WHIPPET_PG_BINARY,   /**< for bytea: the bytes themselves */
    WHIPPET_PG_INTEGER,  /**< integer */
    WHIPPET_PG_REAL,     /**< real */
    WHIPPET_PG_BOOLEAN,  /**< boolean */
};

/** A value for $1, $2, … Made with the functions below; a zeroed one is NULL. */
typedef struct whippet_pg_parameter {
    enum whippet_pg_kind kind; /**< which member of the union counts */
    union {
        whippet_bytes bytes; /**< TEXT, BINARY: borrowed */
        int64_t integer;
        double real;
        bool boolean;
    };
} whippet_pg_parameter;

/** This text (borrowed): UTF-8, without a NUL. The server reads it as the type that the statement wants
 * there, so that "12" fits an integer and "2026-11-25" a date. data == NULL: SQL's NULL. */
static inline whippet_pg_parameter whippet_pg_bytes_parameter(whippet_bytes text)
{
    whippet_pg_parameter parameter = {text.data != NULL ? WHIPPET_PG_TEXT : WHIPPET_PG_NULL, {{NULL, 0}}};
    parameter.bytes = text;
    return parameter;
}

/** The same of a C string; NULL: SQL's NULL. */
static inline whippet_pg_parameter whippet_pg_text_parameter(const char *text)
{
    whippet_bytes bytes = {text, text != NULL ? strlen(text) : 0};
    return whippet_pg_bytes_parameter(bytes);
}

/** These bytes (borrowed), for a bytea. data == NULL: SQL's NULL. */
static inline whippet_pg_parameter whippet_pg_binary_parameter(whippet_bytes data)
{
    whippet_pg_parameter parameter = {data.data != NULL ? WHIPPET_PG_BINARY : WHIPPET_PG_NULL, {{NULL, 0}}};
    parameter.bytes = data;
    return parameter;
}

/** This whole number. */
static inline whippet_pg_parameter whippet_pg_integer_parameter(int64_t integer)
{
    whippet_pg_parameter parameter = {WHIPPET_PG_INTEGER, {{NULL, 0}}};
    parameter.integer = integer;
    return parameter;
}

/** This number. */
static inline whippet_pg_parameter whippet_pg_real_parameter(double real)
{
    whippet_pg_parameter parameter = {WHIPPET_PG_REAL, {{NULL, 0}}};
    parameter.real = real;
    return parameter;
}

/** True or false. */
static inline whippet_pg_parameter whippet_pg_boolean_parameter(bool boolean)
{
    whippet_pg_parameter parameter = {WHIPPET_PG_BOOLEAN, {{NULL, 0}}};
    parameter.boolean = boolean;
    return parameter;
}

/** What came of a statement: its rows, or its error. Memory of the task's, like whippet_alloc's; the
 * functions below take NULL for an empty one. Opaque. */
typedef struct whippet_pg_result whippet_pg_result;

/** Runs one statement with its parameters (`count` of them; NULL for none) and awaits its end. With a pool it
 * is a transaction of its own. Not for COPY. The statement's rows are all held in memory: bound them with
 * LIMIT.
 *
 * 0, and `*result` (may be NULL) has what it returned. Else `*result` has the error, as text for a person:
 * REFUSED when the server refused it (whippet_pg_sqlstate says why), or refuses whom we say we are; CLOSED
 * when the connection broke: the statement may have been done or not; TIMEOUT and CANCELLED: likewise, unless
 * it still waited for a connection; INVALID for a NUL in a text, more than 65535 parameters, or a connection
 * that another task uses just now; UNAVAILABLE without a loop; MEMORY. */
WHIPPET_API int whippet_pg_query(whippet_task *task, whippet_pg *pg, const char *statement,
                                 const whippet_pg_parameter *parameters, size_t count,
                                 const whippet_pg_result **result);

/** What runs in a transaction: `connection` is good until it returns, for whippet_pg_query alone. Children
 * that use it are to be joined first: while one of them still runs a statement there is no COMMIT (INVALID),
 * the transaction is rolled back, and a statement that begins later is undefined. */
typedef int whippet_pg_function(whippet_task *task, whippet_pg *connection, void *arg);

/** Runs function(task, connection, arg) in this very task between BEGIN and COMMIT. A result below 0 rolls
 * back; so does a statement that failed in it, whatever the function returns.
 *
 * Returns what the function returned. When BEGIN or COMMIT fails, what whippet_pg_query would: also REFUSED
 * where the server rolled back; after CLOSED, TIMEOUT or CANCELLED at the COMMIT it may be done or not. Then
 * `*failed` (may be NULL) has the error; otherwise it is NULL. INVALID inside another transaction. */
WHIPPET_API int whippet_pg_transaction(whippet_task *task, whippet_pg *pool, whippet_pg_function *function,
                                       void *arg, const whippet_pg_result **failed);

/* --- Rows ----------------------------------------------------------------------------------------------
 *
 * Rows and columns count from 0. What is asked of a row or column that is not there is answered as for NULL.
 */

/** How many rows the statement returned. */
WHIPPET_API size_t whippet_pg_rows(const whippet_pg_result *result);

/** How many columns they have. */
WHIPPET_API size_t whippet_pg_columns(const whippet_pg_result *result);

/** How many rows an INSERT, UPDATE, DELETE or MERGE changed, or a SELECT returned. */
WHIPPET_API uint64_t whippet_pg_affected(const whippet_pg_result *result);

/** The first column of this name; whippet_pg_columns(result) when there is none. */
WHIPPET_API size_t whippet_pg_column(const whippet_pg_result *result, const char *name);

/** A column's name; NULL when there is no such column. */
WHIPPET_API const char *whippet_pg_column_name(const whippet_pg_result *result, size_t column);

/** A value as the server writes it, with a NUL behind it; NULL for SQL's NULL. */
WHIPPET_API const char *whippet_pg_text(const whippet_pg_result *result, size_t row, size_t column);

/** The same as bytes; data is NULL for SQL's NULL. */
WHIPPET_API whippet_bytes whippet_pg_bytes(const whippet_pg_result *result, size_t row, size_t column);

/** A bytea's bytes: memory of the task's. data is NULL for SQL's NULL, what is no bytea, and when memory is
 * short. */
WHIPPET_API whippet_bytes whippet_pg_binary(whippet_task *task, const whippet_pg_result *result, size_t row,
                                            size_t column);

/** Each of these is false, and leaves `*out` as it is, for NULL and for what does not fit. */
WHIPPET_API bool whippet_pg_integer(const whippet_pg_result *result, size_t row, size_t column, int64_t *out);
/** Any number, as the nearest double; also "NaN" and "Infinity". */
WHIPPET_API bool whippet_pg_real(const whippet_pg_result *result, size_t row, size_t column, double *out);
/** A boolean. */
WHIPPET_API bool whippet_pg_boolean(const whippet_pg_result *result, size_t row, size_t column, bool *out);

/* --- Errors --------------------------------------------------------------------------------------------*/

/** What went wrong, for a person: the server's words, its detail and its SQLSTATE, or ours. Never a password.
 * "" when nothing did; never NULL. */
WHIPPET_API const char *whippet_pg_error(const whippet_pg_result *result);

/** The five letters by which PostgreSQL tells errors apart ("23505": unique_violation); "" when the error is
 * none of the server's. https://www.postgresql.org/docs/current/errcodes-appendix.html */
WHIPPET_API const char *whippet_pg_sqlstate(const whippet_pg_result *result);

/** True when the server refuses the values themselves, so that the same ones will be refused again: SQLSTATE
 * classes 22 (data), 23 (constraints), 44 (WITH CHECK OPTION), and P0001 (RAISE EXCEPTION of its own
 * functions). What else goes wrong (connections, deadlocks, serialization, resources, a migration that is
 * under way) may be over next time; so may a misfit (22) in a transaction whose statement was prepared when
 * the column may have had another type. */
WHIPPET_API bool whippet_pg_refuses_data(const whippet_pg_result *result);

/** Parts of a server's error. The letters are the protocol's
 * (https://www.postgresql.org/docs/current/protocol-error-fields.html). */
enum whippet_pg_field {
    WHIPPET_PG_MESSAGE = 'M',    /**< the first line */
    WHIPPET_PG_DETAIL = 'D',     /**< more on it */
    WHIPPET_PG_HINT = 'H',       /**< what one could do */
    WHIPPET_PG_CONTEXT = 'W',    /**< where it happened, such as "unnamed portal parameter $2" */
    WHIPPET_PG_SCHEMA = 's',     /**< the schema it is about */
    WHIPPET_PG_TABLE = 't',      /**< the table */
    WHIPPET_PG_COLUMN = 'c',     /**< the column */
    WHIPPET_PG_CONSTRAINT = 'n', /**< the constraint */
};

/** A part of the server's error; "" when it has none. */
WHIPPET_API const char *whippet_pg_error_field(const whippet_pg_result *result, enum whippet_pg_field field);

#ifdef __cplusplus
}
#endif

#endif
