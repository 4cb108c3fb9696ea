/* What each key takes, and what still can't work together at the broker. */
#ifndef CONFIG_FEASIBLE_H
#define CONFIG_FEASIBLE_H

#include "reader.h"

/* Finds fault with what can't work once all keys were read, and settles what follows from several of them. */
void check_feasible(struct reader *reader, struct config *config);

#endif
