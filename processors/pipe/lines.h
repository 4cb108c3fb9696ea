/* Bytes in, lines out. */
#ifndef PIPE_LINES_H
#define PIPE_LINES_H

#include <stdbool.h>
#include <whippet/types.h>

/* What has come of a stream that was not taken as lines yet. */
struct lines {
    char *data;    /* owned */
    size_t size;   /* bytes */
    size_t taken;  /* bytes that went out as lines */
    size_t length; /* bytes that came in, those taken included */
    size_t seen;   /* bytes that were looked through for the end of a line */
};

/* Room for lines of up to `limit` bytes. False when memory is short. */
bool lines_create(struct lines *lines, size_t limit);
void lines_destroy(struct lines *lines);

/* Where the next bytes are to be put, and how many there may be: 0 when a line is longer than the limit. What
 * went out before is gone. */
char *lines_room(struct lines *lines, size_t *size);
void lines_added(struct lines *lines, size_t count);

/* Takes the next whole line, without its end. False when there is none. */
bool lines_next(struct lines *lines, whippet_bytes *line);

/* Takes what is left without an end of its own, as one line. False when nothing is. */
bool lines_rest(struct lines *lines, whippet_bytes *line);

/* Forgets what it holds. */
void lines_clear(struct lines *lines);

#endif
