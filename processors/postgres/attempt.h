/* One attempt at one message, and its steps. Each returns 0, or the verdict that ends the attempt, its reason
 * given; 0 is no verdict. */
#ifndef POSTGRES_ATTEMPT_H
#define POSTGRES_ATTEMPT_H

#include "settings.h"

struct attempt {
    whippet_task *task;
    const whippet_message *message;
    struct settings *settings;
    /* The parameters of `write`, and behind them queue and message id. */
    whippet_pg_parameter *parameters;
};

/* Fills in the parameters of a query, in memory of the task's with room for two more. */
int attempt_read(const struct attempt *attempt, const struct query *query, whippet_pg_parameter **parameters);

/* Makes the inbox, where it is ours to make and not known to be there. */
int attempt_prepare_inbox(const struct attempt *attempt);

/* Does what the message asks for; once, where it has an id and there is an inbox. */
int attempt_write(const struct attempt *attempt);

/* Awaits that it can be seen. */
int attempt_verify(const struct attempt *attempt);

/* What becomes of a message whose statement failed. */
whippet_verdict attempt_fail(const struct attempt *attempt, int error, const whippet_pg_result *result);

/* Which of the parameters of `write` the server does not want, as far as it tells or can be asked; their
 * count where it is none of them, or nobody knows. */
size_t attempt_find_misfit(const struct attempt *attempt, const whippet_pg_result *result);

#endif
