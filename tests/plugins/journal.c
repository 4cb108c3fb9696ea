/* Writes each verdict down before it returns it: what write(2) has taken outlives the process. The messages
 * are those of client_send_numbered: the id is a number, the body that number filled up with dots. */
#include <whippet/processor.h>

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct journal {
    int file;
    double delay;
    double slow;
    int64_t slow_every;
    int64_t reject_every;
};

static const whippet_option options[] = {
    {"path", WHIPPET_OPTION_STRING, NULL, true, "the file to append to"},
    {"delay", WHIPPET_OPTION_DURATION, "0", false, "how long an attempt sleeps, giving way to others"},
    {"slow_every", WHIPPET_OPTION_INTEGER, "0", false,
     "every so-manieth message sleeps longer, when it is delivered for the first time"},
    {"slow", WHIPPET_OPTION_DURATION, "0", false, "how long that is"},
    {"reject_every", WHIPPET_OPTION_INTEGER, "0", false, "every so-manieth message is rejected"},
    {0},
};

static int setup(const whippet_settings *settings, void **state, whippet_failure *failure)
{
    struct journal *journal = calloc(1, sizeof(*journal));
    const char *path = whippet_setting_string(settings, "path");

    if (!journal) {
        whippet_fail(failure, "out of memory");
        return -1;
    }
    journal->delay = whippet_setting_duration(settings, "delay");
    journal->slow = whippet_setting_duration(settings, "slow");
    journal->slow_every = whippet_setting_integer(settings, "slow_every");
    journal->reject_every = whippet_setting_integer(settings, "reject_every");
    journal->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal->file < 0) {
        whippet_fail(failure, "cannot write %s", path);
        free(journal);
        return -1;
    }
    *state = journal;
    return 0;
}

static void teardown(void *state)
{
    struct journal *journal = state;

    close(journal->file);
    free(journal);
}

/* The message's number; -1 where id and body do not agree. */
static int64_t number_of(const whippet_message *message)
{
    whippet_bytes id = whippet_message_id(message), body = whippet_body(message);
    const char *text = id.data, *rest = body.data;
    int64_t number = 0;

    if (id.len == 0 || id.len > 9 || body.len < id.len || memcmp(id.data, body.data, id.len) != 0) {
        return -1;
    }
    for (size_t i = 0; i < id.len; i++) {
        if (!isdigit((unsigned char)text[i])) {
            return -1;
        }
        number = number * 10 + (text[i] - '0');
    }
    rest += id.len;
    size_t dots = body.len - id.len;
    bool whole = dots == 0 || (rest[0] == '.' && memcmp(rest, rest + 1, dots - 1) == 0);
    return whole ? number : -1;
}

static bool is_every(int64_t number, int64_t every)
{
    return every > 0 && number % every == every - 1;
}

static void note(const struct journal *journal, const char *verdict, int64_t number)
{
    char line[64];
    int length = snprintf(line, sizeof(line), "%s %lld\n", verdict, (long long)number);

    if (write(journal->file, line, (size_t)length) != length) {
        abort();
    }
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    const struct journal *journal = state;
    int64_t number = number_of(message);
    bool slow = is_every(number, journal->slow_every) && !whippet_redelivered(message);
    double pause = slow ? journal->slow : journal->delay;
    int error = pause > 0 ? whippet_sleep(task, pause) : 0;

    if (error < 0) {
        return whippet_retry_later(task, "sleep: %s", whippet_error_text(error));
    }
    if (number < 0) {
        note(journal, "damaged", number);
        return whippet_reject(task, "damaged on its way");
    }
    if (is_every(number, journal->reject_every)) {
        note(journal, "rejected", number);
        return whippet_reject(task, "every %lldth", (long long)journal->reject_every);
    }
    note(journal, "processed", number);
    return WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.name = "journal", .version = "1.0",
                  .summary = "writes down each verdict before it gives it", .options = options,
                  .setup = setup, .process = process, .teardown = teardown);
