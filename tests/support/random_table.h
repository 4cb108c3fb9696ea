/* Random field tables, and a second opinion on what is a sound one. */
#ifndef SUPPORT_RANDOM_TABLE_H
#define SUPPORT_RANDOM_TABLE_H

#include "wire.h"

/* Appends up to a handful of entries of random types and names, nested at most `levels` deep. */
void random_table_entries(struct wire *wire, uint64_t *seed, int levels);

/* A strict reading of section 4.2.5.5 by recursion: every value lies within its container. `deepest` takes
 * the number of levels, the entries given being the first. False: malformed. */
bool reference_table_sound(const uint8_t *entries, size_t size, int *deepest);

#endif
