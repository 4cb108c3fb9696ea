/* Where the log's lines go. Not thread-safe by itself: log.c holds its lock around every call. */
#ifndef BASE_LOG_SINK_H
#define BASE_LOG_SINK_H

#include <stdbool.h>
#include <stddef.h>

/* Lines go to `descriptor` from now on, which stays the caller's. */
void log_sink_open(int descriptor);

/* Writes one line, with the newline at its end: with a single write where the descriptor takes it at once.
 * False when it was lost, wholly or its end: the reader is gone or does not keep up, or the disk is full.
 * Never raises SIGPIPE. Waits 100 ms at most for a reader to catch up; after that in vain, not at all until
 * there is room again. */
bool log_sink_write(const char *line, size_t length);

/* The same with nothing but write and poll, and without a look at, or a change of, what became of the lines
 * before: for a signal's handler, without the lock. */
void log_sink_write_from_signal(const char *line, size_t length);

#endif
