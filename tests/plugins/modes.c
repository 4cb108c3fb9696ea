/* Does what the message's body says, and notes each attempt as the `record` processor does: for the tests of
 * run modes, whose point is that one and the same plugin runs in all of them.
 *
 *   awaits         goes through every await of the SDK, and rejects with the name of the first that fails;
 *                  "awaits blocking" blocks in between, too
 *   sleep MS       awaits
 *   block MS       holds up whatever it runs on
 *   spin           never comes back, whatever it is told
 *   segv, exit     takes its process down: always, or with a number only in so many attempts
 *   publish QUEUE  publishes the body's size and sum to the queue, as every message with reply-to does there
 *   scribble       writes into whatever sockets it finds, as a library with a bug would
 * Anything else is acked, after the time that the settings say. */
#include <whippet/processor.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct modes {
    int file;
    double delay;
};

static const whippet_option options[] = {
    {"path", WHIPPET_OPTION_STRING, NULL, true, "the file to append to"},
    {"setup", WHIPPET_OPTION_STRING, "ok", false, "ok, fail, or segv while the file <path>.down exists"},
    {"delay", WHIPPET_OPTION_DURATION, "0", false, "how long other messages sleep"},
    {"ratio", WHIPPET_OPTION_NUMBER, "0.5", false, "has to be 0.5"},
    {"pairs", WHIPPET_OPTION_MAP, "{\"a\": \"b\"}", false, "has to be {\"a\": \"b\"}"},
    {0},
};

/* What reaches setup() has to be the same wherever that is called. */
static bool settings_are_whole(const whippet_settings *settings)
{
    size_t count;
    const char *const *pairs = whippet_setting_strings(settings, "pairs", &count);

    return whippet_setting_number(settings, "ratio") == 0.5 && whippet_setting_given(settings, "path") &&
           !whippet_setting_given(settings, "ratio") && count == 2 && strcmp(pairs[0], "a") == 0 &&
           strcmp(pairs[1], "b") == 0 && pairs[2] == NULL;
}

static bool is_down(const char *path)
{
    char down[512];

    snprintf(down, sizeof(down), "%s.down", path);
    return access(down, F_OK) == 0;
}

static int setup(const whippet_settings *settings, void **state, whippet_failure *failure)
{
    struct modes *modes = calloc(1, sizeof(*modes));
    const char *path = whippet_setting_string(settings, "path");
    const char *how = whippet_setting_string(settings, "setup");

    if (!modes || !settings_are_whole(settings)) {
        whippet_fail(failure, "the settings were damaged on their way");
        free(modes);
        return -1;
    }
    if (strcmp(how, "segv") == 0 && is_down(path)) {
        raise(SIGSEGV);
    }
    if (strcmp(how, "fail") == 0 && is_down(path)) {
        whippet_fail(failure, "the database is down");
        free(modes);
        return -1;
    }
    modes->delay = whippet_setting_duration(settings, "delay");
    modes->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    *state = modes;
    return 0;
}

static void note(struct modes *modes, const whippet_message *message, const char *event)
{
    whippet_bytes id = whippet_message_id(message);
    struct timespec now;
    char line[160];

    clock_gettime(CLOCK_MONOTONIC, &now);
    int length = snprintf(line, sizeof(line), "%s %lld.%06ld %u 1 %.*s\n", event, (long long)now.tv_sec,
                          now.tv_nsec / 1000, whippet_attempt(message), id.len ? (int)id.len : 1,
                          id.len ? (const char *)id.data : "-");
    if (write(modes->file, line, (size_t)length) != length) {
        abort();
    }
}

static void teardown(void *state)
{
    struct modes *modes = state;

    if (write(modes->file, "down 0 0 0 -\n", 13) != 13) {
        abort();
    }
    close(modes->file);
    free(modes);
}

/* --- Every await ----------------------------------------------------------------------------------------*/

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool check_sleep(whippet_task *task)
{
    double before = seconds_now();

    return whippet_sleep(task, 0.02) == 0 && seconds_now() - before >= 0.0199 && whippet_sleep(task, 0) == 0;
}

static bool check_sleep_after_blocking(whippet_task *task)
{
    poll(NULL, 0, 30);
    return check_sleep(task);
}

static int sleep_and_return(whippet_task *task, void *arg)
{
    int error = whippet_sleep(task, 0.005);

    return error < 0 ? error : *(int *)arg;
}

static bool check_children(whippet_task *task)
{
    int one = 1, two = 2, result = 0;
    whippet_task *child = whippet_spawn(task, sleep_and_return, &one);
    whippet_task *other = whippet_spawn(task, sleep_and_return, &two);

    return child && other && whippet_join(task, child, &result) == 0 && result == 1 &&
           whippet_join_all(task) == 0;
}

static int sleep_long(whippet_task *task, void *arg)
{
    (void)arg;
    return whippet_sleep(task, 1000);
}

static bool check_cancel(whippet_task *task)
{
    int result = 0;
    whippet_task *child = whippet_spawn(task, sleep_long, NULL);

    whippet_sleep(task, 0);
    whippet_cancel(child);
    return whippet_join(task, child, &result) == 0 && result == WHIPPET_E_CANCELLED;
}

static bool check_timeout(whippet_task *task)
{
    return whippet_with_timeout(task, 0.01, sleep_long, NULL) == WHIPPET_E_TIMEOUT &&
           whippet_time_left(task) > 1;
}

static bool check_descriptor(whippet_task *task)
{
    int ends[2];
    bool right;

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        return false;
    }
    right = whippet_wait_fd(task, ends[1], WHIPPET_WRITABLE) == WHIPPET_WRITABLE &&
            write(ends[1], "x", 1) == 1 &&
            whippet_wait_fd(task, ends[0], WHIPPET_READABLE) == WHIPPET_READABLE;
    close(ends[0]);
    close(ends[1]);
    return right;
}

static int third_time_lucky(whippet_task *task, void *arg)
{
    (void)task;
    return ++*(int *)arg == 3 ? 33 : 0;
}

static bool check_retry(whippet_task *task)
{
    whippet_retry_policy policy = {.attempts = 3, .delay = 0.005};
    int calls = 0;

    return whippet_retry(task, &policy, third_time_lucky, &calls) == 33;
}

static bool check_command(whippet_task *task)
{
    const char *arguments[] = {"sh", "-c", "read line; echo \"<$line>\"; exit 7", NULL};
    whippet_command command = {.arguments = arguments, .input = {"hello\n", 6}, .output_limit = 100};
    whippet_command_result result;

    return whippet_exec(task, &command, &result) == 0 && !result.signalled && result.status == 7 &&
           result.output.len == 8 && memcmp(result.output.data, "<hello>\n", 8) == 0;
}

static bool check_memory(whippet_task *task)
{
    char *memory = whippet_alloc(task, 100000);

    return memory && memory[99999] == 0;
}

static bool check_unroutable(whippet_task *task)
{
    whippet_publication publication = {.routing_key = "no-such-queue-anywhere", .body = {"x", 1}};

    return whippet_publish(task, &publication) == WHIPPET_E_UNROUTABLE;
}

static int publish_blocked(whippet_task *task, void *arg)
{
    whippet_publication publication = {.routing_key = "no-such-queue-anywhere", .body = {"x", 1}};

    (void)arg;
    return whippet_publish(task, &publication);
}

static bool check_publish_in_no_time(whippet_task *task)
{
    int error = whippet_with_timeout(task, 0, publish_blocked, NULL);

    return error == WHIPPET_E_TIMEOUT && whippet_sleep(task, 0) == 0;
}

/* `may_block`: not on the loop, which reads the time once a turn. */
static whippet_verdict check_awaits(whippet_task *task, bool may_block)
{
    static const struct {
        const char *name;
        bool (*check)(whippet_task *task);
    } checks[] = {
        {"sleep", check_sleep},
        {"spawn and join", check_children},
        {"cancel", check_cancel},
        {"with_timeout", check_timeout},
        {"wait_fd", check_descriptor},
        {"retry", check_retry},
        {"exec", check_command},
        {"alloc", check_memory},
        {"publish to nowhere", check_unroutable},
        {"publish in no time", check_publish_in_no_time},
    };

    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (!checks[i].check(task)) {
            return whippet_reject(task, "%s does not work here", checks[i].name);
        }
    }
    if (may_block && !check_sleep_after_blocking(task)) {
        return whippet_reject(task, "a sleep after blocking does not work here");
    }
    whippet_log(task, WHIPPET_INFO, "every await works");
    return WHIPPET_ACK;
}

/* --- What the body says ---------------------------------------------------------------------------------*/

static whippet_verdict publish_sum(whippet_task *task, const whippet_message *message, const char *queue)
{
    whippet_bytes body = whippet_body(message), id = whippet_message_id(message);
    uint64_t sum = 0;
    char text[100], kept[64];
    whippet_publish_header header = {"from", whippet_text_value("modes")};
    whippet_publication publication = {
        .routing_key = queue, .message_id = kept, .headers = &header, .header_count = 1};

    for (size_t i = 0; i < body.len; i++) {
        sum = sum * 31 + ((const unsigned char *)body.data)[i];
    }
    publication.body.data = text;
    publication.body.len =
        (size_t)snprintf(text, sizeof(text), "%zu bytes, %llx", body.len, (unsigned long long)sum);
    snprintf(kept, sizeof(kept), "%.*s", (int)id.len, id.len ? (const char *)id.data : "");
    int error = whippet_publish(task, &publication);
    return error == 0 ? WHIPPET_ACK : whippet_retry_later(task, "publish: %s", whippet_error_text(error));
}

static void scribble(void)
{
    for (int descriptor = 3; descriptor < 64; descriptor++) {
        struct stat status;
        if (fstat(descriptor, &status) != 0 || !S_ISSOCK(status.st_mode)) {
            continue;
        }
        ssize_t ignored = write(descriptor, "GET / HTTP/1.1\r\n\r\nHost: nowhere\r\n\r\n and so on", 40);
        (void)ignored;
    }
}

static whippet_verdict perform(whippet_task *task, const whippet_message *message, const struct modes *modes)
{
    whippet_bytes body = whippet_body(message);
    char word[16] = "", rest[128] = "", text[160] = "";

    memcpy(text, body.len ? body.data : "", body.len < sizeof(text) ? body.len : sizeof(text) - 1);
    sscanf(text, "%15s %127s", word, rest);
    long number = atol(rest);
    bool so_often = !rest[0] || (long)whippet_attempt(message) <= number;
    if (strcmp(word, "awaits") == 0) {
        return check_awaits(task, strcmp(rest, "blocking") == 0);
    }
    if (strcmp(word, "sleep") == 0) {
        int error = whippet_sleep(task, (double)number / 1000);
        return error == 0 ? WHIPPET_ACK : whippet_retry_later(task, "sleep: %s", whippet_error_text(error));
    }
    if (strcmp(word, "block") == 0) {
        return poll(NULL, 0, (int)number) == 0 ? WHIPPET_ACK : whippet_retry_later(task, "interrupted");
    }
    while (strcmp(word, "spin") == 0) {
        poll(NULL, 0, 1000);
    }
    if (strcmp(word, "segv") == 0 && so_often) {
        raise(SIGSEGV);
    }
    if (strcmp(word, "exit") == 0 && so_often) {
        _exit(3);
    }
    if (strcmp(word, "scribble") == 0 && so_often) {
        scribble();
    }
    if (strcmp(word, "publish") == 0) {
        return publish_sum(task, message, rest);
    }
    return modes->delay == 0 || whippet_sleep(task, modes->delay) == 0 ? WHIPPET_ACK : WHIPPET_RETRY;
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    whippet_bytes reply_to = whippet_reply_to(message);
    char queue[128];
    whippet_verdict verdict;

    note(state, message, "begin");
    if (reply_to.len > 0) {
        snprintf(queue, sizeof(queue), "%.*s", (int)reply_to.len, (const char *)reply_to.data);
        verdict = publish_sum(task, message, queue);
    } else {
        verdict = perform(task, message, state);
    }
    note(state, message, verdict == WHIPPET_ACK ? "end" : "cut");
    return verdict;
}

WHIPPET_PROCESSOR(.name = "modes", .version = "1.0", .summary = "does what it is told, in every mode",
                  .options = options, .setup = setup, .process = process, .teardown = teardown);
