#include "pool.h"
#include "child.h"
#include "request.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

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

static void line_prepend(struct pool *pool, struct call *call)
{
    call->previous = &pool->line;
    call->next = pool->line.next;
    call->next->previous = call;
    pool->line.next = call;
}

static void line_remove(struct call *call)
{
    call->previous->next = call->next;
    call->next->previous = call->previous;
}

/* --- Children -------------------------------------------------------------------------------------------*/

/* Whether it may have the first of the line now. */
static bool can_take(const struct child *child)
{
    const struct pool *pool = child->pool;
    if (!child->is_up || line_is_empty(pool))
        return false;
    return child->busy == 0 ||
           (child->busy < pool->in_flight && !child->calls[0]->is_alone && !pool->line.next->is_alone);
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
        if (child->is_idle && can_take(child) && (best == NULL || child->busy < best->busy))
            best = child;
    }
    if (best != NULL)
        wake(best);
}

/* The first of the line is another now, with others behind it that nobody was woken for. */
static void wake_all(struct pool *pool)
{
    for (unsigned i = 0; i < pool->count; i++) {
        if (pool->children[i].is_idle && can_take(&pool->children[i]))
            wake(&pool->children[i]);
    }
}

static void send_call(struct child *child, struct call *call)
{
    line_remove(call);
    call->state = CALL_SENT;
    call->child = child;
    if (child->busy == 0)
        child->oldest_since = now();
    child->calls[child->busy++] = child->writing = call;
    if (call->is_alone)
        wake_all(child->pool);
}

bool pool_take(struct pool *pool, struct child *child, const char **line, size_t *length)
{
    pthread_mutex_lock(&pool->lock);
    bool takes = can_take(child);
    if (takes) {
        struct call *call = pool->line.next;
        *line = call->line;
        *length = call->length;
        send_call(child, call);
    } else {
        child->is_idle = true;
        whippet_event_clear(child->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    return takes;
}

void pool_wrote(struct pool *pool, struct child *child)
{
    pthread_mutex_lock(&pool->lock);
    child->writing = NULL;
    free(child->orphan);
    child->orphan = NULL;
    pthread_mutex_unlock(&pool->lock);
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
    struct call *call = child->calls[index];
    if (child->writing == call) {
        child->orphan = call->line;
        call->line = NULL;
        child->writing = NULL;
    }
    memmove(&child->calls[index], &child->calls[index + 1], (--child->busy - index) * sizeof call);
    if (index == 0)
        child->oldest_since = now();
    if (child->is_idle && can_take(child))
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
    pool->up_at = now();
    pthread_mutex_unlock(&pool->lock);
}

static void take_down(struct child *child)
{
    child->is_up = false;
    child->pool->up_at = now();
}

bool pool_leave(struct pool *pool, struct child *child)
{
    pthread_mutex_lock(&pool->lock);
    take_down(child);
    bool is_late = child->is_late;
    pthread_mutex_unlock(&pool->lock);
    return is_late;
}

/* The newest first: so they keep their order. Where it is known who did it the others need not go alone. */
static void put_back(struct child *child)
{
    while (child->busy > 0) {
        struct call *call = child->calls[--child->busy];
        call->state = CALL_IN_LINE;
        call->child = NULL;
        call->is_alone = !child->is_late;
        line_prepend(child->pool, call);
    }
    wake_all(child->pool);
}

void pool_fail(struct pool *pool, struct child *child, const char *text)
{
    pthread_mutex_lock(&pool->lock);
    snprintf(pool->trouble, sizeof pool->trouble, "%s", text);
    if (!child->is_stopping && (child->busy > 1 || child->is_late))
        put_back(child);
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
    *call = (struct call){.id = next_id(pool),
                          .patience = whippet_time_left(task),
                          .verdict = WHIPPET_RETRY,
                          .ended = whippet_event_create()};
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

static bool has_child(const struct pool *pool)
{
    for (unsigned i = 0; i < pool->count; i++) {
        if (pool->children[i].is_up)
            return true;
    }
    return false;
}

/* What does not have its turn yet will have all of its patience then: until that is over nothing is late. */
static double time_left(const struct call *call, const struct pool *pool)
{
    const struct child *child = call->child;
    switch (call->state) {
    case CALL_IN_LINE: return has_child(pool) ? call->patience : pool->up_at + call->patience - now();
    case CALL_SENT:
        return child->is_up && child->calls[0] == call ? child->oldest_since + call->patience - now()
                                                       : call->patience;
    default: return 0;
    }
}

double call_time_left(struct call *call, struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    double left = time_left(call, pool);
    pthread_mutex_unlock(&pool->lock);
    return left;
}

enum call_state call_withdraw(struct call *call, struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    enum call_state state = call->state;
    if (state == CALL_IN_LINE) {
        line_remove(call);
        wake_all(pool);
    } else if (state == CALL_SENT) {
        struct child *child = call->child;
        take_down(child);
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
