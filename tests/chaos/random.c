#include "random.h"

#include <stdint.h>
#include <stdlib.h>

/* splitmix64: every seed is a good one. */
unsigned random_below(unsigned limit)
{
    static uint64_t state;
    const char *seed = getenv("WHIPPET_CHAOS_SEED");

    if (state == 0 && seed) {
        state = strtoull(seed, NULL, 10);
    }
    state += 0x9E3779B97F4A7C15u;
    uint64_t mixed = state;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
    return (unsigned)((mixed ^ (mixed >> 31)) % limit);
}
