/* Does what the message's body says, and notes each attempt as the `record` processor does: for the tests of
 * run modes, whose point is that one and the same plugin runs in all of them.
 *
 *   awaits         goes through every await of the SDK, and rejects with the name of the first that fails;
 *                  "awaits blocking" blocks in between, too
 *   sleep MS       awaits
 *   block MS       holds up whatever it runs on
 *   print TEXT     prints the text, as libc keeps it until the process ends
 *   spin           never comes back, whatever it is told
 *   segv, exit     takes its process down: always, or with a number only in so many attempts
 *   offexit        the same, in a thread of whippet_offload
 *   limited MS     holds one of the processor's two permits for so long, and rejects when a third one is out
 *   put, get       through the processor's channel, which has room for one
 *   await, set     the processor's event
 *   spawn          says how many children it gets
 *   publish QUEUE  publishes the body's size and sum to the queue, as every message with reply-to does there
 *   reply          answers with every property there is, and headers of every kind
 *   original       says what the message's user id and expiration were at first, and fails at first
 *   hangup         closes whatever sockets it finds, and then sleeps
 *   scribble       writes into whatever sockets it finds, as a library with a bug would
 * Anything else is acked, after the time that the settings say. */
#include <whippet/processor.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct modes {
    int file;
    double delay;
    double teardown;
    whippet_semaphore *permits;
    atomic_int permits_out;
    whippet_channel *channel;
    whippet_event *event;
};

enum {
    PERMITS = 2
};

static const whippet_option options[] = {
    {"path", WHIPPET_OPTION_STRING, NULL, true, "the file to append to"},
    {"setup", WHIPPET_OPTION_STRING, "ok", false,
     "ok, or fail, segv or wait while the file <path>.down exists"},
    {"delay", WHIPPET_OPTION_DURATION, "0", false, "how long other messages sleep"},
    {"teardown", WHIPPET_OPTION_DURATION, "0", false, "how long teardown() takes"},
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
    while (strcmp(how, "wait") == 0 && is_down(path)) {
        usleep(10000);
    }
    if (strcmp(how, "fail") == 0 && is_down(path)) {
        whippet_fail(failure, "the database is down");
        free(modes);
        return -1;
    }
    modes->delay = whippet_setting_duration(settings, "delay");
    modes->teardown = whippet_setting_duration(settings, "teardown");
    modes->permits = whippet_semaphore_create(PERMITS);
    modes->channel = whippet_channel_create(1);
    modes->event = whippet_event_create();
    if (!modes->permits || !modes->channel || !modes->event) {
        abort();
    }
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
    int length = snprintf(line, sizeof(line), "%s %lld.%06ld %u 1 %.*s %d\n", event, (long long)now.tv_sec,
                          now.tv_nsec / 1000, whippet_attempt(message), id.len ? (int)id.len : 1,
                          id.len ? (const char *)id.data : "-", (int)getpid());
    if (write(modes->file, line, (size_t)length) != length) {
        abort();
    }
}

static void teardown(void *state)
{
    struct modes *modes = state;

    usleep((useconds_t)(modes->teardown * 1e6));
    if (write(modes->file, "down 0 0 0 -\n", 13) != 13) {
        abort();
    }
    close(modes->file);
    whippet_semaphore_destroy(modes->permits);
    whippet_channel_destroy(modes->channel);
    whippet_event_destroy(modes->event);
    free(modes);
}

/* --- Every await ----------------------------------------------------------------------------------------*/

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* By the task's own clock, which on the loop is read once a turn. */
static bool check_sleep(whippet_task *task)
{
    double left = whippet_time_left(task);

    return whippet_sleep(task, 0.02) == 0 && left - whippet_time_left(task) >= 0.0199 &&
           whippet_sleep(task, 0) == 0;
}

static bool check_sleep_after_blocking(whippet_task *task)
{
    double before;

    poll(NULL, 0, 30);
    before = seconds_now();
    return whippet_sleep(task, 0.02) == 0 && seconds_now() - before >= 0.0199;
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

static whippet_verdict count_children(whippet_task *task)
{
    unsigned count = 0;

    while (whippet_spawn(task, sleep_long, NULL)) {
        count++;
    }
    whippet_log(task, WHIPPET_INFO, "%u children at once, and no more", count);
    return WHIPPET_ACK;
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

static int block_and_count(void *arg)
{
    poll(NULL, 0, 10);
    return ++*(int *)arg;
}

static bool check_offload(whippet_task *task)
{
    int count = 6;

    return whippet_offload(task, block_and_count, &count) == 7 && count == 7;
}

static bool check_join_any(whippet_task *task)
{
    int one = 1, result = 0;
    whippet_task *slow = whippet_spawn(task, sleep_long, NULL), *first = NULL;
    whippet_task *fast = whippet_spawn(task, sleep_and_return, &one);
    bool right = whippet_join_any(task, &first, &result) == 0 && first == fast && result == 1;

    whippet_cancel(slow);
    return right && whippet_join_any(task, &first, &result) == 0 && first == slow &&
           result == WHIPPET_E_CANCELLED;
}

static int sleep_shielded(whippet_task *task, void *arg)
{
    return whippet_shield(task, sleep_and_return, arg);
}

static bool check_shield(whippet_task *task)
{
    int five = 5, result = 0;
    whippet_task *child = whippet_spawn(task, sleep_shielded, &five);

    whippet_sleep(task, 0);
    whippet_cancel(child);
    return whippet_join(task, child, &result) == 0 && result == 5;
}

static int set_event(void *event)
{
    whippet_event_set(event);
    return 0;
}

static int offload_set(whippet_task *task, void *event)
{
    return whippet_offload(task, set_event, event);
}

/* Set from a thread that is nobody's loop. */
static bool check_event(whippet_task *task)
{
    whippet_event *event = whippet_event_create();
    bool right = event && whippet_spawn(task, offload_set, event) && whippet_event_wait(task, event) == 0 &&
                 whippet_event_is_set(event) && whippet_join_all(task) == 0;

    whippet_event_destroy(event);
    return right;
}

static int put_two(whippet_task *task, void *channel)
{
    static int items[2];
    int error = whippet_channel_put(task, channel, &items[0]);

    error = error ? error : whippet_channel_put(task, channel, &items[1]);
    whippet_channel_close(channel);
    return error;
}

static bool check_channel(whippet_task *task)
{
    whippet_channel *channel = whippet_channel_create(1);
    void *item;
    bool right = channel && whippet_spawn(task, put_two, channel) &&
                 whippet_channel_get(task, channel, &item) == 0 &&
                 whippet_channel_get(task, channel, &item) == 0 &&
                 whippet_channel_get(task, channel, &item) == WHIPPET_E_CLOSED && whippet_join_all(task) == 0;

    whippet_channel_destroy(channel);
    return right;
}

static int acquire(whippet_task *task, void *semaphore)
{
    return whippet_semaphore_acquire(task, semaphore);
}

static bool check_semaphore(whippet_task *task)
{
    whippet_semaphore *semaphore = whippet_semaphore_create(1);
    bool right = semaphore && acquire(task, semaphore) == 0 && !whippet_semaphore_try(semaphore) &&
                 whippet_with_timeout(task, 0.01, acquire, semaphore) == WHIPPET_E_TIMEOUT &&
                 whippet_semaphore_release(semaphore) == 0 && acquire(task, semaphore) == 0;

    whippet_semaphore_destroy(semaphore);
    return right;
}

static bool check_json(whippet_task *task)
{
    static const char text[] = "{\"a\": [1, {\"b\": \"\\u00e9\"}]}";
    whippet_bytes bytes = {text, sizeof(text) - 1};
    size_t offset = 0;
    const char *problem = NULL;
    whippet_json_value value = whippet_json_read(bytes, &offset, &problem);
    const char *found = whippet_json_string(task, whippet_json_find(value, "a[1].b"));

    return found && strcmp(found, "\xc3\xa9") == 0;
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
        {"offload", check_offload},
        {"join_any", check_join_any},
        {"shield", check_shield},
        {"event", check_event},
        {"channel", check_channel},
        {"semaphore", check_semaphore},
        {"JSON", check_json},
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

/* Through what all messages of the processor share. */
static whippet_verdict hold_permit(whippet_task *task, struct modes *modes, double seconds)
{
    if (whippet_semaphore_acquire(task, modes->permits) != 0) {
        return whippet_retry_later(task, "no permit");
    }
    int out = atomic_fetch_add(&modes->permits_out, 1) + 1;
    whippet_sleep(task, seconds);
    atomic_fetch_sub(&modes->permits_out, 1);
    whippet_semaphore_release(modes->permits);
    return out <= PERMITS ? WHIPPET_ACK : whippet_reject(task, "%d permits are out", out);
}

static whippet_verdict meet(whippet_task *task, struct modes *modes, const char *word)
{
    static int item;
    void *found = NULL;
    int error = 0;

    if (strcmp(word, "put") == 0) {
        error = whippet_channel_put(task, modes->channel, &item);
    } else if (strcmp(word, "get") == 0) {
        error = whippet_channel_get(task, modes->channel, &found);
        error = error == 0 && found != &item ? WHIPPET_E_PROTOCOL : error;
    } else if (strcmp(word, "await") == 0) {
        error = whippet_event_wait(task, modes->event);
    } else {
        whippet_event_set(modes->event);
    }
    return error == 0 ? WHIPPET_ACK : whippet_reject(task, "%s: %s", word, whippet_error_text(error));
}

static whippet_verdict answer(whippet_task *task, const whippet_message *message)
{
    whippet_publish_header headers[] = {
        {"whole", whippet_integer_value(-5)},
        {"real", whippet_real_value(0.25)},
        {"yes", whippet_boolean_value(true)},
        {"same", whippet_header(message, "table")},
    };
    whippet_publication reply = {
        .body = {"answered", 8},
        .content_type = "text/plain",
        .content_encoding = "identity",
        .message_id = "m-1",
        .type = "answer",
        .app_id = "modes",
        .timestamp = 1700000000,
        .priority = 7,
        .expiration = 90,
        .transient = true,
        .headers = headers,
        .header_count = whippet_header(message, "table").kind == WHIPPET_VALUE_ABSENT ? 3 : 4,
    };
    int error = whippet_reply(task, message, &reply);

    return error == 0 ? WHIPPET_ACK : whippet_reject(task, "reply: %s", whippet_error_text(error));
}

static whippet_verdict tell_original(whippet_task *task, const whippet_message *message)
{
    whippet_bytes user = whippet_user_id(message), expiration = whippet_expiration(message);

    whippet_log(task, WHIPPET_INFO, "attempt %u: user %.*s, expiration %.*s", whippet_attempt(message),
                (int)user.len, user.len ? (const char *)user.data : "", (int)expiration.len,
                expiration.len ? (const char *)expiration.data : "");
    return whippet_attempt(message) == 1 ? WHIPPET_RETRY : WHIPPET_ACK;
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

static void hang_up(void)
{
    for (int descriptor = 3; descriptor < 64; descriptor++) {
        struct stat status;
        if (fstat(descriptor, &status) == 0 && S_ISSOCK(status.st_mode)) {
            close(descriptor);
        }
    }
}

static int end_process(void *arg)
{
    (void)arg;
    _exit(3);
}

static whippet_verdict perform(whippet_task *task, const whippet_message *message, struct modes *modes)
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
    if (strcmp(word, "limited") == 0) {
        return hold_permit(task, modes, (double)number / 1000);
    }
    if (strcmp(word, "put") == 0 || strcmp(word, "get") == 0 || strcmp(word, "await") == 0 ||
        strcmp(word, "set") == 0) {
        return meet(task, modes, word);
    }
    if (strcmp(word, "spawn") == 0) {
        return count_children(task);
    }
    if (strcmp(word, "original") == 0) {
        return tell_original(task, message);
    }
    if (strcmp(word, "sleep") == 0) {
        int error = whippet_sleep(task, (double)number / 1000);
        return error == 0 ? WHIPPET_ACK : whippet_retry_later(task, "sleep: %s", whippet_error_text(error));
    }
    if (strcmp(word, "block") == 0) {
        return poll(NULL, 0, (int)number) == 0 ? WHIPPET_ACK : whippet_retry_later(task, "interrupted");
    }
    if (strcmp(word, "print") == 0) {
        printf("%s\n", rest);
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
    if (strcmp(word, "offexit") == 0 && so_often) {
        return whippet_offload(task, end_process, NULL) == 0 ? WHIPPET_ACK : WHIPPET_RETRY;
    }
    if (strcmp(word, "scribble") == 0 && so_often) {
        scribble();
        poll(NULL, 0, rest[0] ? 0 : 1000);
    }
    if (strcmp(word, "hangup") == 0 && so_often) {
        hang_up();
        poll(NULL, 0, 1000);
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
    if (whippet_body(message).len == 5 && memcmp(whippet_body(message).data, "reply", 5) == 0) {
        verdict = answer(task, message);
    } else if (reply_to.len > 0) {
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
