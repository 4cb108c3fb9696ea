/* The dead command against a real broker. */
#include "stage.h"

#include "command.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

TestSuite(dead_letters, .init = stage_open, .fini = stage_close, .timeout = 120);
TestSuite(dead_letters_alone, .init = stage_open_alone, .fini = stage_close, .timeout = 180);

enum {
    DONE = 0,
    FAILED = 1,
    USAGE = 64,
    OUTPUT_SIZE = 1 << 16,
    UNDER_WAY = 256 /* messages whose confirm may be lost with the process */
};

/* --- Running it -----------------------------------------------------------------------------------------*/

static char output[OUTPUT_SIZE]; /* what the last run printed, both streams */

static int open_output(void)
{
    int descriptor = open(stage_path("output"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    cr_assert(descriptor >= 0, "%s", strerror(errno));
    return descriptor;
}

static void read_output(int descriptor)
{
    ssize_t length = pread(descriptor, output, sizeof output - 1, 0);

    output[length > 0 ? length : 0] = '\0';
    close(descriptor);
}

static pid_t dead_start(int input, int descriptor, const char *verb, const char *queue, const char *first,
                        const char *second)
{
    const char *arguments[] = {
        getenv("WHIPPET_PROGRAM"), "dead", "--url", stage_broker()->url, verb, queue, first, second, NULL};

    return command_start(arguments, input, descriptor, descriptor);
}

static int dead(const char *verb, const char *queue, const char *first, const char *second)
{
    int descriptor = open_output();
    int status = command_wait(dead_start(-1, descriptor, verb, queue, first, second));

    read_output(descriptor);
    return status;
}

#define assert_dead(expected, ...)                                                                           \
    do {                                                                                                     \
        int status_ = dead(__VA_ARGS__);                                                                     \
        cr_assert_eq(status_, expected, "exit status %d: %s", status_, output);                              \
    } while (0)

#define assert_says(text) cr_assert_not_null(strstr(output, text), "no \"%s\" in: %s", text, output)

/* --- Dead letters ---------------------------------------------------------------------------------------*/

struct header {
    const char *name;
    const char *value;
};

/* Sends one with up to eight text headers, the last of which has no name. */
static void send_letter(const char *queue, const char *id, const struct header *headers, amqp_bytes_t body)
{
    amqp_table_entry_t entries[8];
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_HEADERS_FLAG |
                                                    AMQP_BASIC_DELIVERY_MODE_FLAG,
                                          .message_id = amqp_cstring_bytes(id),
                                          .delivery_mode = AMQP_DELIVERY_PERSISTENT,
                                          .headers = {.entries = entries}};

    for (int i = 0; i < 8 && headers[i].name != NULL; i++)
        entries[properties.headers.num_entries++] = (amqp_table_entry_t){
            .key = amqp_cstring_bytes(headers[i].name),
            .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(headers[i].value)}};
    client_publish(stage_client(), "", queue, &properties, body);
}

/* A pair of queues, and in the second of them `count` letters as the worker writes them; every tenth died of
 * a timeout. */
static void send_ours(const char *queue, const char *dead_queue, unsigned count)
{
    client_declare(stage_client(), queue, "quorum");
    client_declare(stage_client(), dead_queue, "quorum");
    for (unsigned i = 0; i < count; i++) {
        const struct header headers[] = {{"whippet-reason", i % 10 == 0 ? "timeout" : "rejected"},
                                         {"whippet-queue", queue},
                                         {"whippet-exchange", "shop"},
                                         {"whippet-routing-key", "orders.new"},
                                         {"whippet-attempts", "5"},
                                         {"whippet-expiration", "3600000"},
                                         {"tenant", "acme"},
                                         {NULL, NULL}};
        char id[16];

        snprintf(id, sizeof id, "%u", i);
        send_letter(dead_queue, id, headers, amqp_cstring_bytes("a body"));
    }
}

static void await_ready(const char *queue, long count)
{
    await(15, client_ready(stage_client(), queue) == count, "%ld in %s, found %ld", count, queue,
          client_ready(stage_client(), queue));
}

/* Empties the queue; counts each id below `most` in `seen`. */
static unsigned take_all(const char *queue, unsigned char *seen, unsigned most)
{
    struct client_message *message;
    unsigned count = 0;

    while ((message = client_get(stage_client(), queue)) != NULL) {
        char id[16] = "";
        amqp_bytes_t text = message->content.properties.message_id;

        memcpy(id, text.bytes, text.len < sizeof id ? text.len : sizeof id - 1);
        cr_assert_lt(strtoul(id, NULL, 10), most);
        seen[strtoul(id, NULL, 10)]++;
        count++;
        client_message_destroy(message);
    }
    return count;
}

static void assert_header(const struct client_message *message, const char *name, const char *expected)
{
    char *text = client_header_text(message, name);

    cr_assert_str_eq(text, expected, "%s is \"%s\"", name, text);
    free(text);
}

/* --- Replay ---------------------------------------------------------------------------------------------*/

Test(dead_letters, of_ours_go_back_as_they_were_before_they_died)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    struct client_message *message;

    send_ours(queue, dead_queue, 1);
    assert_dead(DONE, "replay", dead_queue, NULL, NULL);
    await_ready(dead_queue, 0);
    message = client_get(stage_client(), queue);
    cr_assert_not_null(message);
    assert_header(message, "tenant", "acme");
    assert_header(message, "whippet-replayed", "1");
    assert_header(message, "whippet-attempts", "(absent)");
    assert_header(message, "whippet-reason", "(absent)");
    cr_assert_eq(message->content.properties.expiration.len, 7);
    cr_assert_arr_eq(message->content.properties.expiration.bytes, "3600000", 7);
    client_message_destroy(message);
}

Test(dead_letters, of_one_reason_go_back_and_the_others_stay_however_many_those_are)
{
    enum {
        COUNT = 1000
    };
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    unsigned char seen[COUNT] = {0};

    send_ours(queue, dead_queue, COUNT);
    assert_dead(DONE, "replay", dead_queue, "--reason=timeout", NULL);
    assert_says("100 replayed of 1000 messages");
    await_ready(queue, COUNT / 10);
    await_ready(dead_queue, COUNT - COUNT / 10);
    take_all(queue, seen, COUNT);
    take_all(dead_queue, seen, COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(seen[i], 1, "message %u is there %u times", i, seen[i]);
}

Test(dead_letters, go_back_as_many_as_the_limit_says)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    send_ours(queue, dead_queue, 20);
    assert_dead(DONE, "replay", dead_queue, "--limit=7", NULL);
    await_ready(queue, 7);
    await_ready(dead_queue, 13);
}

Test(dead_letters, that_match_go_back_and_the_others_stay)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    const struct header headers[] = {{"whippet-reason", "rejected"}, {"whippet-queue", queue}, {NULL, NULL}};
    struct client_message *message;

    send_ours(queue, dead_queue, 20);
    send_letter(dead_queue, "20", headers, amqp_cstring_bytes("order 4711, of an old shop"));
    assert_dead(DONE, "replay", dead_queue, "--match=order 4711", NULL);
    await_ready(queue, 1);
    await_ready(dead_queue, 20);
    message = client_get(stage_client(), queue);
    cr_assert_eq(memcmp(message->content.body.bytes, "order 4711", 10), 0);
    client_message_destroy(message);
}

/* Replays on a terminal of so many columns (0: it does not tell); whatever it shows is in `output` then. */
static int replay_on_terminal(const char *queue, const char *option, unsigned short columns)
{
    const struct winsize size = {.ws_row = 24, .ws_col = columns};
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), user, status;
    size_t length = 0;
    ssize_t got;
    pid_t child;

    cr_assert(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0, "%s", strerror(errno));
    user = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    cr_assert_eq(ioctl(user, TIOCSWINSZ, &size), 0, "%s", strerror(errno));
    child = dead_start(-1, user, "replay", queue, option, NULL);
    close(user);
    /* Reading from a terminal that nobody holds open any more fails. */
    while ((got = read(terminal, output + length, sizeof output - 1 - length)) > 0)
        length += (size_t)got;
    output[length] = '\0';
    status = command_wait(child);
    close(terminal);
    return status;
}

Test(dead_letters, go_back_as_fast_as_asked_for_with_a_bar_on_a_terminal)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    double begun, took;

    send_ours(queue, dead_queue, 30);
    begun = patience_now();
    cr_assert_eq(replay_on_terminal(dead_queue, "--rate=20", 0), DONE, "%s", output);
    took = patience_now() - begun;
    cr_assert_geq(took, 1.4, "30 at 20 a second took %.2f s", took);
    assert_says("#-");
    assert_says("\r[##############################] 100 % 30/30 replayed, ");
    await_ready(queue, 30);
}

/* A line that is wider is continued in the next one, and then each state of the bar is left standing. */
Test(dead_letters, go_back_with_a_bar_that_is_no_wider_than_the_terminal)
{
    static const unsigned short COLUMNS[] = {60, 40, 12};
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    for (int i = 0; i < 3; i++) {
        send_ours(queue, dead_queue, 12);
        cr_assert_eq(replay_on_terminal(dead_queue, "--rate=20", COLUMNS[i]), DONE, "%s", output);
        cr_assert_eq(strncmp(output, "\r", 1), 0, "%s", output);
        for (const char *line = output + 1; line[-1] == '\r'; line += strcspn(line, "\r\n") + 1)
            cr_assert_lt(strcspn(line, "\r\n"), COLUMNS[i], "in %u columns: %s", COLUMNS[i], line);
        if (COLUMNS[i] > 12)
            assert_says("] 100 % 12/12 replayed, ");
    }
    assert_says("\r100 % 12/12");
}

Test(dead_letters, that_fail_again_at_once_are_not_replayed_in_a_loop)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    send_ours(queue, dead_queue, 50);
    /* Each goes to the end of the very queue it is taken from. */
    assert_dead(DONE, "replay", dead_queue, "--to", dead_queue);
    assert_says("50 replayed of 50 messages");
    await_ready(dead_queue, 50);
}

Test(dead_letters, stay_where_their_queue_is_gone_and_are_named)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    send_ours(queue, dead_queue, 2);
    client_delete(stage_client(), queue);
    assert_dead(FAILED, "replay", dead_queue, NULL, NULL);
    assert_says("stays: message 0: no queue took the message");
    assert_says("2 that were meant stay");
    await_ready(dead_queue, 2);
}

Test(dead_letters, stay_where_their_queue_is_full)
{
    const char *queue = stage_name("full"), *dead_queue = stage_name("dead");
    const struct header headers[] = {{"whippet-reason", "rejected"}, {"whippet-queue", queue}, {NULL, NULL}};

    client_declare_full(stage_client(), queue);
    client_declare(stage_client(), dead_queue, "quorum");
    for (int i = 0; i < 7; i++)
        send_letter(dead_queue, "7", headers, amqp_cstring_bytes("x"));
    assert_dead(FAILED, "replay", dead_queue, NULL, NULL);
    assert_says("stays: message 7: the broker refused it (basic.nack): is that queue full");
    assert_says("further ones are only counted");
    assert_says("7 that were meant stay");
    await_ready(dead_queue, 7);
}

Test(dead_letters, stay_where_they_are_when_the_queue_they_are_sent_to_is_missing)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    send_ours(queue, dead_queue, 2);
    assert_dead(FAILED, "replay", dead_queue, "--to", stage_name("nowhere"));
    assert_says("no queue 'nowhere-");
    assert_says("nothing was replayed");
    await_ready(dead_queue, 2);
}

Test(dead_letters, stay_when_none_matches_which_is_told)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    send_ours(queue, dead_queue, 3);
    assert_dead(DONE, "replay", dead_queue, "--match=nowhere to be found", NULL);
    assert_says("none of the 3 messages that were looked at matches");
    assert_says("0 replayed of 3 messages");
    assert_dead(DONE, "purge", dead_queue, "--yes", "--reason=crash");
    assert_says("none of the 3 messages");
    await_ready(dead_queue, 3);
}

Test(dead_letters, stay_in_a_dry_run)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    send_ours(queue, dead_queue, 3);
    assert_dead(DONE, "replay", dead_queue, "--dry-run", NULL);
    assert_says("3 would go to ");
    await_ready(dead_queue, 3);
    await_ready(queue, 0);
}

/* Starts a replay of `count` letters and comes back when some, not all, are through. */
static pid_t replay_halfway(const char *queue, const char *dead_queue, unsigned count, int *descriptor)
{
    pid_t child;

    send_ours(queue, dead_queue, count);
    *descriptor = open_output();
    child = dead_start(-1, *descriptor, "replay", dead_queue, "--rate=500", NULL);
    await(30, client_ready(stage_client(), queue) >= count / 10, "messages in %s", queue);
    return child;
}

/* What the process has had resident at most, in KiB; 0 once it has ended. */
static long peak_of(pid_t process)
{
    char path[64], line[256];
    long peak = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)process);
    FILE *status = fopen(path, "r");

    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            peak = strtol(line + 6, NULL, 10);
    if (status != NULL)
        fclose(status);
    return peak;
}

/* AddressSanitizer would keep what is freed, and, in GCC 14, fill a second stack for each task. */
static void forgo_asan_memory(void)
{
    setenv("ASAN_OPTIONS", "quarantine_size_mb=1:detect_stack_use_after_return=0", 1);
}

/* The same of a replay of so many letters, as far as it was seen. `rate` is an option, or NULL. */
static long peak_of_replay(const char *queue, const char *dead_queue, unsigned count, size_t size,
                           const char *rate)
{
    char to[300];
    int descriptor = open_output();
    long peak = 0, now;

    client_send_numbered(stage_client(), dead_queue, 0, count, size);
    snprintf(to, sizeof to, "--to=%s", queue);
    pid_t child = dead_start(-1, descriptor, "replay", dead_queue, to, rate);
    while ((now = peak_of(child)) > 0) {
        peak = now;
        patience_pause();
    }
    cr_assert_eq(command_wait(child), DONE);
    read_output(descriptor);
    await_ready(dead_queue, 0);
    return peak;
}

Test(dead_letters, are_replayed_in_memory_that_does_not_grow_with_their_number)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    forgo_asan_memory();
    client_declare(stage_client(), queue, "classic");
    client_declare(stage_client(), dead_queue, "classic");
    long few = peak_of_replay(queue, dead_queue, 1500, 2000, NULL);
    long many = peak_of_replay(queue, dead_queue, 8000, 2000, NULL);
    cr_assert_lt(many, few + 6 * 1024, "8,000 letters took %ld KiB, 1,500 took %ld", many, few);
}

Test(dead_letters, are_replayed_in_memory_that_is_bounded_however_large_they_are)
{
    enum {
        MEBIBYTE = 1024 * 1024
    };
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    forgo_asan_memory();
    client_declare(stage_client(), queue, "classic");
    client_declare(stage_client(), dead_queue, "classic");
    /* So slow that all of them could come before the first few have gone. */
    long few = peak_of_replay(queue, dead_queue, 2, MEBIBYTE, "--rate=20");
    long many = peak_of_replay(queue, dead_queue, 150, MEBIBYTE, "--rate=20");
    cr_assert_lt(many, few + 80 * 1024, "150 MiB of letters took %ld KiB, 2 MiB took %ld", many, few);
}

Test(dead_letters, are_all_there_exactly_once_after_an_interrupted_replay)
{
    enum {
        COUNT = 1000
    };
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    unsigned char seen[COUNT] = {0};
    int descriptor, status;
    pid_t child = replay_halfway(queue, dead_queue, COUNT, &descriptor);

    kill(child, SIGINT);
    status = command_wait(child);
    read_output(descriptor);
    cr_assert_eq(status, FAILED, "exit status %d: %s", status, output);
    assert_says("interrupted; run it again for the rest");
    cr_assert_null(strstr(output, "put back at the end"), "out of their order: %s", output);
    assert_dead(DONE, "replay", dead_queue, NULL, NULL);
    await_ready(dead_queue, 0);
    cr_assert_eq(take_all(queue, seen, COUNT), COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(seen[i], 1, "message %u is there %u times", i, seen[i]);
}

Test(dead_letters, are_all_there_after_a_replay_was_killed_and_few_of_them_twice)
{
    enum {
        COUNT = 1000
    };
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    unsigned char seen[COUNT] = {0};
    int descriptor;
    pid_t child = replay_halfway(queue, dead_queue, COUNT, &descriptor);

    kill(child, SIGKILL);
    cr_assert_eq(command_wait(child), 128 + SIGKILL);
    close(descriptor);
    await(15, client_consumers(stage_client(), dead_queue) == 0, "the broker to notice");
    assert_dead(DONE, "replay", dead_queue, NULL, NULL);
    await_ready(dead_queue, 0);
    cr_assert_leq(take_all(queue, seen, COUNT), COUNT + UNDER_WAY);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert(seen[i] == 1 || seen[i] == 2, "message %u is there %u times", i, seen[i]);
}

Test(dead_letters_alone, are_all_there_after_the_broker_was_killed_in_a_replay)
{
    enum {
        COUNT = 1000
    };
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    unsigned char seen[COUNT] = {0};
    int descriptor, status;
    pid_t child;

    stage_start_broker();
    child = replay_halfway(queue, dead_queue, COUNT, &descriptor);
    broker_kill(stage_broker());
    status = command_wait(child);
    read_output(descriptor);
    cr_assert_eq(status, FAILED, "exit status %d: %s", status, output);
    assert_says("run it again for the rest");
    stage_start_broker();
    await(30, client_ready(stage_client(), dead_queue) > 0, "the dead letters after a restart");
    assert_dead(DONE, "replay", dead_queue, NULL, NULL);
    await_ready(dead_queue, 0);
    cr_assert_leq(take_all(queue, seen, COUNT), COUNT + UNDER_WAY);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert(seen[i] == 1 || seen[i] == 2, "message %u is there %u times", i, seen[i]);
}

/* A quorum queue's acks that wait while others are written down are lost with their channel; here, all that
 * come while one other is. */
Test(dead_letters_alone, are_taken_out_before_the_channel_is_closed_however_busy_the_broker_is)
{
    enum {
        COUNT = 1000
    };
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    unsigned char seen[COUNT] = {0};

    stage_start_broker();
    broker_eval(stage_broker(), "application:set_env(rabbit, quorum_commands_soft_limit, 1)");
    send_ours(queue, dead_queue, COUNT);
    assert_dead(DONE, "replay", dead_queue, "--reason=timeout", NULL);
    assert_dead(DONE, "replay", dead_queue, "--reason=rejected", NULL);
    await_ready(dead_queue, 0);
    cr_assert_eq(take_all(queue, seen, COUNT), COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(seen[i], 1, "message %u is there %u times", i, seen[i]);
}

/* --- Other writers --------------------------------------------------------------------------------------*/

Test(dead_letters, of_the_broker_tell_their_queue)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    client_declare(stage_client(), dead_queue, "classic");
    broker_eval(stage_broker(),
                "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"%s\">>), true, false, "
                "[{<<\"x-message-ttl\">>, long, 50}, {<<\"x-dead-letter-exchange\">>, longstr, <<>>}, "
                "{<<\"x-dead-letter-routing-key\">>, longstr, <<\"%s\">>}], none, <<\"test\">>), ok",
                queue, dead_queue);
    client_send(stage_client(), queue, "7", "too late");
    await_ready(dead_queue, 1);
    assert_dead(DONE, "show", dead_queue, NULL, NULL);
    assert_says("reason           expired");
    assert_says("told by          broker");
    assert_dead(DONE, "replay", dead_queue, "--dry-run", NULL);
    assert_says("1 would go to ");
    assert_says(queue);
    assert_dead(DONE, "list", dead_queue, "--json", NULL);
    assert_says("\"reasons\":{\"expired\":1}");
}

Test(dead_letters, of_spring_go_to_their_exchange_only_when_that_is_wanted)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    const struct header headers[] = {{"x-original-exchange", "amq.topic"},
                                     {"x-original-routingKey", "orders.new"},
                                     {"x-exception-message", "boom"},
                                     {NULL, NULL}};

    client_declare(stage_client(), queue, "classic");
    client_declare(stage_client(), dead_queue, "classic");
    send_letter(dead_queue, "1", headers, amqp_cstring_bytes("x"));
    assert_dead(FAILED, "replay", dead_queue, NULL, NULL);
    assert_says("use --exchange, or --to QUEUE");
    assert_dead(DONE, "replay", dead_queue, "--exchange", "--dry-run");
    assert_says("1 would go to the exchange amq.topic, routing key orders.new");
    await_ready(dead_queue, 1);
}

/* --- Looking --------------------------------------------------------------------------------------------*/

static void send_failed_at(const char *dead_queue, const char *time)
{
    const struct header headers[] = {{"whippet-reason", "rejected"},
                                     {"whippet-queue", "orders"},
                                     {"whippet-failed-at", time},
                                     {NULL, NULL}};

    send_letter(dead_queue, "1", headers, amqp_cstring_bytes("x"));
}

/* A letter as the broker would have left it: it died in the queue `orders` at that moment. */
static void send_died_at(const char *dead_queue, uint64_t seconds)
{
    amqp_table_entry_t death[] = {
        {.key = amqp_cstring_bytes("queue"),
         .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("orders")}},
        {.key = amqp_cstring_bytes("reason"),
         .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("expired")}},
        {.key = amqp_cstring_bytes("time"),
         .value = {.kind = AMQP_FIELD_KIND_TIMESTAMP, .value.u64 = seconds}}};
    amqp_field_value_t deaths = {.kind = AMQP_FIELD_KIND_TABLE,
                                 .value.table = {.num_entries = 3, .entries = death}};
    amqp_table_entry_t headers = {
        .key = amqp_cstring_bytes("x-death"),
        .value = {.kind = AMQP_FIELD_KIND_ARRAY, .value.array = {.num_entries = 1, .entries = &deaths}}};
    const amqp_basic_properties_t properties = {._flags = AMQP_BASIC_HEADERS_FLAG,
                                                .headers = {.num_entries = 1, .entries = &headers}};

    client_publish(stage_client(), "", dead_queue, &properties, amqp_cstring_bytes("x"));
}

/* Of Spring, which tells no time, and of somebody who writes times as nobody reads them. */
static void send_without_time(const char *dead_queue)
{
    const struct header spring[] = {{"x-original-exchange", "shop"},
                                    {"x-original-routingKey", "orders.new"},
                                    {"x-exception-message", "boom"},
                                    {NULL, NULL}};
    const struct header strange[] = {
        {"MT-Reason", "fault"}, {"MT-Fault-Timestamp", "11/21/2026 9:30 AM"}, {NULL, NULL}};
    const struct header none[] = {{NULL, NULL}};

    send_letter(dead_queue, "1", spring, amqp_cstring_bytes("x"));
    send_letter(dead_queue, "2", strange, amqp_cstring_bytes("x"));
    send_letter(dead_queue, "3", none, amqp_cstring_bytes("x"));
}

/* What `list` says of the queue's oldest letter, in both ways. */
static void assert_oldest(const char *dead_queue, const char *expected)
{
    char text[64], row[512];

    assert_dead(DONE, "list", dead_queue, NULL, NULL);
    const char *line = strstr(output, dead_queue);
    cr_assert_not_null(line, "%s", output);
    cr_assert_eq(sscanf(line, "%511s %*u %63s", row, text), 2, "%s", output);
    cr_assert_str_eq(text, expected != NULL ? expected : "-", "in the column below OLDEST: %s", output);
    assert_dead(DONE, "list", dead_queue, "--json", NULL);
    snprintf(row, sizeof row, expected != NULL ? "\"oldest\":\"%s\"," : "\"oldest\":null,", expected);
    assert_says(row);
}

Test(dead_letters, are_listed_with_the_time_of_the_oldest)
{
    const char *dead_queue = stage_name("dead");

    client_declare(stage_client(), dead_queue, "classic");
    send_without_time(dead_queue);
    assert_oldest(dead_queue, NULL);
    send_died_at(dead_queue, 1700000000);
    assert_oldest(dead_queue, "2023-11-14T22:13:20.000Z");
    send_failed_at(dead_queue, "2023-11-14T22:13:20.250Z");
    assert_oldest(dead_queue, "2023-11-14T22:13:20.000Z");
    send_failed_at(dead_queue, "2022-02-28T23:59:59.999Z");
    send_died_at(dead_queue, 1790000000);
    assert_oldest(dead_queue, "2022-02-28T23:59:59.999Z");
}

/* By MassTransit, with the ten millionths of a second that .NET has. */
Test(dead_letters, of_others_are_listed_with_their_time_as_ours)
{
    const char *dead_queue = stage_name("dead");
    const struct header masstransit[] = {{"MT-Fault-ExceptionType", "System.Exception"},
                                         {"MT-Fault-Timestamp", "2022-02-28T23:59:59.1234567Z"},
                                         {NULL, NULL}};
    const struct header nservicebus[] = {{"NServiceBus.FailedQ", "orders"},
                                         {"NServiceBus.TimeOfFailure", "2022-02-28 23:59:59:122999 Z"},
                                         {NULL, NULL}};

    client_declare(stage_client(), dead_queue, "classic");
    send_letter(dead_queue, "1", masstransit, amqp_cstring_bytes("x"));
    assert_oldest(dead_queue, "2022-02-28T23:59:59.123Z");
    send_letter(dead_queue, "2", nservicebus, amqp_cstring_bytes("x"));
    assert_oldest(dead_queue, "2022-02-28T23:59:59.122Z");
}

Test(dead_letters, that_tell_no_reason_are_listed_and_found_as_unknown)
{
    const char *dead_queue = stage_name("dead");
    const struct header none[] = {{NULL, NULL}};

    client_declare(stage_client(), dead_queue, "classic");
    send_letter(dead_queue, "1", none, amqp_cstring_bytes("x"));
    send_failed_at(dead_queue, "2023-11-14T22:13:20.250Z");
    assert_dead(DONE, "list", dead_queue, "--json", NULL);
    assert_says("\"reasons\":{\"unknown\":1,\"rejected\":1},\"other_reasons\":0}");
    assert_dead(DONE, "purge", dead_queue, "--yes", "--reason=unknown");
    assert_says("1 of 2 messages deleted");
    await_ready(dead_queue, 1);
}

/* The line of the output that begins so. */
static size_t column_of(const char *beginning, const char *what)
{
    const char *line = strstr(output, beginning), *at = line != NULL ? strstr(line, what) : NULL;

    cr_assert_not_null(at, "no \"%s\" in the line of \"%s\": %s", what, beginning, output);
    return (size_t)(at - line);
}

Test(dead_letters, are_listed_in_columns_whatever_their_queue_is_called)
{
    char queue[128];

    snprintf(queue, sizeof queue, "%s für Köln/世界 .dead", stage_name("Aufträge"));
    client_declare(stage_client(), queue, "classic");
    send_failed_at(queue, "2023-11-14T22:13:20.250Z");
    assert_dead(DONE, "list", queue, NULL, NULL);
    /* ä, ü and ö take one column and two bytes, the last two characters two columns and three bytes each. */
    cr_assert_eq(column_of(queue, "2023-11-14T") - 3 - 2, column_of("QUEUE", "OLDEST"), "%s", output);
    client_delete(stage_client(), queue);
}

Test(dead_letters, of_masstransit_and_nservicebus_go_back_to_the_queue_that_they_failed_in)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    char address[400], failed[300];
    const struct header masstransit[] = {{"MT-Reason", "fault"},
                                         {"MT-Fault-InputAddress", address},
                                         {"MT-Fault-Message", "sequence contains no elements"},
                                         {NULL, NULL}};
    const struct header nservicebus[] = {{"NServiceBus.FailedQ", failed},
                                         {"NServiceBus.ExceptionInfo.Message", "no such customer"},
                                         {NULL, NULL}};

    snprintf(address, sizeof address, "rabbitmq://host/vhost/%s?durable=true", queue);
    snprintf(failed, sizeof failed, "%s@machine", queue);
    client_declare(stage_client(), queue, "classic");
    client_declare(stage_client(), dead_queue, "classic");
    send_letter(dead_queue, "1", masstransit, amqp_cstring_bytes("x"));
    send_letter(dead_queue, "2", nservicebus, amqp_cstring_bytes("y"));
    assert_dead(DONE, "show", dead_queue, NULL, NULL);
    assert_says("sequence contains no elements");
    assert_says("no such customer");
    assert_dead(DONE, "replay", dead_queue, NULL, NULL);
    assert_says("2 replayed of 2 messages");
    await_ready(queue, 2);
}

Test(dead_letters, never_write_to_a_terminal_what_would_command_it)
{
    const char *dead_queue = stage_name("dead");
    const struct header headers[] = {{"whippet-reason", "rejected"},
                                     {"whippet-queue", "orders"},
                                     {"whippet-error", "\033]0;owned\007 \302\233"},
                                     {"evil\033[2J", "\342\200\256gnp.exe"},
                                     {NULL, NULL}};

    client_declare(stage_client(), dead_queue, "classic");
    send_letter(dead_queue, "\033[31mid", headers, amqp_cstring_bytes("body \033[2J é"));
    for (int json = 0; json < 2; json++) {
        assert_dead(DONE, "show", dead_queue, json ? "--json" : NULL, NULL);
        for (const char *at = output; *at != '\0'; at++)
            cr_assert((unsigned char)*at >= ' ' || *at == '\n', "byte 0x%02x in: %s", *at, output);
        cr_assert_null(strstr(output, "\302\233"), "a C1 control in: %s", output);
        cr_assert_null(strstr(output, "\342\200\256"), "a change of direction in: %s", output);
        assert_says("é");
    }
}

Test(dead_letters, with_a_body_that_is_no_text_are_dumped)
{
    static const char bytes[] = {0, 1, 2, (char)0xff, 'A'};
    const char *dead_queue = stage_name("dead");
    const struct header none[] = {{NULL, NULL}};

    client_declare(stage_client(), dead_queue, "classic");
    send_letter(dead_queue, "1", none, (amqp_bytes_t){.bytes = (void *)bytes, .len = sizeof bytes});
    assert_dead(DONE, "show", dead_queue, NULL, NULL);
    assert_says("00 01 02 ff 41");
    assert_dead(DONE, "show", dead_queue, "--json", NULL);
    assert_says("\"body_base64\":\"AAEC/0E=\"");
}

/* Four times what `list` and `purge` take of a body. */
Test(dead_letters, that_are_large_are_listed_shown_and_purged)
{
    static char body[16 * 1024];
    const char *dead_queue = stage_name("dead");
    const struct header ours[] = {{"whippet-reason", "rejected"}, {"whippet-queue", "orders"}, {NULL, NULL}};

    client_declare(stage_client(), dead_queue, "classic");
    for (int i = 0; i < 3; i++)
        send_letter(dead_queue, "1", ours, (amqp_bytes_t){.bytes = body, .len = i == 1 ? 4 : sizeof body});
    assert_dead(DONE, "list", dead_queue, NULL, NULL);
    assert_says("rejected");
    assert_dead(DONE, "show", dead_queue, NULL, NULL);
    await_ready(dead_queue, 3);
    assert_dead(DONE, "purge", dead_queue, "--yes", NULL);
    assert_says("3 of 3 messages deleted");
    await_ready(dead_queue, 0);
}

Test(dead_letters, survive_being_looked_at_more_often_than_the_delivery_limit)
{
    const char *dead_queue = stage_name("dead");
    unsigned char seen[5] = {0};

    broker_eval(
        stage_broker(),
        "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"%s\">>), true, false, "
        "[{<<\"x-queue-type\">>, longstr, <<\"quorum\">>}, {<<\"x-delivery-limit\">>, long, 5}], none, "
        "<<\"test\">>), ok",
        dead_queue);
    client_send_many(stage_client(), dead_queue, 5);
    for (int i = 0; i < 12; i++)
        assert_dead(DONE, "list", dead_queue, NULL, NULL);
    await_ready(dead_queue, 5);
    take_all(dead_queue, seen, 5);
    for (unsigned i = 0; i < 5; i++)
        cr_assert_eq(seen[i], 1, "message %u is there %u times", i, seen[i]);
}

Test(dead_letters, are_not_chosen_by_an_empty_text_or_by_half_a_letter)
{
    static const char *const OPTIONS[] = {"--match=", "--reason=", "--limit=1.5", "--limit=0"};
    const char *dead_queue = stage_name("dead");

    client_declare(stage_client(), dead_queue, "classic");
    client_send(stage_client(), dead_queue, "1", "x");
    for (int i = 0; i < 4; i++) {
        assert_dead(USAGE, "purge", dead_queue, "--yes", OPTIONS[i]);
        assert_says("expected a");
    }
    assert_dead(USAGE, "replay", dead_queue, "--to=", NULL);
    assert_dead(USAGE, "replay", dead_queue, "--rate=0", NULL);
    assert_says("expected a number from 0.001 to 1000000000");
    await_ready(dead_queue, 1);
}

static void declare_with(const char *queue, const char *arguments)
{
    broker_eval(
        stage_broker(),
        "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"%s\">>), true, false, [%s], none, "
        "<<\"test\">>), ok",
        queue, arguments);
}

Test(dead_letters, in_a_stream_are_an_error_that_says_so)
{
    static const char *const VERBS[] = {"list", "show", "replay"};
    const char *dead_queue = stage_name("stream");

    declare_with(dead_queue, "{<<\"x-queue-type\">>, longstr, <<\"stream\">>}");
    send_failed_at(dead_queue, "2023-11-14T22:13:20.250Z");
    await_ready(dead_queue, 1);
    for (int i = 0; i < 3; i++) {
        assert_dead(FAILED, VERBS[i], dead_queue, NULL, NULL);
        assert_says("is a stream: what is in it can be read, and not be taken out");
    }
    client_delete(stage_client(), dead_queue);
}

Test(dead_letters, that_another_consumer_keeps_away_are_not_waited_for_for_ever)
{
    const char *dead_queue = stage_name("dead");
    struct worker *worker;

    declare_with(dead_queue, "{<<\"x-single-active-consumer\">>, bool, true}");
    client_send_many(stage_client(), dead_queue, 3);
    worker = worker_start("",
                          "[{'name': '%s', 'processor': 'record', 'concurrency': 1, 'on_failure': 'discard',"
                          "  'settings': {'path': '%s', 'delay': '120s'}}]",
                          dead_queue, stage_path("record"));
    await_ready(dead_queue, 2);
    assert_dead(FAILED, "list", dead_queue, NULL, NULL);
    assert_says("2 messages are ready in");
    assert_says("does another consumer come first");
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 10, WORKER_ANY_STATUS);
}

Test(dead_letters, of_a_queue_that_is_not_there_are_an_error)
{
    assert_dead(FAILED, "show", stage_name("nowhere"), NULL, NULL);
    assert_says("there is no queue");
}

/* --- Purge ----------------------------------------------------------------------------------------------*/

Test(dead_letters, are_not_purged_without_a_word)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    send_ours(queue, dead_queue, 3);
    assert_dead(USAGE, "purge", dead_queue, NULL, NULL);
    assert_says("--yes");
    await_ready(dead_queue, 3);
}

Test(dead_letters, that_match_are_purged_and_the_others_stay)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    send_ours(queue, dead_queue, 30);
    assert_dead(DONE, "purge", dead_queue, "--yes", "--reason=timeout");
    assert_says("3 of 30 messages deleted");
    await_ready(dead_queue, 27);
    assert_dead(DONE, "purge", dead_queue, "--yes", NULL);
    await_ready(dead_queue, 0);
}

/* Runs purge on a terminal whose user answers so. */
static int purge_answering(const char *queue, const char *answer)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), descriptor = open_output(), user, status;

    cr_assert(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0, "%s", strerror(errno));
    user = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    cr_assert_eq(write(terminal, answer, strlen(answer)), (ssize_t)strlen(answer));
    status = command_wait(dead_start(user, descriptor, "purge", queue, NULL, NULL));
    read_output(descriptor);
    close(user);
    close(terminal);
    return status;
}

Test(dead_letters, are_purged_on_a_terminal_when_its_user_says_yes)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    send_ours(queue, dead_queue, 4);
    cr_assert_eq(purge_answering(dead_queue, "n\n"), FAILED, "%s", output);
    assert_says("Delete the 4 messages of ");
    await_ready(dead_queue, 4);
    cr_assert_eq(purge_answering(dead_queue, "y\n"), DONE, "%s", output);
    await_ready(dead_queue, 0);
}
