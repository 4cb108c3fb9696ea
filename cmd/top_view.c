#include "top_view.h"
#include <ctype.h>
#include <limits.h>
#include <stdint.h>

#define TOP_SORT_ROW(name, key, word) {word, key},
const struct top_sort_name TOP_SORT_NAMES[TOP_SORT_COUNT] = {TOP_SORTS(TOP_SORT_ROW)};
#undef TOP_SORT_ROW

/* In capitals or not. The same key once more turns the order round. */
static enum top_answer sort_by_key(struct top_view *view, int key)
{
    for (enum top_sort sort = 0; sort < TOP_SORT_COUNT; sort++) {
        if (key > CHAR_MAX || TOP_SORT_NAMES[sort].key != tolower(key))
            continue;
        view->reversed = view->sort == sort && !view->reversed;
        view->sort = sort;
        view->scroll = 0;
        return TOP_CHANGED;
    }
    return TOP_IGNORED;
}

static enum top_answer scroll_up(struct top_view *view, size_t lines)
{
    view->scroll -= lines < view->scroll ? lines : view->scroll;
    return TOP_CHANGED;
}

static enum top_answer scroll_down(struct top_view *view, size_t lines)
{
    view->scroll += lines < SIZE_MAX - view->scroll ? lines : SIZE_MAX - view->scroll;
    return TOP_CHANGED;
}

static enum top_answer change_pane(struct top_view *view)
{
    view->pane = view->pane == TOP_PANE_ALL ? TOP_PANE_TASKS : TOP_PANE_ALL;
    view->scroll = 0;
    return TOP_CHANGED;
}

enum top_answer top_view_press(struct top_view *view, int key)
{
    size_t page = view->page > 0 ? view->page : 1;
    switch (key) {
    case 'q':
    case 'Q': return TOP_QUIT;
    case 't': return change_pane(view);
    case TOP_KEY_UP:
    case 'k': return scroll_up(view, 1);
    case TOP_KEY_DOWN:
    case 'j': return scroll_down(view, 1);
    case TOP_KEY_PAGE_UP: return scroll_up(view, page);
    case TOP_KEY_PAGE_DOWN:
    case ' ': return scroll_down(view, page);
    case TOP_KEY_HOME:
    case 'g': return scroll_up(view, SIZE_MAX);
    case TOP_KEY_END:
    case 'G': return scroll_down(view, SIZE_MAX);
    default: return sort_by_key(view, key);
    }
}
