/* What there is at which path. */
#ifndef ADMIN_PAGES_H
#define ADMIN_PAGES_H

#include "history.h"
#include "text.h"
#include <stats/stats.h>

/* What a page is made from. */
struct page_request {
    struct stats *stats;
    const struct history *history;
    const char *commit;
    const char *accept; /* the header; NULL: there was none */
    const char *tasks;  /* how many of those in flight to list; NULL: it does not say */
};

struct page_answer {
    unsigned code;
    const char *content_type;
    struct text text;
};

struct page {
    const char *path;
    void (*write)(const struct page_request *request, struct page_answer *answer);
};

/* NULL when there is none at that path. */
const struct page *page_find(const char *path);

/* A line for a person, for what is not a page: 404, 405 … */
void page_refuse(struct page_answer *answer, unsigned code, const char *why);

#endif
