/* Telling the server to stop what a connection has it do. */
#ifndef CLIENTS_POSTGRES_CANCEL_H
#define CLIENTS_POSTGRES_CANCEL_H

#include "postgres_library.h"
#include <whippet/types.h>

/* Suspends until the server knows, or two seconds have passed, whatever has struck the task. What comes of it
 * is not told: the connection must be closed anyway. */
void postgres_cancel(whippet_task *task, const struct postgres_library *library, PGconn *pg);

#endif
