#include "top_number.h"
#include "top_page.h"
#include <base/memory.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A queue and what was worked out of it. */
struct row {
    const struct top_queue *queue;
    struct queue_figures figures;
};

struct rows {
    struct row *items;
    size_t count;
    bool with_ready; /* the broker's messages are known of one of them */
};

enum {
    STATE_COLUMNS = 10,
    NAME_COLUMNS_LEAST = 8,
    CELL_SIZE = TOP_NUMBER_SIZE + 1
};

/* --- Columns --------------------------------------------------------------------------------------------*/

static void format_latency(double seconds, bool open, char text[CELL_SIZE])
{
    text[0] = '>';
    top_format_seconds(seconds, open ? text + 1 : text);
}

static void rate_cell(const struct row *row, char text[CELL_SIZE])
{
    top_format_rate(row->figures.rate, text);
}

static void flight_cell(const struct row *row, char text[CELL_SIZE])
{
    top_format_count(row->queue->in_flight, text);
}

static void wait_cell(const struct row *row, char text[CELL_SIZE])
{
    top_format_count(row->queue->waiting, text);
}

static void retry_cell(const struct row *row, char text[CELL_SIZE])
{
    top_format_count(row->queue->retrying, text);
}

static void dead_cell(const struct row *row, char text[CELL_SIZE])
{
    top_format_count(row->queue->dead_lettered, text);
}

static void p50_cell(const struct row *row, char text[CELL_SIZE])
{
    format_latency(row->figures.p50, row->figures.p50_open, text);
}

static void p95_cell(const struct row *row, char text[CELL_SIZE])
{
    format_latency(row->figures.p95, row->figures.p95_open, text);
}

static void p99_cell(const struct row *row, char text[CELL_SIZE])
{
    format_latency(row->figures.p99, row->figures.p99_open, text);
}

static void ready_cell(const struct row *row, char text[CELL_SIZE])
{
    top_format_count(row->queue->ready, text);
}

static const struct column {
    const char *heading; /* in capitals while the queues are sorted by it */
    const char *sorted_heading;
    unsigned columns;
    enum top_sort sort;
    void (*format)(const struct row *row, char text[CELL_SIZE]);
} COLUMNS[] = {
    {"rate/s", "RATE/S", 7, TOP_SORT_RATE, rate_cell},
    {"flight", "FLIGHT", 7, TOP_SORT_FLIGHT, flight_cell},
    {"wait", "WAIT", 6, TOP_SORT_WAIT, wait_cell},
    {"retry", "RETRY", 6, TOP_SORT_RETRY, retry_cell},
    {"dead", "DEAD", 6, TOP_SORT_DEAD, dead_cell},
    {"p50", "P50", 6, TOP_SORT_LATENCY, p50_cell},
    {"p95", "P95", 6, TOP_SORT_LATENCY, p95_cell},
    {"p99", "P99", 6, TOP_SORT_LATENCY, p99_cell},
    {"broker", "BROKER", 7, TOP_SORT_READY, ready_cell},
};

static const size_t COLUMN_COUNT = sizeof COLUMNS / sizeof COLUMNS[0];

static bool is_left_out(const struct column *column, const struct rows *rows)
{
    return column->sort == TOP_SORT_READY && !rows->with_ready;
}

/* --- Order ----------------------------------------------------------------------------------------------*/

/* What numbers are sorted by. What is not known is below all that is. */
static double weight(const struct row *row, enum top_sort sort)
{
    double number = NAN;
    switch (sort) {
    case TOP_SORT_RATE: number = row->figures.rate; break;
    case TOP_SORT_FLIGHT: number = row->queue->in_flight; break;
    case TOP_SORT_WAIT: number = row->queue->waiting; break;
    case TOP_SORT_RETRY: number = row->queue->retrying; break;
    case TOP_SORT_DEAD: number = row->queue->dead_lettered; break;
    case TOP_SORT_LATENCY: number = row->figures.p95; break;
    case TOP_SORT_READY: number = row->queue->ready; break;
    default: break;
    }
    return isnan(number) ? -INFINITY : number;
}

/* Those that are not consumed come first. */
static int compare_states(const struct top_queue *a, const struct top_queue *b)
{
    bool first = strcmp(a->state, "consuming") == 0, second = strcmp(b->state, "consuming") == 0;
    return first != second ? first - second : strcmp(a->state, b->state);
}

static int compare(const void *a, const void *b, void *context)
{
    const struct top_view *view = context;
    const struct row *first = a, *second = b;
    double difference = 0;
    if (view->sort == TOP_SORT_STATE)
        difference = compare_states(first->queue, second->queue);
    else if (view->sort != TOP_SORT_NAME)
        difference = (weight(second, view->sort) > weight(first, view->sort)) -
                     (weight(second, view->sort) < weight(first, view->sort));
    if (difference == 0)
        difference = strcmp(first->queue->name, second->queue->name);
    if (difference == 0)
        difference = strcmp(first->queue->processor, second->queue->processor);
    if (view->reversed)
        difference = -difference;
    return (difference > 0) - (difference < 0);
}

/* False when memory is short. */
static bool gather(struct rows *rows, const struct top_figures *figures, const struct top_view *view)
{
    const struct top_status *status = top_figures_status(figures);
    struct top_view order = *view;
    *rows = (struct rows){.count = status->queue_count};
    if (rows->count == 0)
        return true;
    rows->items = memory_allocate(rows->count * sizeof *rows->items);
    if (rows->items == NULL)
        return false;
    for (size_t i = 0; i < rows->count; i++) {
        rows->items[i] = (struct row){&status->queues[i], top_figures_of(figures, i)};
        rows->with_ready = rows->with_ready || !isnan(status->queues[i].ready);
    }
    qsort_r(rows->items, rows->count, sizeof *rows->items, compare, &order);
    return true;
}

/* --- Lines ----------------------------------------------------------------------------------------------*/

/* The columns of names: what they take, or what the others leave, which on a narrow screen is little. */
static unsigned name_columns(const struct rows *rows, const struct top_view *view)
{
    unsigned widest = NAME_COLUMNS_LEAST, others = STATE_COLUMNS + 1;
    for (size_t i = 0; i < rows->count; i++) {
        unsigned columns = line_columns(rows->items[i].queue->name, view->ascii);
        widest = columns > widest ? columns : widest;
    }
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        others += is_left_out(&COLUMNS[i], rows) ? 0 : COLUMNS[i].columns;
    if (view->columns == LINE_ENDLESS)
        return widest;
    unsigned room = view->columns > others + NAME_COLUMNS_LEAST ? view->columns - others : NAME_COLUMNS_LEAST;
    return widest < room ? widest : room;
}

static void put_heading(struct top_page *page, const struct rows *rows, unsigned names,
                        const struct top_view *view)
{
    struct line line;
    line_begin(&line, view->columns, view->ascii);
    line_put_left(&line, view->sort == TOP_SORT_NAME ? "QUEUE" : "queue", names);
    line_put(&line, " ");
    line_put_left(&line, view->sort == TOP_SORT_STATE ? "STATE" : "state", STATE_COLUMNS);
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        const struct column *column = &COLUMNS[i];
        if (!is_left_out(column, rows))
            line_put_right(&line, view->sort == column->sort ? column->sorted_heading : column->heading,
                           column->columns);
    }
    top_page_add(page, &line, TOP_HEADING);
}

static void put_row(struct top_page *page, const struct rows *rows, const struct row *row, unsigned names,
                    const struct top_view *view)
{
    struct line line;
    char text[CELL_SIZE];
    line_begin(&line, view->columns, view->ascii);
    line_put_left(&line, row->queue->name, names);
    line_put(&line, " ");
    line_put_left(&line, row->queue->state, STATE_COLUMNS);
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        if (is_left_out(&COLUMNS[i], rows))
            continue;
        COLUMNS[i].format(row, text);
        line_put(&line, " ");
        line_put_right(&line, text, COLUMNS[i].columns - 1);
    }
    top_page_add(page, &line, strcmp(row->queue->state, "consuming") == 0 ? TOP_PLAIN : TOP_TROUBLE);
}

/* "  21:05:33 exit status 4": the last error of an attempt, or why it is not consumed. */
static void put_error(struct top_page *page, const struct top_queue *queue, const struct top_view *view)
{
    struct line line;
    bool down = strcmp(queue->state, "consuming") != 0 && queue->failure[0] != '\0';
    if (!down && queue->error[0] == '\0')
        return;
    line_begin(&line, view->columns, view->ascii);
    line_put(&line, "  ");
    if (!down) {
        top_clock_put(&line, queue->error_at);
        line_put(&line, " ");
    }
    line_put(&line, down ? queue->failure : queue->error);
    top_page_add(page, &line, TOP_ERROR);
}

void top_queues_put(struct top_page *page, const struct top_figures *figures, const struct top_view *view)
{
    struct rows rows;
    if (!gather(&rows, figures, view)) {
        page->failed = true;
        return;
    }
    unsigned names = name_columns(&rows, view);
    put_heading(page, &rows, names, view);
    for (size_t i = 0; i < rows.count; i++) {
        put_row(page, &rows, &rows.items[i], names, view);
        put_error(page, rows.items[i].queue, view);
    }
    memory_free(rows.items);
}
