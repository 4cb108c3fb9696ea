/* Does what the message's body begins with: dies in one of many ways, blocks the thread it runs on, or is
 * well. Every message that it begins with and ends with is written down, as tests/plugins/record.c does. */
#include <whippet/processor.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const whippet_option options[] = {
    {"path", WHIPPET_OPTION_STRING, NULL, true, "the file to append to"},
    {"release", WHIPPET_OPTION_STRING, "", false, "a file: \"until\" blocks until it is there"},
    {0},
};

struct state {
    int file;
    const char *release;
};

static int setup(const whippet_settings *settings, void **state, whippet_failure *failure)
{
    const char *path = whippet_setting_string(settings, "path");
    struct state *made = calloc(1, sizeof(*made));

    if (!made || (made->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0) {
        whippet_fail(failure, "cannot write %s", path);
        free(made);
        return -1;
    }
    made->release = whippet_setting_string(settings, "release");
    *state = made;
    return 0;
}

static void teardown(void *state)
{
    struct state *made = state;

    close(made->file);
    free(made);
}

static void note(const struct state *state, const whippet_message *message, const char *event)
{
    whippet_bytes id = whippet_message_id(message);
    struct timespec now;
    char line[160];

    clock_gettime(CLOCK_MONOTONIC, &now);
    int length = snprintf(line, sizeof(line), "%s %lld.%06ld %u 1 %.*s\n", event, (long long)now.tv_sec,
                          now.tv_nsec / 1000, whippet_attempt(message), id.len ? (int)id.len : 1,
                          id.len ? (const char *)id.data : "-");
    if (write(state->file, line, (size_t)length) != length) {
        _exit(99);
    }
}

/* The sanitizers are to see a real signal, not what they would say of it beforehand. */
__attribute__((no_sanitize("address", "undefined"), noinline)) static void fault(void)
{
    *(volatile int *)(uintptr_t)16 = 1;
}

__attribute__((no_sanitize("address", "undefined"), noinline)) static int divide(volatile int number,
                                                                                 volatile int by)
{
    return number / by;
}

__attribute__((no_sanitize("address", "undefined"), noinline)) static int dig(volatile int depth)
{
    volatile char hole[1000];

    hole[0] = (char)depth;
    return depth > 0 ? dig(depth + 1) + hole[0] : 0;
}

static bool begins_with(const whippet_message *message, const char *word)
{
    whippet_bytes body = whippet_body(message);
    size_t length = strlen(word);

    return body.len >= length && memcmp(body.data, word, length) == 0;
}

static void until_released(const struct state *state)
{
    while (access(state->release, F_OK) != 0) {
        poll(NULL, 0, 5);
    }
}

static void perform(const struct state *state, const whippet_message *message)
{
    volatile int zero = 0;

    if (begins_with(message, "segfault")) {
        fault();
    } else if (begins_with(message, "abort")) {
        abort();
    } else if (begins_with(message, "divide")) {
        zero = divide(7, zero);
    } else if (begins_with(message, "dig")) {
        zero = dig(1);
    } else if (begins_with(message, "kill")) {
        kill(getpid(), SIGKILL);
    } else if (begins_with(message, "block")) {
        for (;;) {
            poll(NULL, 0, 100);
        }
    } else if (begins_with(message, "until")) {
        until_released(state);
    }
}

static int fault_in_a_thread(void *arg)
{
    (void)arg;
    fault();
    return 0;
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    note(state, message, "begin");
    if (begins_with(message, "wait") && whippet_sleep(task, 0.3) != 0) {
        return WHIPPET_RETRY;
    }
    if (begins_with(message, "offload")) {
        whippet_offload(task, fault_in_a_thread, NULL);
    }
    perform(state, message);
    note(state, message, "end");
    return WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.name = "crash", .version = "1.0", .summary = "dies in many ways", .options = options,
                  .setup = setup, .process = process, .teardown = teardown);
