#include "attempt.h"
#include <stdio.h>
#include <string.h>

/* --- Reading --------------------------------------------------------------------------------------------*/

static bool needs_body(const struct query *query)
{
    for (size_t i = 0; i < query->count; i++) {
        if (source_is_in_body(&query->sources[i]))
            return true;
    }
    return false;
}

int attempt_read(const struct attempt *attempt, const struct query *query, whippet_pg_parameter **parameters)
{
    whippet_task *task = attempt->task;
    const char *problem;
    if (needs_body(query) && whippet_json(attempt->message).kind == WHIPPET_JSON_ABSENT)
        return whippet_reject(task, "%s", whippet_json_error(task, attempt->message));
    *parameters = whippet_alloc(task, (query->count + 2) * sizeof **parameters);
    if (*parameters == NULL)
        return whippet_retry_later(task, "out of memory");
    for (size_t i = 0; i < query->count; i++) {
        if (source_read(task, attempt->message, &query->sources[i], &(*parameters)[i], &problem))
            continue;
        return *problem != '\0' ? whippet_reject(task, "%s", problem)
                                : whippet_retry_later(task, "out of memory");
    }
    return 0;
}

/* --- Writing --------------------------------------------------------------------------------------------*/

struct once {
    const struct attempt *attempt;
    const whippet_pg_result *result;
    bool was_done;
};

/* In a transaction: either both are there afterwards or neither is. */
static int enter_and_run(whippet_task *task, whippet_pg *connection, void *arg)
{
    struct once *once = arg;
    const struct settings *settings = once->attempt->settings;
    const struct query *write = &settings->write;
    const whippet_pg_parameter *parameters = once->attempt->parameters;
    int error = whippet_pg_query(task, connection, settings->inbox_insert, &parameters[write->count], 2,
                                 &once->result);
    if (error != 0)
        return error;
    once->was_done = whippet_pg_affected(once->result) == 0;
    return once->was_done
               ? 0
               : whippet_pg_query(task, connection, write->text, parameters, write->count, &once->result);
}

static int run_once(const struct attempt *attempt, struct once *once)
{
    const struct settings *settings = attempt->settings;
    const whippet_pg_result *failed;
    if (settings->write_once != NULL) {
        int error = whippet_pg_query(attempt->task, settings->pg, settings->write_once, attempt->parameters,
                                     settings->write.count + 2, &once->result);
        once->was_done = error == 0 && whippet_pg_affected(once->result) == 0;
        return error;
    }
    int error = whippet_pg_transaction(attempt->task, settings->pg, enter_and_run, once, &failed);
    if (failed != NULL)
        once->result = failed;
    return error;
}

/* The message's name in the inbox. False where it has none. */
static bool name_message(const struct attempt *attempt)
{
    whippet_bytes id = whippet_message_id(attempt->message);
    whippet_pg_parameter *name = &attempt->parameters[attempt->settings->write.count];
    name[0] = whippet_pg_bytes_parameter(whippet_queue(attempt->message));
    name[1] = whippet_pg_bytes_parameter(id);
    return id.len > 0;
}

int attempt_write(const struct attempt *attempt)
{
    const struct settings *settings = attempt->settings;
    struct once once = {.attempt = attempt};
    bool is_once = settings->inbox != NULL && name_message(attempt);
    int error = is_once ? run_once(attempt, &once)
                        : whippet_pg_query(attempt->task, settings->pg, settings->write.text,
                                           attempt->parameters, settings->write.count, &once.result);
    if (error != 0)
        return attempt_fail(attempt, error, once.result);
    if (once.was_done)
        whippet_log(attempt->task, WHIPPET_DEBUG, "nothing was changed: done before");
    return 0;
}

/* --- Failing --------------------------------------------------------------------------------------------*/

/* A missing table may be the inbox, which was there before. */
static void doubt_inbox(struct settings *settings, const whippet_pg_result *result)
{
    if (strcmp(whippet_pg_sqlstate(result), "42P01") == 0)
        atomic_store(&settings->inbox_is_there, false);
}

whippet_verdict attempt_fail(const struct attempt *attempt, int error, const whippet_pg_result *result)
{
    const struct query *write = &attempt->settings->write;
    const char *text = whippet_pg_error(result);
    doubt_inbox(attempt->settings, result);
    if (error == WHIPPET_E_INVALID)
        return whippet_reject(attempt->task, "%s", text);
    if (!whippet_pg_refuses_data(result))
        return whippet_retry_later(attempt->task, "%s", *text != '\0' ? text : whippet_error_text(error));
    size_t place = attempt_find_misfit(attempt, result);
    if (place >= write->count)
        return whippet_reject(attempt->task, "%s", text);
    const struct source *source = &write->sources[place];
    if (source->column == NULL)
        return whippet_reject(attempt->task, "the key \"%s\" does not fit $%zu: %s", source->key, place + 1,
                              text);
    return whippet_reject(attempt->task, "the key \"%s\" does not fit the column \"%s\": %s", source->key,
                          source->column, text);
}
