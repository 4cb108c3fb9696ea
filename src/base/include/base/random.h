/* Chance, for jitter and ids: not for secrets. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

/* 64 of them, all values equally likely; each thread has a sequence of its own. */
uint64_t random_bits(void);

/* At least 0, below 1. Seeded from the system at first use. */
double random_unit(void);

#endif
