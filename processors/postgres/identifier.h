/* Names of tables and columns, as SQL wants them. */
#ifndef POSTGRES_IDENTIFIER_H
#define POSTGRES_IDENTIFIER_H

#include <stdio.h>
#include <whippet/processor.h>

/* That `name` can be the name of a column; with `qualified`, of a table, which may have a schema and a dot
 * before it. False with the failure saying what is wrong with it in `option`. */
bool identifier_check(const char *option, const char *name, bool qualified, whippet_failure *failure);

/* Writes it in quotes, so that it is that very name, whatever it holds: orders, "Order Lines". */
void identifier_write(FILE *text, const char *name);

/* The same for a table's: shop.orders becomes "shop"."orders". */
void identifier_write_table(FILE *text, const char *name);

#endif
