/* The tasks that tend a child's three streams, in straight-line code: each waits for its stream only. */
#include "child.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void child_refuse(struct child *child, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (child->problem[0] == '\0')
        vsnprintf(child->problem, sizeof child->problem, format, arguments);
    va_end(arguments);
    whippet_event_set(child->over);
}

/* For a task whose stream can't be served any longer: a child that nobody listens to must not go on. */
static void give_up(struct child *child, int error)
{
    if (error < 0 && error != WHIPPET_E_CANCELLED)
        child_refuse(child, "could not be tended: %s", whippet_error_text(error));
}

/* --- Requests -------------------------------------------------------------------------------------------*/

/* 0; CLOSED when nobody reads any more; or why it could not be awaited. */
static int write_whole(whippet_task *task, int descriptor, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t count = write(descriptor, data, length);
        if (count >= 0) {
            data += count;
            length -= (size_t)count;
        } else if (errno == EAGAIN) {
            int ready = whippet_wait_fd(task, descriptor, WHIPPET_WRITABLE);
            if (ready < 0)
                return ready;
        } else if (errno != EINTR) {
            return WHIPPET_E_CLOSED;
        }
    }
    return 0;
}

int child_write_requests(whippet_task *task, void *arg)
{
    struct child *child = arg;
    int error = 0;
    while (error == 0) {
        const char *line;
        size_t length;
        if (pool_take(child->pool, child, &line, &length)) {
            error = write_whole(task, child->spawned.input, line, length);
            pool_wrote(child->pool, child);
        } else {
            error = whippet_event_wait(task, child->wake);
        }
    }
    /* What it has answered until now is still to be read, before it is given up. */
    if (error == WHIPPET_E_CLOSED)
        whippet_event_set(child->over);
    else
        give_up(child, error);
    return 0;
}

/* --- Reading --------------------------------------------------------------------------------------------*/

/* Awaits bytes and takes them in: how many; 0 at the end of the stream; or why that could not be
 * awaited. There must be room. */
static ssize_t read_into(whippet_task *task, int descriptor, struct lines *lines)
{
    for (;;) {
        size_t size;
        char *room = lines_room(lines, &size);
        int ready = whippet_wait_fd(task, descriptor, WHIPPET_READABLE);
        if (ready < 0)
            return ready;
        ssize_t count = read(descriptor, room, size);
        if (count >= 0)
            lines_added(lines, (size_t)count);
        if (count >= 0 || (errno != EAGAIN && errno != EINTR))
            return count >= 0 ? count : 0;
    }
}

/* --- Answers --------------------------------------------------------------------------------------------*/

static bool take_answer(struct child *child, whippet_bytes line)
{
    struct answer answer;
    char problem[ANSWER_PROBLEM_SIZE];
    if (!answer_read(line, &answer, problem))
        child_refuse(child, "wrote %s (standard output is for answers; for all else there is standard error)",
                     problem);
    else if (!pool_answer(child->pool, child, &answer))
        child_refuse(child, "answered the id %lld, which it was not asked or has answered already",
                     (long long)answer.id);
    else
        return true;
    return false;
}

/* False once it can't be believed any more. */
static bool take_answers(struct child *child)
{
    whippet_bytes line;
    size_t room;
    bool goes_on = true;
    while (goes_on && lines_next(&child->answers, &line))
        goes_on = take_answer(child, line);
    lines_room(&child->answers, &room);
    if (goes_on && room == 0)
        child_refuse(child, "wrote a line of more than %zu bytes (answer_limit)", child->answers.size - 1);
    return goes_on && room > 0;
}

int child_read_answers(whippet_task *task, void *arg)
{
    struct child *child = arg;
    ssize_t count = 0;
    bool goes_on = child->problem[0] == '\0';
    while (goes_on && (count = read_into(task, child->spawned.output, &child->answers)) > 0)
        goes_on = take_answers(child);
    if (count == 0)
        whippet_event_set(child->over);
    give_up(child, (int)count);
    return 0;
}

/* --- Standard error -------------------------------------------------------------------------------------*/

static int read_errors_once(whippet_task *task, void *arg)
{
    struct child *child = arg;
    return (int)read_into(task, child->spawned.error, &child->log.lines);
}

int child_read_errors(whippet_task *task, void *arg)
{
    struct child *child = arg;
    int count;
    do {
        double due = child_log_due(&child->log);
        count = due > 0 ? whippet_with_timeout(task, due, read_errors_once, child)
                        : read_errors_once(task, child);
        child_log_take(task, &child->log);
    } while (count > 0 || count == WHIPPET_E_TIMEOUT);
    if (count == 0)
        child_log_end(task, &child->log);
    give_up(child, count);
    return 0;
}
