/* Chance that can be had again: it follows from $WHIPPET_CHAOS_SEED. */
#ifndef TESTS_CHAOS_RANDOM_H
#define TESTS_CHAOS_RANDOM_H

/* A number from 0 to `limit` - 1. */
unsigned random_below(unsigned limit);

#endif
