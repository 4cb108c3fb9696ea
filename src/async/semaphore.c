#include "line.h"
#include <base/memory.h>
#include <whippet/sync.h>

struct whippet_semaphore {
    struct line_lock lock;
    size_t count;     /* permits in total */
    size_t available; /* 0 while anybody waits */
    struct list line;
};

whippet_semaphore *whippet_semaphore_create(size_t count)
{
    whippet_semaphore *semaphore = count > 0 ? memory_allocate(sizeof *semaphore) : NULL;
    if (semaphore == NULL)
        return NULL;
    *semaphore = (whippet_semaphore){.count = count, .available = count};
    list_init(&semaphore->line);
    return semaphore;
}

void whippet_semaphore_destroy(whippet_semaphore *semaphore)
{
    if (semaphore == NULL)
        return;
    line_lock(&semaphore->lock);
    line_call_all(&semaphore->lock, &semaphore->line, WHIPPET_E_CLOSED);
    memory_free(semaphore);
}

static bool take_permit(whippet_semaphore *semaphore)
{
    bool is_free = semaphore->available > 0;
    semaphore->available -= is_free;
    return is_free;
}

bool whippet_semaphore_try(whippet_semaphore *semaphore)
{
    line_lock(&semaphore->lock);
    bool is_taken = take_permit(semaphore);
    line_unlock(&semaphore->lock);
    return is_taken;
}

int whippet_semaphore_acquire(whippet_task *task, whippet_semaphore *semaphore)
{
    int error = line_check(task);
    if (error != 0)
        return error;
    line_lock(&semaphore->lock);
    if (take_permit(semaphore)) {
        line_unlock(&semaphore->lock);
        return 0;
    }
    struct place_in_line place;
    return line_wait(task, &semaphore->lock, &semaphore->line, &place, "waiting for a semaphore");
}

int whippet_semaphore_release(whippet_semaphore *semaphore)
{
    int error = 0;
    line_lock(&semaphore->lock);
    /* The permit goes from hand to hand, so that nobody can come between. */
    struct place_in_line *next = line_call(&semaphore->line, 0);
    if (next == NULL && semaphore->available < semaphore->count)
        semaphore->available++;
    else if (next == NULL)
        error = WHIPPET_E_INVALID;
    line_unlock(&semaphore->lock);
    line_wake(next);
    return error;
}
