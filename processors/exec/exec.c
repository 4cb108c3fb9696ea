/* Runs a command for each message. What the command sees and how it answers is in README.md beside this file.
 */
#include "environment.h"
#include "metadata.h"
#include "output.h"
#include "program.h"
#include "variables.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <whippet/processor.h>

static const whippet_option options[] = {
    {
        .name = "command",
        .type = WHIPPET_OPTION_STRINGS,
        .required = true,
        .help = "the program and its arguments, e.g. [\"./send-mail\", \"--quiet\"]; no shell is involved",
    },
    {
        .name = "directory",
        .type = WHIPPET_OPTION_STRING,
        .help = "the folder it runs in; without it, the worker's own",
    },
    {
        .name = "environment",
        .type = WHIPPET_OPTION_MAP,
        .help = "variables added to the worker's own environment",
    },
    {
        .name = "output",
        .type = WHIPPET_OPTION_STRING,
        .default_value = "info",
        .help = "what becomes of its standard output: the level at which it is logged, or \"discard\"",
    },
    {
        .name = "output_limit",
        .type = WHIPPET_OPTION_SIZE,
        .default_value = "64KiB",
        .help = "how much of its output is logged, up to 64MiB; the rest is read and dropped",
    },
    {
        .name = "log_rate",
        .type = WHIPPET_OPTION_INTEGER,
        .default_value = "100",
        .help = "how many lines a second are logged, of all messages; the rest is counted and dropped",
    },
    {.name = NULL},
};

/* Exit statuses that say what is to become of the message; any other but 0 means retry. */
enum {
    STATUS_REJECT = 3,
    STATUS_NACK = 5,
};

enum {
    ERROR_LIMIT = 8192, /* bytes of standard error that are kept */
    REASON_LIMIT = 900, /* bytes of them that go into the reason */
    OUTPUT_LIMIT_MOST = 64 << 20,
};

/* Of one queue. */
struct settings {
    const char *const *command; /* borrowed */
    const char *directory;      /* borrowed; NULL: the worker's own */
    char **environment;         /* owned */
    struct output output;
};

/* --- Settings -------------------------------------------------------------------------------------------*/

static bool read_output(struct output *output, const whippet_settings *given, whippet_failure *failure)
{
    int64_t rate = whippet_setting_integer(given, "log_rate");
    output->limit = whippet_setting_size(given, "output_limit");
    output->rate.most = (unsigned)rate;
    if (output->limit > OUTPUT_LIMIT_MOST) {
        whippet_fail(failure, "output_limit: expected at most 64 MiB, found %zu bytes", output->limit);
        return false;
    }
    if (rate < 1 || rate > UINT32_MAX) {
        whippet_fail(failure, "log_rate: expected a number from 1 to %u, found %lld", UINT32_MAX,
                     (long long)rate);
        return false;
    }
    return output_level_read("output", given, &output->level, failure);
}

static bool read_settings(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    size_t count;
    const char *directory = whippet_setting_string(given, "directory");
    settings->command = whippet_setting_strings(given, "command", &count);
    settings->directory = *directory != '\0' ? directory : NULL;
    if (count == 0) {
        whippet_fail(failure, "command: the list is empty; expected a program and its arguments");
        return false;
    }
    if (!read_output(&settings->output, given, failure) ||
        !program_check(settings->command[0], directory, failure))
        return false;
    settings->environment = environment_create(whippet_setting_strings(given, "environment", NULL), failure);
    return settings->environment != NULL;
}

static int setup(const whippet_settings *given, void **state, whippet_failure *failure)
{
    struct settings *settings = calloc(1, sizeof *settings);
    if (settings == NULL) {
        whippet_fail(failure, "out of memory");
        return -1;
    }
    pthread_mutex_init(&settings->output.lock, NULL);
    if (!read_settings(settings, given, failure)) {
        pthread_mutex_destroy(&settings->output.lock);
        free(settings);
        return -1;
    }
    *state = settings;
    return 0;
}

static void teardown(void *state)
{
    struct settings *settings = state;
    environment_destroy(settings->environment);
    pthread_mutex_destroy(&settings->output.lock);
    free(settings);
}

/* --- Its output -----------------------------------------------------------------------------------------*/

static whippet_bytes without_blanks_at_end(whippet_bytes text)
{
    const char *data = text.data;
    while (text.len > 0 && strchr(" \t\r\n", data[text.len - 1]) != NULL)
        text.len--;
    return text;
}

/* As much of the end as fits a reason, from the beginning of a line where there is one. */
static whippet_bytes last_lines(whippet_bytes text)
{
    text = without_blanks_at_end(text);
    if (text.len <= REASON_LIMIT)
        return text;
    const char *from = (const char *)text.data + text.len - REASON_LIMIT;
    const char *newline = memchr(from, '\n', REASON_LIMIT);
    const char *end = (const char *)text.data + text.len;
    if (newline != NULL)
        from = newline + 1;
    return (whippet_bytes){.data = from, .len = (size_t)(end - from)};
}

/* A NUL would end the text too early wherever it goes. The memory is the task's, and so ours. */
static void replace_nuls(whippet_bytes text)
{
    char *data = (char *)text.data;
    for (size_t i = 0; i < text.len; i++) {
        if (data[i] == '\0')
            data[i] = ' ';
    }
}

/* --- Its end --------------------------------------------------------------------------------------------*/

static whippet_verdict retry_after_signal(whippet_task *task, int number, whippet_bytes lines)
{
    const char *name = sigabbrev_np(number);
    return whippet_retry_later(task, "ended by signal %d (SIG%s)%s%.*s", number, name != NULL ? name : "?",
                               lines.len > 0 ? ": " : "", (int)lines.len, (const char *)lines.data);
}

static whippet_verdict verdict_of(whippet_task *task, const whippet_command_result *result)
{
    whippet_bytes lines = last_lines(result->error);
    if (result->signalled)
        return retry_after_signal(task, result->status, lines);
    if (result->status == 0)
        return WHIPPET_ACK;
    if (result->status == STATUS_REJECT || result->status == STATUS_NACK)
        return whippet_reject(task, "exit status %d%s%.*s", result->status, lines.len > 0 ? ": " : "",
                              (int)lines.len, (const char *)lines.data);
    return whippet_retry_later(task, "exit status %d%s%.*s", result->status, lines.len > 0 ? ": " : "",
                               (int)lines.len, (const char *)lines.data);
}

static void write_metadata(struct json *json, const void *subject)
{
    const whippet_message *message = subject;
    json_open(json, '{');
    metadata_write(json, message);
    json_close(json, '}');
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    struct settings *settings = state;
    whippet_bytes metadata = json_make(task, write_metadata, message);
    const char *const *environment = variables_for_message(task, message, settings->environment);
    whippet_command_result result;
    if (metadata.data == NULL || environment == NULL)
        return whippet_retry_later(task, "out of memory");
    whippet_command command = {
        .arguments = settings->command,
        .environment = environment,
        .directory = settings->directory,
        .input = whippet_body(message),
        .extra_input = metadata,
        .output_limit = settings->output.level.is_logged ? settings->output.limit : 0,
        .error_limit = ERROR_LIMIT,
    };
    int error = whippet_exec(task, &command, &result);
    if (error == WHIPPET_E_SYSTEM)
        return whippet_retry_later(task, "%.*s", (int)result.error.len, (const char *)result.error.data);
    if (error != 0)
        return whippet_retry_later(task, "the command %s was ended: %s", settings->command[0],
                                   whippet_error_text(error));
    replace_nuls(result.output);
    replace_nuls(result.error);
    output_log(task, &settings->output, &result, result.signalled || result.status != 0);
    return verdict_of(task, &result);
}

WHIPPET_PROCESSOR(.name = "exec", .version = "1.0", .summary = "runs a command for each message",
                  .options = options, .setup = setup, .process = process, .teardown = teardown);
