#include "top_page.h"
#include <base/memory.h>
#include <string.h>

enum {
    ROWS_FOR_HELP = 4,   /* smaller screens have no room for the keys, */
    ROWS_FOR_TASKS = 12, /* nor for the tasks below the queues */
    HEAD_SHARE = 3,      /* title and notices take one row in so many at most, */
    TASKS_SHARE = 4,     /* the tasks one in so many, or what the list leaves */
};

/* The capital letters are the keys; small ones do as well. */
static const char HELP[] = "q quit  t tasks  sort: Name State Rate Flight Wait rEtry Dead Latency Broker";

/* --- Lines ----------------------------------------------------------------------------------------------*/

static bool reserve(struct top_page *page)
{
    if (page->count < page->capacity)
        return true;
    size_t capacity = page->capacity > 0 ? 2 * page->capacity : 64;
    struct top_line *lines = memory_resize(page->lines, capacity * sizeof *lines);
    if (lines == NULL)
        return false;
    page->lines = lines;
    page->capacity = capacity;
    return true;
}

/* Takes the text. */
static void add_text(struct top_page *page, char *text, enum top_style style)
{
    if (text != NULL && reserve(page)) {
        page->lines[page->count++] = (struct top_line){text, style};
        return;
    }
    memory_free(text);
    page->failed = true;
}

void top_page_add(struct top_page *page, struct line *line, enum top_style style)
{
    add_text(page, line_end(line), style);
}

void top_clock_put(struct line *line, const char *moment)
{
    enum {
        TIME_AT = 11,
        TIME_LENGTH = 8
    };
    if (strnlen(moment, TIME_AT + TIME_LENGTH) == TIME_AT + TIME_LENGTH)
        line_print(line, "%.*sZ", TIME_LENGTH, moment + TIME_AT);
}

static void put_blank(struct top_page *page)
{
    add_text(page, memory_copy_text(""), TOP_PLAIN);
}

/* Moves `count` lines, from the one at `first` on, to the end of the page. */
static void move(struct top_page *page, struct top_page *from, size_t first, size_t count)
{
    page->failed = page->failed || from->failed;
    for (size_t i = first; i < first + count && i < from->count; i++) {
        add_text(page, from->lines[i].text, from->lines[i].style);
        from->lines[i].text = NULL;
    }
}

void top_page_destroy(struct top_page *page)
{
    for (size_t i = 0; i < page->count; i++)
        memory_free(page->lines[i].text);
    memory_free(page->lines);
}

/* --- Laying out -----------------------------------------------------------------------------------------*/

/* What is to be shown, before anybody asks how much room there is. */
struct parts {
    struct top_page head;  /* title and notices */
    struct top_page list;  /* a heading that stays, and lines that scroll */
    struct top_page tasks; /* below the list */
};

static struct parts make_parts(const struct top_subject *subject, const struct top_view *view)
{
    struct parts parts = {0};
    const struct top_status *status = top_figures_status(subject->figures);
    top_title_put(&parts.head, subject, view);
    if (status == NULL)
        return parts;
    if (subject->problem == NULL)
        top_notices_put(&parts.head, status, view);
    if (view->pane == TOP_PANE_TASKS) {
        top_tasks_put(&parts.list, status, view);
    } else {
        top_queues_put(&parts.list, subject->figures, view);
        top_tasks_put(&parts.tasks, status, view);
    }
    return parts;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The list's heading, as many of its lines as fit `rows`, and blank ones for the rest. */
static void put_list(struct top_page *page, struct top_page *list, struct top_view *view, size_t rows)
{
    size_t lines = list->count > 0 ? list->count - 1 : 0;
    size_t end = page->count + rows;
    view->page = rows > 0 ? rows - 1 : 0;
    view->scroll = smaller(view->scroll, lines > view->page ? lines - view->page : 0);
    if (rows > 0)
        move(page, list, 0, 1);
    move(page, list, 1 + view->scroll, view->page);
    while (page->count < end && !page->failed)
        put_blank(page);
}

/* How much of the list is out of sight, and the keys. */
static void put_help(struct top_page *page, const struct top_page *list, const struct top_view *view)
{
    struct line line;
    size_t lines = list->count > 0 ? list->count - 1 : 0;
    size_t below = lines > view->scroll + view->page ? lines - view->scroll - view->page : 0;
    line_begin(&line, view->columns, view->ascii);
    if (view->scroll > 0 || below > 0)
        line_print(&line, "%zu above, %zu below (arrows)  ", view->scroll, below);
    line_put(&line, HELP);
    top_page_add(page, &line, TOP_HELP);
}

/* How many lines the tasks get of the `rows` that are left for them and the list. */
static size_t rows_for_tasks(const struct parts *parts, const struct top_view *view, size_t rows)
{
    size_t left = rows - smaller(rows, parts->list.count + 1);
    size_t share = view->rows / TASKS_SHARE;
    return view->rows >= ROWS_FOR_TASKS ? smaller(parts->tasks.count, left > share ? left : share) : 0;
}

static void fit(struct top_page *page, struct parts *parts, struct top_view *view)
{
    size_t rows = view->rows;
    size_t help = rows >= ROWS_FOR_HELP ? 1 : 0;
    size_t head = smaller(parts->head.count, rows / HEAD_SHARE > 0 ? rows / HEAD_SHARE : 1);
    size_t tasks = rows_for_tasks(parts, view, rows - head - help);
    move(page, &parts->head, 0, head);
    put_list(page, &parts->list, view, rows - head - help - tasks);
    move(page, &parts->tasks, 0, tasks);
    if (help > 0)
        put_help(page, &parts->list, view);
}

static void put_all(struct top_page *page, struct parts *parts)
{
    move(page, &parts->head, 0, parts->head.count);
    if (parts->list.count > 0)
        put_blank(page);
    move(page, &parts->list, 0, parts->list.count);
    if (parts->tasks.count > 0)
        put_blank(page);
    move(page, &parts->tasks, 0, parts->tasks.count);
}

struct top_page top_page_make(const struct top_subject *subject, struct top_view *view)
{
    struct top_page page = {0};
    struct parts parts = make_parts(subject, view);
    if (view->rows > 0)
        fit(&page, &parts, view);
    else
        put_all(&page, &parts);
    page.failed = page.failed || parts.head.failed || parts.list.failed || parts.tasks.failed;
    top_page_destroy(&parts.head);
    top_page_destroy(&parts.list);
    top_page_destroy(&parts.tasks);
    return page;
}
