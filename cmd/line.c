#include "line.h"
#include "safe_print.h"
#include <base/bytes.h>
#include <base/memory.h>
#include <base/utf8.h>
#include <limits.h>
#include <stdio.h>
#include <wchar.h>

/* One character, or the escape in its place. */
struct piece {
    char text[SAFE_PIECE_SIZE];
    unsigned columns;
};

/* Takes the next piece off the text. What wcwidth does not know, a terminal does not either. */
static struct piece take_piece(const char **text, bool ascii)
{
    struct piece piece;
    *text += safe_piece(bytes_of_text(*text), piece.text);
    size_t length = strlen(piece.text);
    piece.columns = (unsigned)length;
    if ((unsigned char)piece.text[0] < 0x80)
        return piece;
    int width = ascii ? -1 : wcwidth((wchar_t)utf8_code_point(piece.text, length));
    if (width < 0)
        strcpy(piece.text, "?");
    piece.columns = width < 0 ? 1 : (unsigned)width;
    return piece;
}

static void append(struct line *line, const char *text, unsigned columns)
{
    line->failed = line->failed || !buffer_append(&line->text, text, strlen(text));
    line->columns += columns;
}

static unsigned columns_left(const struct line *line)
{
    if (line->width == LINE_ENDLESS)
        return UINT_MAX;
    return line->width > line->columns ? line->width - line->columns : 0;
}

/* The text in `room` columns at most. */
static void put(struct line *line, const char *text, unsigned room)
{
    unsigned wanted = line_columns(text, line->ascii);
    if (room == 0)
        return;
    unsigned kept = wanted <= room ? room : room - 1;
    for (unsigned used = 0; *text != '\0';) {
        struct piece piece = take_piece(&text, line->ascii);
        if (used + piece.columns > kept)
            break;
        used += piece.columns;
        append(line, piece.text, piece.columns);
    }
    if (wanted > room)
        append(line, line->ascii ? "~" : "…", 1);
}

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

void line_begin(struct line *line, unsigned width, bool ascii)
{
    *line = (struct line){.width = width, .ascii = ascii};
    buffer_init(&line->text);
}

char *line_end(struct line *line)
{
    char *text =
        line->failed ? NULL : memory_copy_span(buffer_begin(&line->text), buffer_length(&line->text));
    buffer_destroy(&line->text);
    return text;
}

void line_put(struct line *line, const char *text)
{
    put(line, text, columns_left(line));
}

void line_print(struct line *line, const char *format, ...)
{
    char text[LINE_TEXT_MOST];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    line_put(line, text);
}

void line_fill(struct line *line, unsigned column)
{
    while (line->columns < column && columns_left(line) > 0)
        append(line, " ", 1);
}

void line_put_left(struct line *line, const char *text, unsigned width)
{
    unsigned end = line->columns + width;
    put(line, text, smaller(width, columns_left(line)));
    line_fill(line, end);
}

void line_put_right(struct line *line, const char *text, unsigned width)
{
    unsigned end = line->columns + width;
    unsigned wanted = line_columns(text, line->ascii);
    if (wanted < width)
        line_fill(line, end - wanted);
    put(line, text, smaller(smaller(width, wanted), columns_left(line)));
    line_fill(line, end);
}

unsigned line_columns(const char *text, bool ascii)
{
    unsigned columns = 0;
    while (*text != '\0')
        columns += take_piece(&text, ascii).columns;
    return columns;
}
