/* In place of top_screen.c, where ncurses was missing at build time. */
#include "top_screen.h"

struct top_screen *top_screen_open(bool colours, struct whippet_failure *failure)
{
    (void)colours;
    failure_set(failure, WHIPPET_E_UNAVAILABLE,
                "this whippet was built without ncurses, which draws on terminals (Debian's package "
                "libncurses-dev); use --once or --json");
    return NULL;
}

/* The rest is never called without a screen. */

void top_screen_close(struct top_screen *screen)
{
    (void)screen;
}

void top_screen_fit(struct top_screen *screen, struct top_view *view)
{
    (void)screen;
    (void)view;
}

void top_screen_draw(struct top_screen *screen, const struct top_page *page)
{
    (void)screen;
    (void)page;
}

void top_screen_spoil(struct top_screen *screen)
{
    (void)screen;
}

int top_screen_key(struct top_screen *screen)
{
    (void)screen;
    return TOP_NO_KEY;
}
