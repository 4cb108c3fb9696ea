/* A network of the worker's own: a network namespace, joined to the tests' by a pair of virtual Ethernet
 * devices whose cable can be pulled out. It needs root, and that tests/chaos/run put the tests in a namespace
 * of theirs. */
#ifndef TESTS_CHAOS_NETWORK_H
#define TESTS_CHAOS_NETWORK_H

#include <stdbool.h>

/* Whether it can be had here. */
bool network_available(void);

/* Makes it; workers that start from now on live in it. It goes with the test. */
void network_create(void);

/* The tests' address, where the broker is, as the worker sees it; valid until the test ends. */
const char *network_address(void);

void network_cut(void);
void network_join(void);

#endif
