#include "pool.h"
#include "child.h"
#include "request.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- The line -------------------------------------------------------------------------------------------*/

static bool line_is_empty(const struct pool *pool)
{
    return pool->line.next == &pool->line;
}

static void line_append(struct pool *pool, struct call *call)
{
    call->next = &pool->line;
    call->previous = pool->line.previous;
    call->previous->next = call;
    pool->line.previous = call;
}

static void line_remove(struct call *call)
{
    call->previous->next = call->next;
    call->next->previous = call->previous;
}

/* --- Children -------------------------------------------------------------------------------------------*/

static bool has_room(const struct child *child)
{
    return child->is_up && child->busy < child->pool->in_flight;
}

static void wake(struct child *child)
{
    child->is_idle = false;
    whippet_event_set(child->wake);
}

/* Of those that wait for work the one that has least; all others look at the line by themselves. */
static void wake_idlest(struct pool *pool)
{
    struct child *best = NULL;
    for (unsigned i = 0; i < pool->count; i++) {
        struct child *child = &pool->children[i];
        if (child->is_idle && has_room(child) && (best == NULL || child->busy < best->busy))
            best = child;
    }
    if (best != NULL)
        wake(best);
}

bool pool_take(struct pool *pool, struct child *child, char **line, size_t *length)
{
    pthread_mutex_lock(&pool->lock);
    bool takes = has_room(child) && !line_is_empty(pool);
    if (takes) {
        struct call *call = pool->line.next;
        line_remove(call);
        call->state = CALL_SENT;
        call->child = child;
        child->calls[child->busy++] = call;
        *line = call->line;
        *length = call->length;
        call->line = NULL;
    } else {
        child->is_idle = true;
        whippet_event_clear(child->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    return takes;
}

/* The call is gone as soon as the lock is: whoever waits for it may return. */
static void end_call(struct call *call, whippet_verdict verdict, char *reason, bool is_answer)
{
    call->verdict = verdict;
    call->reason = reason;
    call->reason_is_answer = is_answer;
    call->state = CALL_ENDED;
    whippet_event_set(call->ended);
}

static void forget(struct child *child, unsigned index)
{
    child->calls[index] = child->calls[--child->busy];
    if (child->is_idle && has_room(child) && !line_is_empty(child->pool))
        wake(child);
}

static unsigned index_of(const struct child *child, int64_t id)
{
    unsigned index = 0;
    while (index < child->busy && child->calls[index]->id != id)
        index++;
    return index;
}

/* The reason as the child wrote it; what is wrong with the verdict comes before it. */
static char *reason_of(const struct answer *answer)
{
    if (answer->problem != NULL)
        return strdup(answer->problem);
    return answer->reason.kind != WHIPPET_JSON_ABSENT
               ? strndup(answer->reason.raw.data, answer->reason.raw.len)
               : NULL;
}

bool pool_answer(struct pool *pool, struct child *child, const struct answer *answer)
{
    pthread_mutex_lock(&pool->lock);
    unsigned index = index_of(child, answer->id);
    bool found = index < child->busy;
    if (found) {
        struct call *call = child->calls[index];
        forget(child, index);
        child->answered++;
        end_call(call, answer->verdict, reason_of(answer), answer->problem == NULL);
    }
    pthread_mutex_unlock(&pool->lock);
    return found;
}

void pool_join(struct pool *pool, struct child *child)
{
    pthread_mutex_lock(&pool->lock);
    whippet_event_clear(child->over);
    whippet_event_clear(child->wake);
    child->is_up = true;
    child->is_idle = false;
    child->is_late = false;
    child->answered = 0;
    pthread_mutex_unlock(&pool->lock);
}

bool pool_leave(struct pool *pool, struct child *child)
{
    pthread_mutex_lock(&pool->lock);
    child->is_up = false;
    bool is_late = child->is_late;
    pthread_mutex_unlock(&pool->lock);
    return is_late;
}

void pool_fail(struct pool *pool, struct child *child, const char *text)
{
    pthread_mutex_lock(&pool->lock);
    snprintf(pool->trouble, sizeof pool->trouble, "%s", text);
    while (child->busy > 0)
        end_call(child->calls[--child->busy], WHIPPET_RETRY, strdup(text), false);
    pthread_mutex_unlock(&pool->lock);
}

/* --- Calls ----------------------------------------------------------------------------------------------*/

static int64_t next_id(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    int64_t id = ++pool->last_id;
    pthread_mutex_unlock(&pool->lock);
    return id;
}

bool call_open(struct call *call, struct pool *pool, whippet_task *task, const whippet_message *message)
{
    *call = (struct call){.id = next_id(pool), .verdict = WHIPPET_RETRY, .ended = whippet_event_create()};
    if (call->ended == NULL)
        return false;
    call->line = request_make((uint64_t)call->id, task, message, &call->length);
    if (call->line == NULL)
        whippet_event_destroy(call->ended);
    return call->line != NULL;
}

void call_begin(struct call *call, struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    line_append(pool, call);
    wake_idlest(pool);
    pthread_mutex_unlock(&pool->lock);
}

enum call_state call_withdraw(struct call *call, struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    enum call_state state = call->state;
    if (state == CALL_IN_LINE) {
        line_remove(call);
    } else if (state == CALL_SENT) {
        struct child *child = call->child;
        child->is_up = false;
        child->is_late = true;
        forget(child, index_of(child, call->id));
        whippet_event_set(child->over);
    }
    pthread_mutex_unlock(&pool->lock);
    return state;
}

void call_close(struct call *call)
{
    whippet_event_destroy(call->ended);
    free(call->line);
    free(call->reason);
}

const char *pool_trouble(whippet_task *task, struct pool *pool)
{
    char *copy = whippet_alloc(task, sizeof pool->trouble);
    if (copy == NULL)
        return "";
    pthread_mutex_lock(&pool->lock);
    memcpy(copy, pool->trouble, sizeof pool->trouble);
    pthread_mutex_unlock(&pool->lock);
    return copy;
}
