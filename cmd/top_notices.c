#include "top_number.h"
#include "top_page.h"
#include <cjson/cJSON.h>

static void put(struct top_page *page, const struct top_view *view, const char *what, const char *whose,
                const char *why)
{
    struct line line;
    line_begin(&line, view->columns, view->ascii);
    line_put(&line, what);
    line_put(&line, whose);
    if (why[0] != '\0')
        line_put(&line, ": ");
    line_put(&line, why);
    top_page_add(page, &line, TOP_TROUBLE);
}

static void put_unready(struct top_page *page, const cJSON *entry, const struct top_view *view)
{
    struct line line;
    const char *queue = top_text(entry, "queue");
    line_begin(&line, view->columns, view->ascii);
    line_put(&line, "NOT READY ");
    line_put(&line, queue[0] != '\0' ? queue : top_text(entry, "connection"));
    line_put(&line, queue[0] != '\0' ? " (" : " connection (");
    line_put(&line, top_text(entry, "state"));
    line_put(&line, "): ");
    line_put(&line, top_text(entry, "why"));
    top_page_add(page, &line, TOP_TROUBLE);
}

static void put_blocked_loop(struct top_page *page, const cJSON *loop, const struct top_view *view)
{
    struct line line;
    const cJSON *blocked = cJSON_GetObjectItemCaseSensitive(loop, "blocked");
    char seconds[TOP_NUMBER_SIZE];
    if (!cJSON_IsObject(blocked))
        return;
    top_format_seconds(top_number(blocked, "seconds"), seconds);
    line_begin(&line, view->columns, view->ascii);
    line_print(&line, "LOOP BLOCKED for %s, by ", seconds);
    if (top_text(blocked, "queue")[0] == '\0') {
        line_put(&line, "no message's code, but the worker itself");
    } else {
        line_put(&line, "processor ");
        line_put(&line, top_text(blocked, "processor"));
        line_put(&line, " on ");
        line_put(&line, top_text(blocked, "queue"));
        line_put(&line, ", message ");
        line_put(&line, top_text(blocked, "message_id"));
    }
    top_page_add(page, &line, TOP_TROUBLE);
}

void top_notices_put(struct top_page *page, const struct top_status *status, const struct top_view *view)
{
    const cJSON *entry;
    const cJSON *management = cJSON_GetObjectItemCaseSensitive(status->document, "management");
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(management, "error");
    put_blocked_loop(page, cJSON_GetObjectItemCaseSensitive(status->document, "loop"), view);
    if (top_truth(status->document, "stopping"))
        put(page, view, "STOPPING", "", "it takes no more messages, and finishes what it has begun");
    for (size_t i = 0; i < status->connection_count; i++) {
        if (status->connections[i].blocked)
            put(page, view, "BLOCKED ", status->connections[i].name,
                "the broker has an alarm for memory or disk; dead letters wait");
    }
    cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(status->readiness, "not_ready"))
        put_unready(page, entry, view);
    if (cJSON_IsObject(error))
        put(page, view, "NO FIGURES ", "of the broker", top_text(error, "text"));
}
