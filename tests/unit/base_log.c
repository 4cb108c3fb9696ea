#include <base/bytes.h>
#include <base/clock.h>
#include <base/log.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <patience.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <under_valgrind.h>
#include <unistd.h>

enum {
    TIME_LENGTH = sizeof "2026-11-21T09:30:00.250Z" - 1
};

static int reader = -1, writer = -1;
static char text[1 << 20]; /* what take() read last */

static void open_pipe(void)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    reader = ends[0];
    writer = ends[1];
    fcntl(reader, F_SETFL, O_NONBLOCK);
}

static void log_to_pipe(enum whippet_log_level level, enum log_format format)
{
    open_pipe();
    log_configure(writer, level, format);
}

/* All that can be read now. */
static const char *take(void)
{
    size_t length = 0;
    ssize_t count;
    while ((count = read(reader, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)count;
    text[length] = '\0';
    return text;
}

static void assert_line(const char *expected)
{
    const char *line = take();
    cr_assert_gt(strlen(line), TIME_LENGTH, "no line: \"%s\"", line);
    cr_assert_str_eq(line + TIME_LENGTH, expected, "wrote \"%s\", not \"%s\"", line + TIME_LENGTH, expected);
}

static void assert_json(const char *expected)
{
    const char *line = take();
    size_t prefix = strlen("{\"time\":\"") + TIME_LENGTH;
    cr_assert_gt(strlen(line), prefix, "no line: \"%s\"", line);
    cr_assert_str_eq(line + prefix, expected, "wrote \"%s\", not \"%s\"", line + prefix, expected);
}

Test(log, text_has_time_level_and_message)
{
    log_to_pipe(WHIPPET_INFO, LOG_FORMAT_TEXT);
    log_event(WHIPPET_INFO, NULL, "%d queues", 3);
    assert_line(" info  3 queues\n");
    unsigned parts[6];
    int found = sscanf(text, "%4u-%2u-%2uT%2u:%2u:%2u.", &parts[0], &parts[1], &parts[2], &parts[3],
                       &parts[4], &parts[5]);
    cr_assert_eq(found, 6, "no time in \"%s\"", text);
    cr_assert_eq(text[TIME_LENGTH - 1], 'Z');
}

Test(log, text_has_every_field_in_order)
{
    log_to_pipe(WHIPPET_INFO, LOG_FORMAT_TEXT);
    struct log_fields fields = {.queue = "orders",
                                .processor = "log",
                                .message_id = bytes_of("abcdef", 3),
                                .attempt = 2,
                                .duration = 0.25,
                                .has_duration = true,
                                .outcome = "retried",
                                .connection = "consume",
                                .error = "no such host"};
    log_event(WHIPPET_WARNING, &fields, "retry in 3s");
    assert_line(
        " warn  orders[log] connection=consume message-id=abc attempt=2 duration=0.25s outcome=retried "
        "retry in 3s: no such host\n");
}

Test(log, text_leaves_out_what_is_absent)
{
    log_to_pipe(WHIPPET_INFO, LOG_FORMAT_TEXT);
    log_event(WHIPPET_ERROR, &(struct log_fields){.queue = "orders"}, "gone");
    assert_line(" error orders gone\n");
    log_event(WHIPPET_ERROR, &(struct log_fields){.processor = "log"}, "gone");
    assert_line(" error [log] gone\n");
}

Test(log, json_has_every_field_by_name)
{
    log_to_pipe(WHIPPET_DEBUG, LOG_FORMAT_JSON);
    struct log_fields fields = {.queue = "orders",
                                .processor = "log",
                                .message_id = bytes_of("abcdef", 3),
                                .attempt = 2,
                                .duration = 1.5,
                                .has_duration = true,
                                .outcome = "retried",
                                .connection = "consume",
                                .error = "no such host"};
    log_event(WHIPPET_WARNING, &fields, "retry");
    assert_json("\",\"level\":\"warning\",\"message\":\"retry\",\"queue\":\"orders\",\"processor\":\"log\","
                "\"message_id\":\"abc\",\"attempt\":2,\"duration\":1.5,\"outcome\":\"retried\","
                "\"connection\":\"consume\",\"error\":\"no such host\"}\n");
    cr_assert_eq(strncmp(text, "{\"time\":\"2", 10), 0, "begins \"%.20s\"", text);
}

Test(log, json_leaves_out_what_is_absent)
{
    log_to_pipe(WHIPPET_DEBUG, LOG_FORMAT_JSON);
    log_event(WHIPPET_DEBUG, NULL, "x");
    assert_json("\",\"level\":\"debug\",\"message\":\"x\"}\n");
}

Test(log, writes_durations_to_the_microsecond)
{
    static const struct {
        double seconds;
        const char *expected;
    } cases[] = {{0, "0"},         {3, "3"}, {0.000001, "0.000001"}, {61.0625, "61.0625"},
                 {0.9999999, "1"}, {-1, "0"}};
    log_to_pipe(WHIPPET_DEBUG, LOG_FORMAT_JSON);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char expected[100];
        snprintf(expected, sizeof expected, "\",\"level\":\"debug\",\"message\":\"x\",\"duration\":%s}\n",
                 cases[i].expected);
        log_event(WHIPPET_DEBUG, &(struct log_fields){.duration = cases[i].seconds, .has_duration = true},
                  "x");
        assert_json(expected);
    }
}

Test(log, no_control_character_gets_through_in_text)
{
    log_to_pipe(WHIPPET_INFO, LOG_FORMAT_TEXT);
    log_event(WHIPPET_INFO, NULL, "a\nb\rc\td\x1b[31m\x7f\xc2\x9b%c", 1);
    assert_line(" info  a\\nb\\rc\\td\\u001b[31m\\u007f\\u009b\\u0001\n");
}

Test(log, no_field_can_forge_a_line_or_another_field)
{
    log_to_pipe(WHIPPET_INFO, LOG_FORMAT_TEXT);
    struct log_fields fields = {
        .queue = "a\nb", .message_id = bytes_of_text("x attempt=\"7\" \\\n"), .error = "\r"};
    log_event(WHIPPET_INFO, &fields, "y");
    assert_line(" info  a\\nb message-id=\"x attempt=\\\"7\\\" \\\\\\n\" y: \\r\n");
}

Test(log, empty_values_are_shown)
{
    log_to_pipe(WHIPPET_INFO, LOG_FORMAT_TEXT);
    log_event(WHIPPET_INFO, &(struct log_fields){.message_id = bytes_of("", 0)}, "y");
    assert_line(" info  message-id=\"\" y\n");
}

Test(log, invalid_utf8_is_shown_as_bytes_in_text)
{
    log_to_pipe(WHIPPET_INFO, LOG_FORMAT_TEXT);
    log_event(WHIPPET_INFO, NULL, "caf\xe9 café \xed\xa0\x80");
    assert_line(" info  caf\\xe9 café \\xed\\xa0\\x80\n");
}

Test(log, invalid_utf8_becomes_the_replacement_character_in_json)
{
    log_to_pipe(WHIPPET_INFO, LOG_FORMAT_JSON);
    log_event(WHIPPET_INFO, NULL, "caf\xe9 \"café\" \\ \n\x01 \xe2\x82");
    assert_json("\",\"level\":\"info\",\"message\":\"caf\xef\xbf\xbd \\\"café\\\" \\\\ \\n\\u0001 "
                "\xef\xbf\xbd\xef\xbf\xbd\"}\n");
}

Test(log, long_texts_are_cut_with_an_ellipsis)
{
    static char message[20000], error[5000], id[300];
    memset(message, 'm', sizeof message - 1);
    memset(error, 'e', sizeof error - 1);
    memset(id, 'i', sizeof id);
    log_to_pipe(WHIPPET_INFO, LOG_FORMAT_TEXT);
    log_event(WHIPPET_INFO, &(struct log_fields){.message_id = bytes_of(id, sizeof id), .error = error}, "%s",
              message);
    const char *line = take();
    size_t expected = TIME_LENGTH + strlen(" info  message-id=") + 255 + 3 + 1 + 8192 + 3 + 2 + 2048 + 3 + 1;
    cr_assert_eq(strlen(line), expected, "%zu bytes, not %zu", strlen(line), expected);
    cr_assert_str_eq(line + expected - 5, "e…\n");
}

Test(log, the_worst_line_there_can_be_fits)
{
    static char controls[20000], id[300];
    memset(controls, 1, sizeof controls - 1);
    memset(id, 1, sizeof id);
    struct log_fields fields = {.queue = controls,
                                .processor = controls,
                                .message_id = bytes_of(id, sizeof id),
                                .attempt = ~0u,
                                .duration = 1e300,
                                .has_duration = true,
                                .outcome = controls,
                                .connection = controls,
                                .error = controls};
    for (enum log_format format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
        FILE *file = tmpfile();
        log_configure(fileno(file), WHIPPET_INFO, format);
        log_event(WHIPPET_INFO, &fields, "%s", controls);
        off_t size = lseek(fileno(file), 0, SEEK_END);
        cr_assert_gt(size, 60000, "wrote %lld bytes", (long long)size);
        fclose(file);
    }
}

Test(log, levels_below_the_configured_one_are_left_out)
{
    log_to_pipe(WHIPPET_WARNING, LOG_FORMAT_TEXT);
    cr_assert_not(log_enabled(WHIPPET_DEBUG));
    cr_assert_not(log_enabled(WHIPPET_INFO));
    cr_assert(log_enabled(WHIPPET_WARNING));
    cr_assert(log_enabled(WHIPPET_ERROR));
    log_event(WHIPPET_INFO, NULL, "unseen");
    cr_assert_str_empty(take());
}

Test(log, a_level_that_does_not_exist_is_written_as_an_error)
{
    log_to_pipe(WHIPPET_INFO, LOG_FORMAT_TEXT);
    log_event((enum whippet_log_level)77, NULL, "odd");
    assert_line(" error odd\n");
}

Test(log, level_names_are_parsed_in_any_case)
{
    enum whippet_log_level level = WHIPPET_ERROR;
    cr_assert(log_level_parse("debug", &level) && level == WHIPPET_DEBUG);
    cr_assert(log_level_parse("INFO", &level) && level == WHIPPET_INFO);
    cr_assert(log_level_parse("warn", &level) && level == WHIPPET_WARNING);
    cr_assert(log_level_parse("Warning", &level) && level == WHIPPET_WARNING);
    cr_assert(log_level_parse("error", &level) && level == WHIPPET_ERROR);
    cr_assert_not(log_level_parse("verbose", &level));
    cr_assert_not(log_level_parse("", &level));
    cr_assert_not(log_level_parse(NULL, &level));
    cr_assert_eq(level, WHIPPET_ERROR);
}

Test(log, errno_is_left_alone)
{
    log_configure(-1, WHIPPET_INFO, LOG_FORMAT_TEXT);
    errno = ENOENT;
    log_event(WHIPPET_INFO, NULL, "to nowhere");
    cr_assert_eq(errno, ENOENT, "errno is %d", errno);
}

Test(log, a_reader_that_is_gone_does_not_end_the_process)
{
    signal(SIGPIPE, SIG_DFL);
    log_to_pipe(WHIPPET_INFO, LOG_FORMAT_TEXT);
    close(reader);
    for (int i = 0; i < 3; i++)
        log_event(WHIPPET_INFO, NULL, "nobody hears this");
    sigset_t pending;
    sigpending(&pending);
    cr_assert_not(sigismember(&pending, SIGPIPE));
}

Test(log, a_socket_whose_reader_is_gone_does_not_end_the_process)
{
    int ends[2];
    signal(SIGPIPE, SIG_DFL);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    log_configure(ends[0], WHIPPET_INFO, LOG_FORMAT_TEXT);
    close(ends[1]);
    log_event(WHIPPET_INFO, NULL, "nobody hears this");
}

static void assert_whole_lines(const char *lines)
{
    for (const char *line = lines; *line != '\0'; line = strchr(line, '\n') + 1) {
        cr_assert_not_null(strchr(line, '\n'), "a cut line \"%.80s\"", line);
        cr_assert_eq(line[4], '-', "a line begins \"%.80s\"", line);
    }
}

/* Logs into a descriptor that nobody reads until it is full; then, once it is read, finds the loss reported.
 */
static void assert_losses_are_reported(void)
{
    double before = clock_monotonic();
    for (int i = 0; i < 100000; i++)
        log_event(WHIPPET_INFO, NULL, "line %d", i);
    double took = clock_monotonic() - before;
    cr_assert_lt(took, patience_stretched(30), "took %f s", took);
    assert_whole_lines(take());
    log_event(WHIPPET_INFO, NULL, "heard again");
    const char *lines = take();
    unsigned long lost = 0;
    cr_assert_not_null(strstr(lines, "log lines lost here"), "wrote \"%s\"", lines);
    cr_assert_eq(sscanf(lines + TIME_LENGTH, " warn  %lu", &lost), 1);
    cr_assert_gt(lost, 90000, "%lu lost", lost);
    cr_assert_not_null(strstr(lines, " info  heard again\n"), "wrote \"%s\"", lines);
}

Test(log, a_pipe_that_nobody_reads_loses_lines_and_says_so)
{
    skip_under_valgrind("a hundred thousand lines take it minutes");
    log_to_pipe(WHIPPET_INFO, LOG_FORMAT_TEXT);
    assert_losses_are_reported();
}

Test(log, a_socket_that_nobody_reads_loses_lines_and_says_so)
{
    skip_under_valgrind("a hundred thousand lines take it minutes");
    int ends[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    reader = ends[0];
    fcntl(reader, F_SETFL, O_NONBLOCK);
    log_configure(ends[1], WHIPPET_INFO, LOG_FORMAT_TEXT);
    double before = clock_monotonic();
    for (int i = 0; i < 100000; i++)
        log_event(WHIPPET_INFO, NULL, "line %d", i);
    cr_assert_lt(clock_monotonic() - before, patience_stretched(30));
    assert_whole_lines(take());
    log_event(WHIPPET_INFO, NULL, "heard again");
    cr_assert_not_null(strstr(take(), "lost here"));
}

Test(log, standard_error_as_it_was_given_never_blocks_either)
{
    open_pipe();
    dup2(writer, STDERR_FILENO);
    for (int i = 0; i < 100000; i++)
        log_event(WHIPPET_INFO, NULL, "line %d", i);
    assert_whole_lines(take());
}

Test(log, the_flags_of_a_shared_pipe_stay_as_they_were)
{
    log_to_pipe(WHIPPET_INFO, LOG_FORMAT_TEXT);
    log_event(WHIPPET_INFO, NULL, "x");
    cr_assert_not(fcntl(writer, F_GETFL) & O_NONBLOCK);
}

Test(log, a_line_that_was_cut_is_ended_before_the_next)
{
    static char filler[65536], message[8000];
    log_to_pipe(WHIPPET_INFO, LOG_FORMAT_TEXT);
    cr_assert_eq(fcntl(writer, F_SETPIPE_SZ, 65536), 65536);
    /* Leaves one page, so that of a longer line one page is taken and the rest is not. */
    cr_assert_eq(write(writer, filler, sizeof filler - 4096), (ssize_t)sizeof filler - 4096);
    memset(message, 'm', sizeof message - 1);
    log_event(WHIPPET_INFO, NULL, "%s", message);
    memset(text, 0, sizeof text);
    cr_assert_eq(read(reader, text, sizeof filler - 4096), (ssize_t)sizeof filler - 4096);
    cr_assert_eq(strlen(take()), 4096, "%zu bytes", strlen(text));
    log_event(WHIPPET_INFO, NULL, "next");
    const char *lines = take();
    cr_assert_eq(lines[0], '\n', "begins \"%.20s\"", lines);
    assert_whole_lines(lines + 1);
    cr_assert_not_null(strstr(lines, "1 log line lost here"), "wrote \"%s\"", lines);
}

Test(log, a_full_disk_is_survived)
{
    int full = open("/dev/full", O_WRONLY);
    cr_assert_geq(full, 0);
    log_configure(full, WHIPPET_INFO, LOG_FORMAT_JSON);
    log_event(WHIPPET_INFO, NULL, "x");
    log_to_pipe(WHIPPET_INFO, LOG_FORMAT_TEXT);
    log_event(WHIPPET_INFO, NULL, "y");
    assert_line(" info  y\n");
}

enum {
    THREADS = 4,
    LINES_EACH = 200
};

static void *log_lines(void *name)
{
    for (int i = 0; i < LINES_EACH; i++)
        log_event(WHIPPET_INFO, &(struct log_fields){.queue = name}, "line %d of a thread", i);
    return NULL;
}

Test(log, lines_of_threads_never_mix)
{
    static char names[THREADS][2] = {"a", "b", "c", "d"};
    pthread_t threads[THREADS];
    log_to_pipe(WHIPPET_INFO, LOG_FORMAT_TEXT);
    cr_assert_gt(fcntl(writer, F_SETPIPE_SZ, 1 << 20), 0);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, log_lines, names[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    int count = 0;
    const char *lines = take();
    assert_whole_lines(lines);
    for (const char *line = lines; *line != '\0'; line = strchr(line, '\n') + 1) {
        int number;
        char name;
        cr_assert_eq(sscanf(line + TIME_LENGTH, " info  %c line %d of a thread\n", &name, &number), 2,
                     "\"%.60s\"", line);
        count++;
    }
    cr_assert_eq(count, THREADS * LINES_EACH, "%d lines", count);
}
