#include "top_number.h"
#include "top_page.h"

enum {
    AGE_COLUMNS = 6,
    ATTEMPT_COLUMNS = 8,
    STATE_COLUMNS = 22, /* "waiting for its turn" */
    NAMES_SHARE = 2     /* of what is left, the queue's name has one part in so many */
};

static void put_cells(struct top_page *page, const struct top_view *view, const char *const cells[5],
                      unsigned names, enum top_style style)
{
    struct line line;
    line_begin(&line, view->columns, view->ascii);
    line_put_right(&line, cells[0], AGE_COLUMNS - 1);
    line_put_right(&line, cells[1], ATTEMPT_COLUMNS);
    line_put(&line, "  ");
    line_put_left(&line, cells[2], STATE_COLUMNS - 1);
    line_put(&line, " ");
    line_put_left(&line, cells[3], names);
    line_put(&line, "  ");
    line_put(&line, cells[4]);
    top_page_add(page, &line, style);
}

static unsigned names_columns(const struct top_status *status, const struct top_view *view)
{
    const unsigned others = AGE_COLUMNS + ATTEMPT_COLUMNS + STATE_COLUMNS + 3;
    unsigned widest = 12;
    for (size_t i = 0; i < status->task_count; i++) {
        unsigned columns = line_columns(status->tasks[i].queue, view->ascii);
        widest = columns > widest ? columns : widest;
    }
    if (view->columns == LINE_ENDLESS)
        return widest;
    unsigned room = view->columns > others ? (view->columns - others) / NAMES_SHARE : 0;
    return widest < room ? widest : room;
}

void top_tasks_put(struct top_page *page, const struct top_status *status, const struct top_view *view)
{
    static const char *const HEADING[5] = {"age", "attempt", "in flight, slowest", "queue", "message"};
    unsigned names = names_columns(status, view);
    if (status->task_count == 0)
        return;
    put_cells(page, view, HEADING, names, TOP_HEADING);
    for (size_t i = 0; i < status->task_count; i++) {
        const struct top_task *task = &status->tasks[i];
        char age[TOP_NUMBER_SIZE], attempt[TOP_NUMBER_SIZE] = "-";
        const char *id = task->message_id[0] != '\0' ? task->message_id : "(without an id)";
        const char *const cells[5] = {age, attempt, task->state, task->queue, id};
        top_format_seconds(task->age, age);
        if (task->attempt > 0)
            top_format_count(task->attempt, attempt);
        put_cells(page, view, cells, names, TOP_PLAIN);
    }
}
