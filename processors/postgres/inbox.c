/* The inbox: which messages are done. */
#include "attempt.h"

/* Whether it is there; an error. */
static int look(const struct attempt *attempt, bool *is_there, const whippet_pg_result **result)
{
    whippet_pg_parameter name = whippet_pg_text_parameter(attempt->settings->quoted_inbox);
    int error = whippet_pg_query(attempt->task, attempt->settings->pg, "SELECT to_regclass($1) IS NOT NULL",
                                 &name, 1, result);
    *is_there = false;
    whippet_pg_boolean(*result, 0, 0, is_there);
    return error;
}

/* IF NOT EXISTS does not help where two make it at the same time: one of them is told that it exists, in one
 * of many ways (duplicate_table, duplicate_object for its row's type, unique_violation in the catalogue). So
 * whoever fails looks again. */
static int make(const struct attempt *attempt, const whippet_pg_result **result)
{
    const whippet_pg_result *answer;
    bool is_there;
    int error = whippet_pg_query(attempt->task, attempt->settings->pg, attempt->settings->inbox_create, NULL,
                                 0, result);
    return error != 0 && look(attempt, &is_there, &answer) == 0 && is_there ? 0 : error;
}

/* Looks first, since CREATE TABLE IF NOT EXISTS wants the right to create also where there is nothing to do.
 */
int attempt_prepare_inbox(const struct attempt *attempt)
{
    struct settings *settings = attempt->settings;
    const whippet_pg_result *result;
    bool is_there;
    if (settings->inbox_create == NULL || atomic_load(&settings->inbox_is_there))
        return 0;
    int error = look(attempt, &is_there, &result);
    if (error == 0 && !is_there)
        error = make(attempt, &result);
    if (error != 0)
        return whippet_retry_later(attempt->task, "can't make the inbox %s: %s", settings->quoted_inbox,
                                   whippet_pg_error(result));
    atomic_store(&settings->inbox_is_there, true);
    return 0;
}
