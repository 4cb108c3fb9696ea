/* A background() that numbers its attempts: each asks through a channel, and awaits its number at an event.
 *
 *   leave     has background() end, with an error
 *   stick     has it come to no await any more
 *   anything  is acked when its number is there, and rejected when it is none
 * What comes and goes is noted in the file that the settings name. */
#include <whippet/processor.h>

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct question {
    whippet_event *answered;
    int number; /* 0: none yet */
};

static struct question stick;

struct state {
    int file;
    bool stays;
    whippet_channel *questions;
    int count;
};

static const whippet_option options[] = {
    {"path", WHIPPET_OPTION_STRING, NULL, true, "the file to append to"},
    {"stays", WHIPPET_OPTION_BOOLEAN, "false", false, "whether background() stays when it is to end"},
    {0},
};

static void note(const struct state *state, const char *line)
{
    if (write(state->file, line, strlen(line)) < 0)
        abort();
}

static int setup(const whippet_settings *settings, void **state_out, whippet_failure *failure)
{
    struct state *state = calloc(1, sizeof *state);
    state->questions = whippet_channel_create(4);
    state->stays = whippet_setting_boolean(settings, "stays");
    state->file =
        open(whippet_setting_string(settings, "path"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    *state_out = state;
    if (state->file >= 0)
        return 0;
    whippet_fail(failure, "path: can't be opened");
    return -1;
}

static void teardown(void *arg)
{
    struct state *state = arg;
    note(state, "down 0 0 0 -\n");
    close(state->file);
    whippet_channel_destroy(state->questions);
    free(state);
}

static int say_goodbye(whippet_task *task, void *arg)
{
    int error = whippet_sleep(task, 0.05);
    if (error == 0)
        note(arg, "end 0 0 0 -\n");
    return error;
}

static int stay(whippet_task *task, void *arg)
{
    (void)arg;
    return whippet_sleep(task, 1000);
}

static int answer_questions(whippet_task *task, void *arg)
{
    struct state *state = arg;
    void *item;
    int error;
    while ((error = whippet_channel_get(task, state->questions, &item)) == 0) {
        struct question *question = item;
        if (question == NULL)
            return WHIPPET_E_UNAVAILABLE;
        while (question == &stick)
            poll(NULL, 0, 1000);
        question->number = ++state->count;
        whippet_event_set(question->answered);
    }
    return error;
}

static int background(whippet_task *task, void *arg)
{
    struct state *state = arg;
    note(state, "begin 0 0 0 -\n");
    whippet_log(task, WHIPPET_INFO, "in the background");
    int result = answer_questions(task, arg);
    if (result != WHIPPET_E_UNAVAILABLE)
        whippet_shield(task, state->stays ? stay : say_goodbye, state);
    return result;
}

static whippet_verdict acknowledge(const struct state *state)
{
    note(state, "done 0 0 0 -\n");
    return WHIPPET_ACK;
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *arg)
{
    struct state *state = arg;
    struct question question = {.answered = whippet_event_create()};
    whippet_bytes body = whippet_body(message);
    if (body.len == 5 && memcmp(body.data, "leave", 5) == 0) {
        whippet_event_destroy(question.answered);
        return whippet_channel_put(task, state->questions, NULL) == 0 ? acknowledge(state) : WHIPPET_RETRY;
    }
    if (body.len == 5 && memcmp(body.data, "stick", 5) == 0) {
        whippet_event_destroy(question.answered);
        return whippet_channel_put(task, state->questions, &stick) == 0 ? acknowledge(state) : WHIPPET_RETRY;
    }
    int error = whippet_channel_put(task, state->questions, &question);
    if (error == 0)
        error = whippet_event_wait(task, question.answered);
    whippet_event_destroy(question.answered);
    if (error != 0)
        return whippet_retry_later(task, "asking: %s", whippet_error_text(error));
    return question.number > 0 ? acknowledge(state) : whippet_reject(task, "it has no number");
}

WHIPPET_PROCESSOR(.name = "background", .version = "1.0", .summary = "numbers messages", .options = options,
                  .setup = setup, .process = process, .teardown = teardown, .background = background);
