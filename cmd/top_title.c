#include "top_number.h"
#include "top_page.h"

enum {
    CLOCK_COLUMNS = 10,       /* "21:05:33Z" and a space in front */
    CLOCK_COLUMNS_LEAST = 60, /* narrower screens have no room for it */
};

static void put_worker(struct top_page *page, const struct top_status *status, const struct top_view *view)
{
    struct line line;
    char uptime[32];
    bool with_clock = view->columns >= CLOCK_COLUMNS_LEAST;
    top_format_long_seconds(status->uptime, uptime, sizeof uptime);
    line_begin(&line, view->columns - (with_clock ? CLOCK_COLUMNS : 0), view->ascii);
    line_put(&line, "whippet ");
    line_put(&line, status->version);
    line_put(&line, " on ");
    line_put(&line, status->host);
    line_print(&line, ", process %.0f, up %s", status->process, uptime);
    line.width = view->columns;
    if (with_clock)
        line_fill(&line, view->columns - CLOCK_COLUMNS);
    line_put(&line, with_clock ? " " : ", ");
    top_clock_put(&line, status->time);
    line_fill(&line, view->columns);
    top_page_add(page, &line, TOP_TITLE);
}

static const char *word_for(const struct top_connection *connection)
{
    if (!connection->up)
        return "down";
    return connection->blocked ? "blocked" : "up";
}

static bool is_shown(const struct top_connection *connection)
{
    return connection->needed || connection->up;
}

static void put_connections(struct top_page *page, const struct top_status *status,
                            const struct top_view *view)
{
    struct line line;
    const char *address = "";
    bool trouble = false;
    line_begin(&line, view->columns, view->ascii);
    for (size_t i = 0; i < status->connection_count; i++) {
        const struct top_connection *connection = &status->connections[i];
        if (!is_shown(connection))
            continue;
        line_put(&line, connection->name);
        line_print(&line, " %s", word_for(connection));
        if (connection->reconnects > 0)
            line_print(&line, " (%.0f reconnects)", connection->reconnects);
        line_put(&line, ", ");
        address = connection->address[0] != '\0' ? connection->address : address;
        trouble = trouble || !connection->up || connection->blocked;
    }
    char count[TOP_NUMBER_SIZE], lag[TOP_NUMBER_SIZE];
    top_format_count(status->in_flight, count);
    top_format_seconds(status->lag, lag);
    line_print(&line, "%s in flight, loop lag %s", count, lag);
    if (address[0] != '\0')
        line_put(&line, ", broker ");
    line_put(&line, address);
    top_page_add(page, &line, trouble ? TOP_TROUBLE : TOP_PLAIN);
}

static void put_problem(struct top_page *page, const struct top_subject *subject, const struct top_view *view)
{
    struct line line;
    char silence[32];
    line_begin(&line, view->columns, view->ascii);
    top_format_long_seconds(subject->silence, silence, sizeof silence);
    if (top_figures_status(subject->figures) == NULL)
        line_print(&line, "WAITING for the worker at %s: ", subject->where);
    else
        line_print(&line, "GONE for %s; the figures are old: ", silence);
    line_put(&line, subject->problem);
    top_page_add(page, &line, TOP_TROUBLE);
}

void top_title_put(struct top_page *page, const struct top_subject *subject, const struct top_view *view)
{
    const struct top_status *status = top_figures_status(subject->figures);
    if (status != NULL)
        put_worker(page, status, view);
    if (subject->problem != NULL)
        put_problem(page, subject, view);
    else if (status != NULL)
        put_connections(page, status, view);
}
