/* ncurses, loaded when a terminal is first drawn on: no other command needs it, and a worker that never loads
 * it does not pay for it. */
#ifndef CMD_CURSES_LIBRARY_H
#define CMD_CURSES_LIBRARY_H

#include <base/failure.h>
#include <stdbool.h>

/* So that the names below are functions, and are not taken for macros around the one screen of curses. */
#define NCURSES_NOMACROS 1
#include <curses.h>

/* What is used of it. X(result, name, parameters). */
#define CURSES_FUNCTIONS(X)                                                                                  \
    X(SCREEN *, newterm, (const char *, FILE *, FILE *))                                                     \
    X(void, delscreen, (SCREEN *))                                                                           \
    X(int, endwin, (void))                                                                                   \
    X(int, cbreak, (void))                                                                                   \
    X(int, noecho, (void))                                                                                   \
    X(int, curs_set, (int))                                                                                  \
    X(bool, has_colors, (void))                                                                              \
    X(int, start_color, (void))                                                                              \
    X(int, use_default_colors, (void))                                                                       \
    X(int, init_pair, (short, short, short))                                                                 \
    X(int, COLOR_PAIR, (int))                                                                                \
    X(int, resizeterm, (int, int))                                                                           \
    X(WINDOW *, newwin, (int, int, int, int))                                                                \
    X(int, delwin, (WINDOW *))                                                                               \
    X(int, keypad, (WINDOW *, bool))                                                                         \
    X(int, nodelay, (WINDOW *, bool))                                                                        \
    X(int, wgetch, (WINDOW *))                                                                               \
    X(int, werase, (WINDOW *))                                                                               \
    X(int, clearok, (WINDOW *, bool))                                                                        \
    X(int, wmove, (WINDOW *, int, int))                                                                      \
    X(int, wattrset, (WINDOW *, int))                                                                        \
    X(int, waddnstr, (WINDOW *, const char *, int))                                                          \
    X(int, wrefresh, (WINDOW *))

struct curses_library {
#define CURSES_MEMBER(result, name, parameters) result(*name) parameters;
    CURSES_FUNCTIONS(CURSES_MEMBER)
#undef CURSES_MEMBER
};

/* NULL with the failure filled where it is not installed. Static, and never unloaded. */
const struct curses_library *curses_library_load(struct whippet_failure *failure);

#endif
