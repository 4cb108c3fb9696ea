#include "worker.h"

#include "command.h"
#include "stage.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WORKERS = 256,
    PATH_SIZE = 320,
    LINES_SHOWN = 100
};

struct worker {
    pid_t pid;
    bool ended;
    int status;       /* once ended */
    bool as_expected; /* it ended, and as the test wanted */
    const char *configuration;
    const char *log;
};

static struct worker workers[WORKERS];
static unsigned worker_count;
static const char *const *prefix;

/* Writes JSON with ' for ". */
static void write_json(FILE *file, const char *text)
{
    for (; *text; text++) {
        fputc(*text == '\'' ? '"' : *text, file);
    }
}

static void write_configuration(const char *path, const char *options, const char *queues)
{
    FILE *file = fopen(path, "we");

    cr_assert_not_null(file, "cannot write %s: %s", path, strerror(errno));
    fputs("{\n", file);
    if (!strstr(options, "'amqp'")) {
        fprintf(file,
                "\"amqp\": {\"url\": \"%s\", \"reconnect\": {\"min\": \"100ms\", \"max\": \"500ms\"}},\n",
                stage_broker()->url);
    }
    fprintf(file, "%s\"processor_path\": \"%s\",\n",
            strstr(options, "'admin'") ? "" : "\"admin\": {\"listen\": \"off\"}, ",
            getenv("WHIPPET_TEST_PLUGINS"));
    write_json(file, options);
    fputs(options[0] ? ",\n\"queues\": " : "\"queues\": ", file);
    write_json(file, queues);
    fputs("\n}\n", file);
    fclose(file);
}

static const char *numbered(const char *word)
{
    char name[32];

    snprintf(name, sizeof(name), "%s.%u", word, worker_count);
    return stage_path(name);
}

void worker_run_by(const char *const *words)
{
    prefix = words;
}

static pid_t launch(const char *program, const char *configuration, int log)
{
    const char *arguments[16] = {NULL};
    unsigned count = 0;

    while (prefix && prefix[count]) {
        cr_assert_lt(count, 8, "too long a prefix");
        arguments[count] = prefix[count];
        count++;
    }
    arguments[count++] = program;
    arguments[count++] = "run";
    arguments[count++] = "-c";
    arguments[count] = configuration;
    return command_start(arguments, -1, log, log);
}

static void run(struct worker *worker)
{
    const char *program = getenv("WHIPPET_PROGRAM");
    int log = open(worker->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    cr_assert_geq(log, 0, "cannot write %s: %s", worker->log, strerror(errno));
    cr_assert_not_null(program, "WHIPPET_PROGRAM is not set; ctest sets it");
    worker->pid = launch(program, worker->configuration, log);
    worker->ended = false;
    worker->as_expected = false;
    close(log);
}

void worker_start_again(struct worker *worker)
{
    cr_assert(!worker_runs(worker), "the worker runs still");
    run(worker);
}

const char *worker_configuration(const struct worker *worker)
{
    return worker->configuration;
}

struct worker *worker_start(const char *options, const char *queues, ...)
{
    struct worker *worker = &workers[worker_count];
    char *text;
    va_list list;

    cr_assert_lt(worker_count, WORKERS, "a test with more than %d workers", WORKERS);
    va_start(list, queues);
    cr_assert_geq(vasprintf(&text, queues, list), 0, "out of memory");
    va_end(list);
    worker->configuration = numbered("whippet.json");
    worker->log = numbered("stderr");
    write_configuration(worker->configuration, options, text);
    free(text);
    run(worker);
    worker_count++;
    return worker;
}

__attribute__((format(printf, 3, 0))) static void configure(const struct worker *worker, const char *options,
                                                            const char *queues, va_list list)
{
    char *text;

    cr_assert_geq(vasprintf(&text, queues, list), 0, "out of memory");
    write_configuration(worker->configuration, options, text);
    free(text);
}

void worker_configure(struct worker *worker, const char *options, const char *queues, ...)
{
    va_list list;

    va_start(list, queues);
    configure(worker, options, queues, list);
    va_end(list);
}

void worker_reload(struct worker *worker, const char *options, const char *queues, ...)
{
    unsigned before = worker_said(worker, " unchanged, ");
    va_list list;

    va_start(list, queues);
    configure(worker, options, queues, list);
    va_end(list);
    worker_signal(worker, SIGHUP);
    await(10, worker_said(worker, " unchanged, ") > before || !worker_runs(worker), "the reload");
    cr_assert(worker_runs(worker), "the worker ended with %d", worker->status);
}

bool worker_runs(struct worker *worker)
{
    if (!worker->ended) {
        worker->ended = command_ended(worker->pid, &worker->status);
    }
    return !worker->ended;
}

void worker_await_consuming(struct worker *worker, const char *queue)
{
    await(30, client_consumers(stage_client(), queue) > 0 || !worker_runs(worker), "a consumer on %s", queue);
    cr_assert(worker_runs(worker), "the worker ended with %d before it consumed from %s", worker->status,
              queue);
}

/* Whether a line of the log holds counters, and then fills them in. */
static bool read_counts(const char *line, struct worker_counts *counts)
{
    const char *start = strstr(line, "consumed ");

    return start && sscanf(start,
                           "consumed %lu = acked %lu + retried %lu + dead-lettered %lu + discarded %lu + "
                           "returned %lu + in flight %lu",
                           &counts->consumed, &counts->acked, &counts->retried, &counts->dead_lettered,
                           &counts->discarded, &counts->returned, &counts->in_flight) == 7;
}

static FILE *open_log(const struct worker *worker)
{
    FILE *file = fopen(worker->log, "re");

    cr_assert_not_null(file, "cannot read %s: %s", worker->log, strerror(errno));
    return file;
}

static void assert_counts_add_up(const struct worker *worker)
{
    FILE *file = open_log(worker);
    struct worker_counts counts;
    char *line = NULL;
    size_t size = 0;
    unsigned lines = 0;

    while (getline(&line, &size, file) > 0) {
        if (read_counts(line, &counts)) {
            unsigned long sum = counts.acked + counts.retried + counts.dead_lettered + counts.discarded +
                                counts.returned + counts.in_flight;
            cr_assert_eq(sum, counts.consumed, "the counters do not add up: %s", line);
            cr_assert_eq(counts.in_flight, 0, "something is in flight at the end: %s", line);
            lines++;
        }
    }
    cr_assert_gt(lines, 0, "the worker printed no counters at its end");
    free(line);
    fclose(file);
}

static void add_counts(struct worker_counts *sum, const struct worker_counts *counts)
{
    sum->consumed += counts->consumed;
    sum->acked += counts->acked;
    sum->retried += counts->retried;
    sum->dead_lettered += counts->dead_lettered;
    sum->discarded += counts->discarded;
    sum->returned += counts->returned;
    sum->in_flight += counts->in_flight;
}

struct worker_counts worker_counts(const struct worker *worker, const char *queue)
{
    FILE *file = open_log(worker);
    struct worker_counts sum = {0}, counts;
    char *line = NULL;
    size_t size = 0;
    bool found = false;

    while (getline(&line, &size, file) > 0) {
        if (strstr(line, queue) && read_counts(line, &counts)) {
            add_counts(&sum, &counts);
            found = true;
        }
    }
    free(line);
    fclose(file);
    cr_assert(found, "the worker printed no counters of %s", queue);
    return sum;
}

struct worker_counts workers_counts(void)
{
    struct worker_counts sum = {0}, counts;

    for (unsigned i = 0; i < worker_count; i++) {
        FILE *file = open_log(&workers[i]);
        char *line = NULL;
        size_t size = 0;
        while (getline(&line, &size, file) > 0) {
            if (read_counts(line, &counts)) {
                add_counts(&sum, &counts);
            }
        }
        free(line);
        fclose(file);
    }
    return sum;
}

void worker_await_end(struct worker *worker, double seconds, int expected)
{
    await(seconds, !worker_runs(worker), "the end of the worker");
    cr_assert(expected == WORKER_ANY_STATUS || worker->status == expected, "the worker ended with %d, not %d",
              worker->status, expected);
    if (worker->status == 0) {
        assert_counts_add_up(worker);
    }
    worker->as_expected = true;
}

void worker_stop(struct worker *worker, double seconds)
{
    worker_signal(worker, SIGTERM);
    worker_await_end(worker, seconds, 0);
}

void worker_signal(struct worker *worker, int signal_number)
{
    cr_assert(worker_runs(worker), "the worker has ended by itself, with %d", worker->status);
    kill(worker->pid, signal_number);
}

pid_t worker_pid(const struct worker *worker)
{
    return worker->pid;
}

unsigned worker_said(const struct worker *worker, const char *text)
{
    FILE *file = open_log(worker);
    char *line = NULL;
    size_t size = 0;
    unsigned count = 0;

    while (getline(&line, &size, file) > 0) {
        count += strstr(line, text) != NULL;
    }
    free(line);
    fclose(file);
    return count;
}

static unsigned first_line_with(const struct worker *worker, const char *text)
{
    FILE *file = open_log(worker);
    char *line = NULL;
    size_t size = 0;
    unsigned number = 0, found = 0;

    while (!found && getline(&line, &size, file) > 0) {
        number++;
        found = strstr(line, text) ? number : 0;
    }
    free(line);
    fclose(file);
    cr_assert_gt(found, 0, "no log line with \"%s\"", text);
    return found;
}

bool worker_said_before(const struct worker *worker, const char *text, const char *other)
{
    return first_line_with(worker, text) < first_line_with(worker, other);
}

unsigned worker_number_behind(const struct worker *worker, const char *text)
{
    FILE *file = open_log(worker);
    char *line = NULL;
    size_t size = 0;
    bool found = false;
    unsigned number = 0;

    while (getline(&line, &size, file) > 0) {
        const char *place = strstr(line, text);
        if (place) {
            found = true;
            number = (unsigned)strtoul(place + strlen(text), NULL, 10);
        }
    }
    free(line);
    fclose(file);
    cr_assert(found, "no log line with \"%s\"", text);
    return number;
}

void worker_await_saying(struct worker *worker, double seconds, const char *text)
{
    double deadline = patience_deadline(seconds);

    while (worker_said(worker, text) == 0) {
        bool over = !worker_runs(worker) || patience_now() > deadline;
        if (over && worker_said(worker, text) == 0) {
            worker->as_expected = false;
            cr_assert_fail("waited in vain for a log line with \"%s\"", text);
        }
        patience_pause();
    }
}

/* The number after `name` in a file of /proc such as status; 0 when it is not there. */
static uint64_t proc_number(const char *path, const char *name)
{
    FILE *file = fopen(path, "re");
    char line[256];
    uint64_t number = 0;

    while (file && fgets(line, sizeof(line), file)) {
        if (strncmp(line, name, strlen(name)) == 0) {
            number = strtoull(line + strlen(name), NULL, 10);
        }
    }
    if (file) {
        fclose(file);
    }
    return number;
}

uint64_t worker_switches(const struct worker *worker)
{
    char path[PATH_SIZE + 32];
    uint64_t sum = 0;
    DIR *threads;

    snprintf(path, sizeof(path), "/proc/%d/task", worker->pid);
    threads = opendir(path);
    cr_assert_not_null(threads, "cannot read %s: %s", path, strerror(errno));
    for (struct dirent *thread; (thread = readdir(threads)) != NULL;) {
        snprintf(path, sizeof(path), "/proc/%d/task/%s/status", worker->pid, thread->d_name);
        sum += proc_number(path, "voluntary_ctxt_switches:");
    }
    closedir(threads);
    return sum;
}

/* The number before the last " in flight" that is none of a summary's; `count` takes how many there are. */
static unsigned long last_in_flight(const struct worker *worker, unsigned *count)
{
    FILE *file = open_log(worker);
    char *line = NULL;
    size_t size = 0;
    unsigned long found = 0;

    *count = 0;
    while (getline(&line, &size, file) > 0) {
        char *words = strstr(line, " in flight");
        if (!words || strstr(line, "stopping") || strstr(line, "consumed ") || !strchr("\"\n", words[10])) {
            continue;
        }
        while (words > line && words[-1] >= '0' && words[-1] <= '9') {
            words--;
        }
        found = strtoul(words, NULL, 10);
        ++*count;
    }
    free(line);
    fclose(file);
    return found;
}

unsigned long worker_in_flight(struct worker *worker)
{
    unsigned before, now;
    unsigned long found;

    last_in_flight(worker, &before);
    worker_signal(worker, SIGUSR1);
    await(10, (found = last_in_flight(worker, &now), now > before) || !worker_runs(worker),
          "an answer to SIGUSR1");
    return found;
}

static unsigned count_entries(const struct worker *worker, const char *folder)
{
    char path[64];
    unsigned count = 0;
    DIR *entries;

    snprintf(path, sizeof(path), "/proc/%d/%s", worker->pid, folder);
    entries = opendir(path);
    cr_assert_not_null(entries, "cannot read %s: %s", path, strerror(errno));
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    closedir(entries);
    return count;
}

struct worker_holdings worker_holdings(const struct worker *worker)
{
    struct worker_holdings holdings = {
        .descriptors = count_entries(worker, "fd"),
        .threads = count_entries(worker, "task"),
        .mappings = count_entries(worker, "map_files"),
    };

    return holdings;
}

static uint64_t memory_figure(const struct worker *worker, const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/status", worker->pid);
    return proc_number(path, name) * 1024;
}

bool worker_is_traced(void)
{
    const char *sanitizers = getenv("WHIPPET_TEST_SANITIZE");

    return sanitizers && strstr(sanitizers, "thread");
}

uint64_t worker_memory(const struct worker *worker)
{
    return memory_figure(worker, "VmRSS:");
}

uint64_t worker_memory_peak(const struct worker *worker)
{
    return memory_figure(worker, "VmHWM:");
}

static void show_log(const struct worker *worker)
{
    char shown[16];
    const char *arguments[] = {"tail", "-n", shown, worker->log, NULL};

    snprintf(shown, sizeof(shown), "%d", LINES_SHOWN);
    fprintf(stderr, "---- the end of what the worker wrote:\n");
    command_wait(command_start(arguments, -1, STDERR_FILENO, -1));
    fprintf(stderr, "----\n");
}

void workers_end(void)
{
    for (unsigned i = 0; i < worker_count; i++) {
        if (worker_runs(&workers[i])) {
            kill(workers[i].pid, SIGKILL);
            command_wait(workers[i].pid);
        }
        if (!workers[i].as_expected) {
            show_log(&workers[i]);
        }
    }
}
