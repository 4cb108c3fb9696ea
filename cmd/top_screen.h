/* A terminal that `whippet top` draws on, and its keys. */
#ifndef CMD_TOP_SCREEN_H
#define CMD_TOP_SCREEN_H

#include "top_page.h"
#include <base/failure.h>

struct top_screen;

/* Takes the terminal of standard input and output. NULL with the failure filled; the terminal is as it was
 * then. */
struct top_screen *top_screen_open(bool colours, struct whippet_failure *failure);

/* Gives the terminal back as it was. */
void top_screen_close(struct top_screen *screen);

/* Takes over the size that the terminal has now. */
void top_screen_fit(struct top_screen *screen, struct top_view *view);

/* Shows the page. */
void top_screen_draw(struct top_screen *screen, const struct top_page *page);

/* Draws everything anew at the next top_screen_draw, over what others have left on the terminal. */
void top_screen_spoil(struct top_screen *screen);

enum {
    TOP_NO_KEY = -1
};

/* The next key that was pressed: a character, or an enum top_key; TOP_NO_KEY when none waits. */
int top_screen_key(struct top_screen *screen);

#endif
