/* Calls the retry helper with its default policy on a callback that never succeeds, and writes down each call
 * as tests/plugins/record.c does. */
#include <whippet/processor.h>

#include <stdio.h>
#include <time.h>

static const whippet_option options[] = {
    {"path", WHIPPET_OPTION_STRING, NULL, true, "the file to append to"},
    {0},
};

struct call {
    FILE *file;
    unsigned count;
};

static int setup(const whippet_settings *settings, void **state, whippet_failure *failure)
{
    const char *path = whippet_setting_string(settings, "path");

    *state = fopen(path, "ae");
    if (!*state) {
        whippet_fail(failure, "cannot write %s", path);
        return -1;
    }
    return 0;
}

static void teardown(void *state)
{
    fclose(state);
}

/* Fails in both ways in turn: an error, and nothing useful. */
static int callback(whippet_task *task, void *arg)
{
    struct call *call = arg;
    struct timespec now;

    (void)task;
    clock_gettime(CLOCK_MONOTONIC, &now);
    fprintf(call->file, "begin %lld.%06ld %u 1 -\n", (long long)now.tv_sec, now.tv_nsec / 1000,
            ++call->count);
    fflush(call->file);
    return call->count % 2 == 0 ? 0 : WHIPPET_E_REFUSED;
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    struct call call = {.file = state};
    int result = whippet_retry(task, NULL, callback, &call);

    (void)message;
    return result < 0 ? whippet_reject(task, "%s", whippet_error_text(result)) : WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.name = "retrying", .version = "1.0", .summary = "tries in vain, through the retry helper",
                  .options = options, .setup = setup, .process = process, .teardown = teardown);
