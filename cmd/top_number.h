/* Numbers in five columns. */
#ifndef CMD_TOP_NUMBER_H
#define CMD_TOP_NUMBER_H

#include <stddef.h>

enum {
    TOP_NUMBER_SIZE = 8 /* of a text with its NUL; five columns at most */
};

/* "0", "99999", "123k", "4567M", ">999E"; "-" for what is not known (NAN), "?" for what can't be. */
void top_format_count(double count, char text[TOP_NUMBER_SIZE]);

/* Of something a second: "0", "0.25", "12.5", and then as a count. */
void top_format_rate(double rate, char text[TOP_NUMBER_SIZE]);

/* "<1ms", "250ms", "2.5s", "90s", "45m", "36h", "12d". */
void top_format_seconds(double seconds, char text[TOP_NUMBER_SIZE]);

/* The same in words, for the title: "45 s", "3 h 20 min". */
void top_format_long_seconds(double seconds, char *text, size_t size);

#endif
