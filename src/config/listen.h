/* Addresses to listen on, as users write them: "127.0.0.1:9464", "[::1]:9464", "localhost:0". */
#ifndef CONFIG_LISTEN_H
#define CONFIG_LISTEN_H

#include "arena.h"
#include <base/failure.h>
#include <config/config.h>

/* Into `address`, whose strings are the arena's. "off" gives a host of NULL. 0, MEMORY, or INVALID with the
 * failure. */
int listen_parse(const char *text, struct config_arena *arena, struct listen_address *address,
                 struct whippet_failure *failure);

#endif
