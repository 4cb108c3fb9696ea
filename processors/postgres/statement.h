/* The statements that are made from the settings. Each is NULL when memory is short, and the caller's. */
#ifndef POSTGRES_STATEMENT_H
#define POSTGRES_STATEMENT_H

#include "source.h"

/* What a row is made of: the columns of the sources, of which `conflict` (may be empty) tell rows apart. */
struct row {
    const char *table;
    const struct source *sources;
    size_t count;
    const char *const *conflict; /* ends with NULL */
};

/* INSERT, with ON CONFLICT where there are such columns. With `inbox`, only where the queue and the message
 * id, which come last, are not in it yet; they are entered by the same statement. */
char *statement_insert(const struct row *row, const char *inbox);

/* A SELECT that finds the row: by the columns named, which must be the row's. */
char *statement_find(const struct row *row);

/* Enters queue ($1) and message id ($2) where they are not there yet. */
char *statement_enter(const char *inbox);
char *statement_create_inbox(const char *inbox);

/* A table's name in quotes. */
char *statement_quote(const char *table);

#endif
