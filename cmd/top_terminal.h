/* `whippet top` on a terminal. */
#ifndef CMD_TOP_TERMINAL_H
#define CMD_TOP_TERMINAL_H

#include "admin_client.h"
#include "top_view.h"

/* Shows the worker until the reader has seen enough. Returns an exit code, with what went wrong on standard
 * error. */
int top_on_terminal(const struct admin_address *address, struct top_view *view);

#endif
