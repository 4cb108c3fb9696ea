/* Writes one line when an attempt begins and one when it ends, and otherwise behaves as its settings say. */
#include <whippet/processor.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef RECORD_VERSION
#define RECORD_VERSION "" /* record2.c is the same program in a later version */
#endif

struct recorder {
    int file;
    double delay;
    double block;
    const char *hold;
    int64_t fail_attempts;
    whippet_verdict verdict;
    const char *reason;
    bool origin;
    unsigned running; /* attempts inside process() now */
};

static const whippet_option options[] = {
    {"path", WHIPPET_OPTION_STRING, NULL, true, "the file to append to"},
    {"delay", WHIPPET_OPTION_DURATION, "0", false, "how long an attempt sleeps, giving way to others"},
    {"block", WHIPPET_OPTION_DURATION, "0", false, "how long an attempt holds up the thread it runs on"},
    {"hold", WHIPPET_OPTION_STRING, "", false, "an attempt lasts as long as this file is there"},
    {"verdict", WHIPPET_OPTION_STRING, "ack", false, "ack, retry, reject, or nothing"},
    {"reason", WHIPPET_OPTION_STRING, "told to", false, "why it retries or rejects"},
    {"fail_attempts", WHIPPET_OPTION_INTEGER, "0", false, "retry this many attempts of each message first"},
    {"origin", WHIPPET_OPTION_BOOLEAN, "false", false,
     "log the exchange and the routing key of each attempt"},
    {0},
};

static bool read_verdict(const char *text, whippet_verdict *verdict)
{
    static const struct {
        const char *text;
        int verdict;
    } known[] = {{"ack", WHIPPET_ACK}, {"retry", WHIPPET_RETRY}, {"reject", WHIPPET_REJECT}, {"nothing", 0}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(text, known[i].text) == 0) {
            *verdict = (whippet_verdict)known[i].verdict;
            return true;
        }
    }
    return false;
}

static int setup(const whippet_settings *settings, void **state, whippet_failure *failure)
{
    struct recorder *recorder = calloc(1, sizeof(*recorder));
    const char *path = whippet_setting_string(settings, "path");

    if (!recorder) {
        whippet_fail(failure, "out of memory");
        return -1;
    }
    recorder->delay = whippet_setting_duration(settings, "delay");
    recorder->block = whippet_setting_duration(settings, "block");
    recorder->hold = whippet_setting_string(settings, "hold");
    recorder->fail_attempts = whippet_setting_integer(settings, "fail_attempts");
    recorder->reason = whippet_setting_string(settings, "reason");
    recorder->origin = whippet_setting_boolean(settings, "origin");
    recorder->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (recorder->file < 0 ||
        !read_verdict(whippet_setting_string(settings, "verdict"), &recorder->verdict)) {
        whippet_fail(failure, "cannot write %s, or the verdict is none of ack, retry, reject, nothing", path);
        free(recorder);
        return -1;
    }
    *state = recorder;
    return 0;
}

static void teardown(void *state)
{
    struct recorder *recorder = state;

    if (write(recorder->file, "gone" RECORD_VERSION " 0 0 0 -\n",
              sizeof("gone" RECORD_VERSION " 0 0 0 -\n") - 1) < 0) {
        abort();
    }
    close(recorder->file);
    free(recorder);
}

static void note(struct recorder *recorder, const whippet_message *message, const char *event)
{
    whippet_bytes id = whippet_message_id(message);
    struct timespec now;
    char line[160];

    clock_gettime(CLOCK_MONOTONIC, &now);
    int length = snprintf(line, sizeof(line), "%s %lld.%06ld %u %u %.*s\n", event, (long long)now.tv_sec,
                          now.tv_nsec / 1000, whippet_attempt(message), recorder->running,
                          id.len ? (int)id.len : 1, id.len ? (const char *)id.data : "-");
    if (write(recorder->file, line, (size_t)length) != length) {
        abort();
    }
}

/* The watchdog's signal ends a pause early, not this one. */
static void block(double seconds)
{
    struct timespec rest = {.tv_sec = (time_t)seconds};

    rest.tv_nsec = (long)((seconds - (double)rest.tv_sec) * 1e9);
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {
    }
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    struct recorder *recorder = state;
    int error = 0;

    recorder->running++;
    note(recorder, message, "begin" RECORD_VERSION);
    if (recorder->origin) {
        whippet_bytes exchange = whippet_exchange(message), key = whippet_routing_key(message);
        whippet_log(task, WHIPPET_INFO, "attempt %u came from %.*s with %.*s", whippet_attempt(message),
                    (int)exchange.len, (const char *)exchange.data, (int)key.len, (const char *)key.data);
    }
    if (recorder->delay > 0) {
        error = whippet_sleep(task, recorder->delay);
    }
    while (error >= 0 && recorder->hold[0] && access(recorder->hold, F_OK) == 0) {
        error = whippet_sleep(task, 0.02);
    }
    if (recorder->block > 0) {
        block(recorder->block);
    }
    note(recorder, message, error < 0 ? "cut" RECORD_VERSION : "end" RECORD_VERSION);
    recorder->running--;
    if (error < 0) {
        return whippet_retry_later(task, "sleep: %s", whippet_error_text(error));
    }
    if (whippet_attempt(message) <= recorder->fail_attempts || recorder->verdict == WHIPPET_RETRY) {
        return whippet_retry_later(task, "%s", recorder->reason);
    }
    return recorder->verdict == WHIPPET_REJECT ? whippet_reject(task, "%s", recorder->reason)
                                               : recorder->verdict;
}

WHIPPET_PROCESSOR(.name = "record", .version = "1.0", .summary = "writes down each attempt",
                  .options = options, .setup = setup, .process = process, .teardown = teardown);
