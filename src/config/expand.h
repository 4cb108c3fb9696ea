/* ${NAME} and ${NAME:-default}, out of the environment. */
#ifndef CONFIG_EXPAND_H
#define CONFIG_EXPAND_H

#include <base/failure.h>
#include <stdbool.h>

struct expansion {
    char *text;       /* freed with memory_free; its only copy, to be wiped as it may be secret */
    bool is_expanded; /* it held ${…}, and not just $$ */
};

/* 0, or an error with its text: MEMORY, or INVALID for what is not right in `text` or missing in the
 * environment. The text names variables, never their values. */
int expand(const char *text, struct expansion *expansion, struct whippet_failure *failure);

#endif
