/* Parameters of a statement, in the form that libpq takes. */
#ifndef CLIENTS_POSTGRES_ARGUMENTS_H
#define CLIENTS_POSTGRES_ARGUMENTS_H

#include "postgres_connection.h"

/* Fills `statement` but for its text, in memory to be freed by the caller (`*memory`, NULL for none). 0;
 * MEMORY; INVALID with the place of the first that can't be sent, from 1, in `*place`. */
int postgres_arguments_make(const whippet_pg_parameter *parameters, size_t count,
                            struct postgres_statement *statement, void **memory, size_t *place);

#endif
