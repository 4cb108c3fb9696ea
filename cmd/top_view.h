/* What the reader of `whippet top` has chosen to see, and by which keys. */
#ifndef CMD_TOP_VIEW_H
#define CMD_TOP_VIEW_H

#include <stdbool.h>
#include <stddef.h>

/* X(NAME, key, word): what queues can be sorted by. */
#define TOP_SORTS(X)                                                                                         \
    X(NAME, 'n', "name")                                                                                     \
    X(STATE, 's', "state")                                                                                   \
    X(RATE, 'r', "rate")                                                                                     \
    X(FLIGHT, 'f', "flight")                                                                                 \
    X(WAIT, 'w', "wait")                                                                                     \
    X(RETRY, 'e', "retry")                                                                                   \
    X(DEAD, 'd', "dead")                                                                                     \
    X(LATENCY, 'l', "latency")                                                                               \
    X(READY, 'b', "broker")

enum top_sort {
#define TOP_SORT_ENUM(name, key, word) TOP_SORT_##name,
    TOP_SORTS(TOP_SORT_ENUM)
#undef TOP_SORT_ENUM
    TOP_SORT_COUNT
};

struct top_sort_name {
    const char *word;
    char key;
};

extern const struct top_sort_name TOP_SORT_NAMES[TOP_SORT_COUNT];

enum top_pane {
    TOP_PANE_ALL,   /* queues, and below them the slowest tasks */
    TOP_PANE_TASKS, /* tasks alone */
};

struct top_view {
    unsigned rows;    /* of the screen; 0: as many as it takes, without a help line */
    unsigned columns; /* LINE_ENDLESS: as many as it takes */
    bool ascii;       /* the terminal shows nothing else */
    enum top_sort sort;
    bool reversed; /* the other way round than usual: names fall, numbers rise */
    enum top_pane pane;
    size_t scroll; /* lines of the list that are above the screen; what is too much is taken back */
    size_t page;   /* lines of the list that the screen shows, since it was laid out last */
};

/* Keys that are no characters. */
enum top_key {
    TOP_KEY_UP = 0x1000,
    TOP_KEY_DOWN,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
};

enum top_answer {
    TOP_IGNORED,
    TOP_CHANGED, /* lay it out again */
    TOP_QUIT,
};

/* Takes a key press: a character, or an enum top_key. */
enum top_answer top_view_press(struct top_view *view, int key);

#endif
