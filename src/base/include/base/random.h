/* Chance, for jitter: not for secrets. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

/* At least 0, below 1. Seeded from the system at first use. */
double random_unit(void);

#endif
