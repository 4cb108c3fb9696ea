/* Memory that is short: what a test puts in base/memory.h's memory_permit. Other threads may allocate, too.
 */
#ifndef TESTS_SUPPORT_SHORT_MEMORY_H
#define TESTS_SUPPORT_SHORT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Allocations that go well before the first that does not. The test sets it; below 0: that one has come. */
static long allowed;

static inline bool all_but_one(size_t size)
{
    (void)size;
    return __atomic_fetch_sub(&allowed, 1, __ATOMIC_RELAXED) != 0;
}

static inline bool all_up_to(size_t size)
{
    (void)size;
    return allowed > 0 && __atomic_fetch_sub(&allowed, 1, __ATOMIC_RELAXED) > 0;
}

#endif
