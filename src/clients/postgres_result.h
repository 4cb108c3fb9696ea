/* What a statement came to, copied out of libpq's memory into the task's. */
#ifndef CLIENTS_POSTGRES_RESULT_H
#define CLIENTS_POSTGRES_RESULT_H

#include "postgres_library.h"
#include "postgres_rows.h"

/* The rows, or the server's error. One that says that memory is short when it is. Never NULL. */
const whippet_pg_result *postgres_result_copy(whippet_task *task, const struct postgres_library *library,
                                              PGresult *result);

/* An error with our own words, or libpq's; `sqlstate` may be "". Never NULL. */
const whippet_pg_result *postgres_result_fail(whippet_task *task, const char *sqlstate, const char *format,
                                              ...) __attribute__((format(printf, 3, 4)));

/* The same error, which does not count as a refusal of the data. Never NULL. */
const whippet_pg_result *postgres_result_doubt(whippet_task *task, const whippet_pg_result *error);

/* A text of several lines as one, in place: what libpq writes reads well in a log line then. */
void postgres_text_join_lines(char *text);

#endif
