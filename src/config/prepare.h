/* What is done to the whole tree before any of it is read. */
#ifndef CONFIG_PREPARE_H
#define CONFIG_PREPARE_H

#include "reader.h"

/* Finds keys that are there twice and numbers beyond what there is, and expands ${…} in every string value.
 */
void prepare_tree(struct reader *reader);

#endif
