/**
 * @file
 * Running a command as an await.
 */
#ifndef WHIPPET_EXEC_H
#define WHIPPET_EXEC_H

#include <whippet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What to run. Everything is borrowed until whippet_exec returns. */
typedef struct whippet_command {
    const char *const *arguments; /**< NULL-terminated; the first is the program, looked up in PATH */
    const char *const
        *environment;      /**< NULL-terminated NAME=VALUE strings, added to the worker's own; may be NULL */
    const char *directory; /**< NULL: the worker's own */
    whippet_bytes input;   /**< standard input; a child that closes it early is no error */
    whippet_bytes extra_input; /**< readable on descriptor 3 when data is not NULL */
    size_t output_limit;       /**< bytes of standard output kept; what comes beyond is read and dropped */
    size_t error_limit;        /**< bytes of standard error kept: its end, not its beginning */
} whippet_command;

/** How it ended. The buffers are whippet_alloc'ed from the task. */
typedef struct whippet_command_result {
    bool signalled;        /**< ended by a signal */
    int status;            /**< its exit status, or the signal's number */
    whippet_bytes output;  /**< what it wrote to standard output, up to the limit */
    whippet_bytes error;   /**< the end of what it wrote to standard error, or why it could not be started */
    bool output_truncated; /**< there was more output */
    bool error_truncated;  /**< there was more before it */
} whippet_command_result;

/** Starts the command in a process group of its own, feeds it, and awaits its end and that of its output.
 * When the await is cut short the whole group is killed and reaped. 0 with `*result` filled, whatever the
 * exit status was; SYSTEM when it could not be started, with the reason in result->error; TIMEOUT, CANCELLED,
 * MEMORY. */
WHIPPET_API int whippet_exec(whippet_task *task, const whippet_command *command,
                             whippet_command_result *result);

#ifdef __cplusplus
}
#endif

#endif
