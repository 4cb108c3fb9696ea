/* What `whippet top` shows, as lines of text: a pure function of what the worker said and what the reader
 * wants to see, for a terminal, a file and the tests alike. */
#ifndef CMD_TOP_PAGE_H
#define CMD_TOP_PAGE_H

#include "line.h"
#include "top_figures.h"
#include "top_view.h"

/* What a line is; a terminal without colours tells them apart as well. */
enum top_style {
    TOP_PLAIN,
    TOP_TITLE,
    TOP_HEADING,
    TOP_TROUBLE,
    TOP_ERROR,
    TOP_HELP,
};

struct top_line {
    char *text; /* UTF-8, or ASCII; never wider than the view */
    enum top_style style;
};

struct top_page {
    struct top_line *lines;
    size_t count;
    size_t capacity;
    bool failed; /* memory was short: there may be lines missing */
};

/* Whom it is about. */
struct top_subject {
    const char *where;                 /* the admin port: "127.0.0.1:9464" */
    const char *problem;               /* why it does not answer; NULL: it does */
    double silence;                    /* seconds since it answered last, where it does not */
    const struct top_figures *figures; /* what it said last */
};

/* Lays it out, in view->rows lines at most; sets view->scroll and view->page. Owned by the caller. */
struct top_page top_page_make(const struct top_subject *subject, struct top_view *view);
void top_page_destroy(struct top_page *page);

/* --- Its parts, each appended to the page
 * -----------------------------------------------------------------*/

/* Appends a line, which is taken and ended. */
void top_page_add(struct top_page *page, struct line *line, enum top_style style);

/* "21:05:33Z" of a moment as RFC 3339 has it; nothing for anything shorter. */
void top_clock_put(struct line *line, const char *moment);

/* Who it is and how it is. */
void top_title_put(struct top_page *page, const struct top_subject *subject, const struct top_view *view);

/* What somebody should look at: what is not ready and why, what is blocked. */
void top_notices_put(struct top_page *page, const struct top_status *status, const struct top_view *view);

/* A heading, and a line for each queue, with another below it where there was an error. */
void top_queues_put(struct top_page *page, const struct top_figures *figures, const struct top_view *view);

/* A heading, and a line for each of the slowest tasks in flight. */
void top_tasks_put(struct top_page *page, const struct top_status *status, const struct top_view *view);

#endif
