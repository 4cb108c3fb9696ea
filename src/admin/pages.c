#include "pages.h"
#include "metrics.h"
#include "status.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char JSON[] = "application/json";
static const char PLAIN[] = "text/plain; charset=utf-8";

static void write_live(const struct page_request *request, struct page_answer *answer)
{
    answer->content_type = JSON;
    answer->code = status_write_live(&answer->text, request->stats) ? 200 : 503;
    text_put(&answer->text, "\n");
}

static void write_ready(const struct page_request *request, struct page_answer *answer)
{
    answer->content_type = JSON;
    answer->code = status_write_ready(&answer->text, request->stats) ? 200 : 503;
    text_put(&answer->text, "\n");
}

/* Digits alone, and no more than make sense. */
static bool read_count(const char *text, size_t *count)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9 || text[digits] != '\0')
        return false;
    *count = strtoul(text, NULL, 10);
    return true;
}

static void write_status(const struct page_request *request, struct page_answer *answer)
{
    size_t most_tasks = SIZE_MAX;
    if (request->tasks != NULL && !read_count(request->tasks, &most_tasks)) {
        page_refuse(answer, 400, "?tasks= is how many of the tasks in flight to list: a number.");
        return;
    }
    answer->content_type = JSON;
    status_write(&answer->text, request->stats, request->commit, most_tasks);
    text_put(&answer->text, "\n");
}

static void write_metrics(const struct page_request *request, struct page_answer *answer)
{
    enum metrics_format format = metrics_choose_format(request->accept);
    answer->content_type = metrics_content_type(format);
    metrics_write(&answer->text, request->stats, request->commit, format);
}

static void write_history(const struct page_request *request, struct page_answer *answer)
{
    answer->content_type = JSON;
    history_write(&answer->text, request->history);
    text_put(&answer->text, "\n");
}

static const struct page PAGES[] = {
    {"/livez", write_live},        {"/readyz", write_ready},        {"/metrics", write_metrics},
    {"/api/status", write_status}, {"/api/history", write_history},
};

const struct page *page_find(const char *path)
{
    for (size_t i = 0; i < sizeof PAGES / sizeof PAGES[0]; i++) {
        if (strcmp(PAGES[i].path, path) == 0)
            return &PAGES[i];
    }
    return NULL;
}

void page_refuse(struct page_answer *answer, unsigned code, const char *why)
{
    answer->code = code;
    answer->content_type = PLAIN;
    text_put(&answer->text, why);
    text_put(&answer->text, "\n");
}
