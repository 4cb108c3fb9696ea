#include "line.h"
#include <base/memory.h>
#include <whippet/sync.h>

struct whippet_semaphore {
    struct scheduler *home; /* NULL before its first use */
    size_t count;           /* permits in total */
    size_t available;       /* 0 while anybody waits */
    struct list line;
};

whippet_semaphore *whippet_semaphore_create(size_t count)
{
    whippet_semaphore *semaphore = count > 0 ? memory_allocate(sizeof *semaphore) : NULL;
    if (semaphore == NULL)
        return NULL;
    semaphore->count = count;
    semaphore->available = count;
    semaphore->home = NULL;
    list_init(&semaphore->line);
    return semaphore;
}

void whippet_semaphore_destroy(whippet_semaphore *semaphore)
{
    if (semaphore == NULL)
        return;
    line_call_all(&semaphore->line, WHIPPET_E_CLOSED);
    memory_free(semaphore);
}

bool whippet_semaphore_try(whippet_semaphore *semaphore)
{
    if (semaphore->available == 0)
        return false;
    semaphore->available--;
    return true;
}

int whippet_semaphore_acquire(whippet_task *task, whippet_semaphore *semaphore)
{
    int error = line_check(task, &semaphore->home);
    if (error != 0 || whippet_semaphore_try(semaphore))
        return error;
    struct place_in_line place;
    return line_wait(task, &semaphore->line, &place, "waiting for a semaphore");
}

int whippet_semaphore_release(whippet_semaphore *semaphore)
{
    struct place_in_line *next = line_first(&semaphore->line);
    if (next != NULL)
        line_call(next, 0); /* the permit goes from hand to hand, so that nobody can come between */
    else if (semaphore->available < semaphore->count)
        semaphore->available++;
    else
        return WHIPPET_E_INVALID;
    return 0;
}
