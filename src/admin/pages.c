#include "pages.h"
#include "metrics.h"
#include "status.h"
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

static void write_status(const struct page_request *request, struct page_answer *answer)
{
    answer->content_type = JSON;
    status_write(&answer->text, request->stats, request->commit);
    text_put(&answer->text, "\n");
}

static void write_metrics(const struct page_request *request, struct page_answer *answer)
{
    enum metrics_format format = metrics_choose_format(request->accept);
    answer->content_type = metrics_content_type(format);
    metrics_write(&answer->text, request->stats, request->commit, format);
}

static void write_home(const struct page_request *request, struct page_answer *answer)
{
    answer->content_type = "text/html; charset=utf-8";
    text_put(&answer->text,
             "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Whippet</title>\n"
             "<meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" "
             "content=\"light dark\">\n"
             "<h1>Whippet ");
    text_put(&answer->text, request->stats->version);
    text_put(&answer->text,
             "</h1>\n<ul>\n"
             "<li><a href=\"/livez\">/livez</a>: does the event loop tick?\n"
             "<li><a href=\"/readyz\">/readyz</a>: is every queue consumed, and if not, why?\n"
             "<li><a href=\"/metrics\">/metrics</a>: for Prometheus\n"
             "<li><a href=\"/api/status\">/api/status</a>: all there is, as JSON\n"
             "<li><a href=\"/api/events\">/api/events</a>: the same each second, as server-sent events\n"
             "</ul>\n</html>\n");
}

static const struct page PAGES[] = {
    {"/", write_home},           {"/livez", write_live},        {"/readyz", write_ready},
    {"/metrics", write_metrics}, {"/api/status", write_status},
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
