#include "top_screen.h"
#include "curses_library.h"
#include <base/memory.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct top_screen {
    const struct curses_library *curses;
    SCREEN *terminal;
    WINDOW *window;
    bool coloured;
};

enum {
    PAIR_TROUBLE = 1, /* curses counts pairs from 1 */
    DEFAULT_COLOUR = -1,
    DEFAULT_ROWS = 24,
    DEFAULT_COLUMNS = 80,
    ENOUGH = 10000, /* rows or columns of any screen */
};

static void prepare(struct top_screen *screen, bool colours)
{
    const struct curses_library *curses = screen->curses;
    curses->cbreak();
    curses->noecho();
    curses->curs_set(0);
    screen->coloured = colours && curses->has_colors() && curses->start_color() == OK &&
                       curses->use_default_colors() == OK &&
                       curses->init_pair(PAIR_TROUBLE, COLOR_RED, DEFAULT_COLOUR) == OK;
}

/* A window over the whole screen, in place of the one before, which stays when memory is short. */
static bool renew_window(struct top_screen *screen)
{
    const struct curses_library *curses = screen->curses;
    WINDOW *window = curses->newwin(0, 0, 0, 0);
    if (window == NULL)
        return false;
    if (screen->window != NULL)
        curses->delwin(screen->window);
    screen->window = window;
    curses->keypad(window, true);
    curses->nodelay(window, true);
    return true;
}

static const char *terminal_name(void)
{
    const char *name = getenv("TERM");
    return name != NULL && name[0] != '\0' ? name : "unknown";
}

struct top_screen *top_screen_open(bool colours, struct whippet_failure *failure)
{
    struct top_screen *screen = memory_allocate_zeroed(sizeof *screen);
    if (screen == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        return NULL;
    }
    screen->curses = curses_library_load(failure);
    if (screen->curses == NULL) {
        memory_free(screen);
        return NULL;
    }
    screen->terminal = screen->curses->newterm(terminal_name(), stdout, stdin);
    if (screen->terminal != NULL && renew_window(screen)) {
        prepare(screen, colours);
        return screen;
    }
    failure_set(failure, WHIPPET_E_UNAVAILABLE,
                "this system does not know how to draw on a terminal of the kind TERM=%.40s, or it can't "
                "move the cursor; try TERM=xterm or TERM=vt100, or --once",
                terminal_name());
    top_screen_close(screen);
    return NULL;
}

void top_screen_close(struct top_screen *screen)
{
    if (screen->terminal != NULL) {
        screen->curses->endwin();
        screen->curses->delscreen(screen->terminal);
    }
    memory_free(screen);
}

void top_screen_fit(struct top_screen *screen, struct top_view *view)
{
    struct winsize size = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;
    view->rows = known && size.ws_row < ENOUGH ? size.ws_row : DEFAULT_ROWS;
    view->columns = known && size.ws_col < ENOUGH ? size.ws_col : DEFAULT_COLUMNS;
    screen->curses->resizeterm((int)view->rows, (int)view->columns);
    renew_window(screen);
}

/* curses's word for a style. */
static int attributes_of(const struct top_screen *screen, enum top_style style)
{
    const int red = screen->coloured ? screen->curses->COLOR_PAIR(PAIR_TROUBLE) : 0;
    switch (style) {
    case TOP_TITLE:
    case TOP_HELP: return (int)A_REVERSE;
    case TOP_HEADING: return (int)(A_BOLD | A_UNDERLINE);
    case TOP_TROUBLE: return (int)A_BOLD | red;
    case TOP_ERROR: return red;
    default: return (int)A_NORMAL;
    }
}

void top_screen_draw(struct top_screen *screen, const struct top_page *page)
{
    const struct curses_library *curses = screen->curses;
    curses->werase(screen->window);
    for (size_t i = 0; i < page->count; i++) {
        const struct top_line *line = &page->lines[i];
        curses->wmove(screen->window, (int)i, 0);
        curses->wattrset(screen->window, attributes_of(screen, line->style));
        curses->waddnstr(screen->window, line->text, -1);
    }
    curses->wattrset(screen->window, (int)A_NORMAL);
    curses->wrefresh(screen->window);
}

void top_screen_spoil(struct top_screen *screen)
{
    screen->curses->clearok(screen->window, true);
}

int top_screen_key(struct top_screen *screen)
{
    int key = screen->curses->wgetch(screen->window);
    switch (key) {
    case ERR: return TOP_NO_KEY;
    case KEY_UP: return TOP_KEY_UP;
    case KEY_DOWN: return TOP_KEY_DOWN;
    case KEY_PPAGE: return TOP_KEY_PAGE_UP;
    case KEY_NPAGE: return TOP_KEY_PAGE_DOWN;
    case KEY_HOME: return TOP_KEY_HOME;
    case KEY_END: return TOP_KEY_END;
    default: return key;
    }
}
