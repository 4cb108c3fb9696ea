/* What a result is made of. It knows nothing of libpq. */
#ifndef CLIENTS_POSTGRES_ROWS_H
#define CLIENTS_POSTGRES_ROWS_H

#include <whippet/postgres.h>

enum {
    POSTGRES_SQLSTATE_SIZE = 6
};

/* The parts of a server's error that are kept: the letters of enum whippet_pg_field. */
#define POSTGRES_PARTS "MDHWstcn"

struct whippet_pg_result {
    size_t rows;
    size_t columns;
    uint64_t affected;
    const char **names;   /* of the columns */
    whippet_bytes *cells; /* row by row; each with a NUL behind it */

    const char *error; /* "" when there is none */
    bool is_doubtful;  /* it may come of what was prepared before a column was changed */
    char sqlstate[POSTGRES_SQLSTATE_SIZE];
    const char *parts[sizeof POSTGRES_PARTS - 1]; /* "" when absent; NULL: no error of the server's */
};

#endif
