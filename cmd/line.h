/* A line of a terminal, put together cell by cell: what is counted is columns, not bytes, and nothing that
 * strangers wrote reaches the terminal as a command. */
#ifndef CMD_LINE_H
#define CMD_LINE_H

#include <base/buffer.h>
#include <stdarg.h>

struct line {
    struct buffer text; /* what is in it so far */
    unsigned columns;   /* that the text takes */
    unsigned width;     /* that there are; LINE_ENDLESS: as many as it takes */
    bool ascii;         /* the terminal shows nothing else: '?' stands for what it can't */
    bool failed;        /* memory was short */
};

enum {
    LINE_ENDLESS = 0,
    LINE_TEXT_MOST = 512 /* bytes that line_print takes */
};

void line_begin(struct line *line, unsigned width, bool ascii);

/* The text, which the caller owns (memory_free); NULL when memory was short. */
char *line_end(struct line *line);

/* As much of the text as there are columns left; what is cut ends in an ellipsis. */
void line_put(struct line *line, const char *text);

/* The same, printf-style. */
void line_print(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text in exactly `width` columns, cut or filled up with spaces. */
void line_put_left(struct line *line, const char *text, unsigned width);
void line_put_right(struct line *line, const char *text, unsigned width);

/* Spaces up to that column; none when it is passed. */
void line_fill(struct line *line, unsigned column);

/* The columns that the text takes. */
unsigned line_columns(const char *text, bool ascii);

#endif
