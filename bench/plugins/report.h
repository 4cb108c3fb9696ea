/* What the plugins of this folder share: after so many messages, one line of JSON to a file, and SIGTERM to
 * the worker that runs them. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "../measure.h"

#include <signal.h>
#include <unistd.h>
#include <whippet/processor.h>

struct report {
    uint64_t count;   /* messages after which it is written */
    const char *file; /* borrowed from the settings */
    struct measure measure;
};

#define REPORT_OPTIONS                                                                                       \
    {"count", WHIPPET_OPTION_INTEGER, NULL, true, "messages after which the report is written"},             \
    {                                                                                                        \
        "report", WHIPPET_OPTION_STRING, NULL, true, "file that the report is written to"                    \
    }

/* For setup(): makes the state, zeroed, `size` bytes that begin with a struct report; free() is its teardown.
 * 0, or -1 with the failure filled. */
static inline int report_setup(size_t size, const whippet_settings *settings, void **state,
                               whippet_failure *failure)
{
    struct report *report = calloc(1, size);
    if (report == NULL) {
        whippet_fail(failure, "out of memory");
        return -1;
    }
    report->count = (uint64_t)whippet_setting_integer(settings, "count");
    report->file = whippet_setting_string(settings, "report");
    *state = report;
    return 0;
}

/* `more`: as in measure_print. The file appears at once with all that is in it. */
static inline void report_write(const struct report *report, const char *more)
{
    char unfinished[4096];
    snprintf(unfinished, sizeof unfinished, "%s.part", report->file);
    FILE *stream = fopen(unfinished, "w");
    if (stream == NULL)
        return;
    measure_print(&report->measure, more, stream);
    fclose(stream);
    rename(unfinished, report->file);
}

static inline void report_finish(const struct report *report, const char *more)
{
    report_write(report, more);
    kill(getpid(), SIGTERM);
}

#endif
