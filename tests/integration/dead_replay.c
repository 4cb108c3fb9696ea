/* whippet dead replay against a real broker. */
#include "command.h"
#include "dead_letters.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

TestSuite(dead_letters, .init = stage_open, .fini = stage_close, .timeout = 300);
TestSuite(dead_letters_alone, .init = stage_open_alone, .fini = stage_close, .timeout = 300);

enum {
    UNDER_WAY = 256 /* messages whose confirm may be lost with the process */
};

static void assert_header(const struct client_message *message, const char *name, const char *expected)
{
    char *text = client_header_text(message, name);

    cr_assert_str_eq(text, expected, "%s is \"%s\"", name, text);
    free(text);
}

Test(dead_letters, of_ours_go_back_as_they_were_before_they_died)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    struct client_message *message;

    letters_send(queue, dead_queue, 1);
    assert_dead(DONE, "replay", dead_queue, NULL, NULL);
    letters_await(dead_queue, 0);
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

    letters_send(queue, dead_queue, COUNT);
    assert_dead(DONE, "replay", dead_queue, "--reason=timeout", NULL);
    assert_says("100 replayed of 1000 messages");
    letters_await(queue, COUNT / 10);
    letters_await(dead_queue, COUNT - COUNT / 10);
    letters_take_all(queue, seen, COUNT);
    letters_take_all(dead_queue, seen, COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(seen[i], 1, "message %u is there %u times", i, seen[i]);
}

Test(dead_letters, go_back_as_many_as_the_limit_says)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    letters_send(queue, dead_queue, 20);
    assert_dead(DONE, "replay", dead_queue, "--limit=7", NULL);
    letters_await(queue, 7);
    letters_await(dead_queue, 13);
}

Test(dead_letters, that_match_go_back_and_the_others_stay)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    const struct letter_header headers[] = {
        {"whippet-reason", "rejected"}, {"whippet-queue", queue}, {NULL, NULL}};
    struct client_message *message;

    letters_send(queue, dead_queue, 20);
    letter_send(dead_queue, "20", headers, amqp_cstring_bytes("order 4711, of an old shop"));
    assert_dead(DONE, "replay", dead_queue, "--match=order 4711", NULL);
    letters_await(queue, 1);
    letters_await(dead_queue, 20);
    message = client_get(stage_client(), queue);
    cr_assert_eq(memcmp(message->content.body.bytes, "order 4711", 10), 0);
    client_message_destroy(message);
}

/* Replays on a terminal of so many columns (0: it does not tell); whatever it shows is in `dead_output` then.
 */
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
    while ((got = read(terminal, dead_output + length, sizeof dead_output - 1 - length)) > 0)
        length += (size_t)got;
    dead_output[length] = '\0';
    status = command_wait(child);
    close(terminal);
    return status;
}

Test(dead_letters, go_back_as_fast_as_asked_for_with_a_bar_on_a_terminal)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    double begun, took;

    letters_send(queue, dead_queue, 30);
    begun = patience_now();
    cr_assert_eq(replay_on_terminal(dead_queue, "--rate=20", 0), DONE, "%s", dead_output);
    took = patience_now() - begun;
    cr_assert_geq(took, 1.4, "30 at 20 a second took %.2f s", took);
    assert_says("#-");
    assert_says("\r[##############################] 100 % 30/30 replayed, ");
    letters_await(queue, 30);
}

/* The broker cuts off who keeps letters for half an hour: at this rate, what six of them take is ten minutes.
 */
Test(dead_letters, that_a_slow_rate_keeps_waiting_are_left_in_their_queue_meanwhile)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    int descriptor = dead_open_output();

    letters_send(queue, dead_queue, 50);
    pid_t child = dead_start(-1, descriptor, "replay", dead_queue, "--rate=0.01", NULL);
    letters_await(queue, 1);
    letters_await(dead_queue, 49 - 6);
    kill(child, SIGINT);
    cr_assert_eq(command_wait(child), FAILED);
    dead_read_output(descriptor);
    letters_await(dead_queue, 49);
    assert_dead(DONE, "replay", dead_queue, "--rate=0.01", "--reason=crash");
    assert_says("48 that stay were put back at the end");
    letters_await(dead_queue, 49);
}

/* A line that is wider is continued in the next one, and then each state of the bar is left standing. */
Test(dead_letters, go_back_with_a_bar_that_is_no_wider_than_the_terminal)
{
    static const unsigned short COLUMNS[] = {60, 40, 12};
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    for (int i = 0; i < 3; i++) {
        letters_send(queue, dead_queue, 12);
        cr_assert_eq(replay_on_terminal(dead_queue, "--rate=20", COLUMNS[i]), DONE, "%s", dead_output);
        cr_assert_eq(strncmp(dead_output, "\r", 1), 0, "%s", dead_output);
        for (const char *line = dead_output + 1; line[-1] == '\r'; line += strcspn(line, "\r\n") + 1)
            cr_assert_lt(strcspn(line, "\r\n"), COLUMNS[i], "in %u columns: %s", COLUMNS[i], line);
        if (COLUMNS[i] > 12)
            assert_says("] 100 % 12/12 replayed, ");
    }
    assert_says("\r100 % 12/12");
}

Test(dead_letters, that_fail_again_at_once_are_not_replayed_in_a_loop)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    letters_send(queue, dead_queue, 50);
    /* Each goes to the end of the very queue it is taken from. */
    assert_dead(DONE, "replay", dead_queue, "--to", dead_queue);
    assert_says("50 replayed of 50 messages");
    letters_await(dead_queue, 50);
}

Test(dead_letters, stay_where_their_queue_is_gone_and_are_named)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    letters_send(queue, dead_queue, 2);
    client_delete(stage_client(), queue);
    assert_dead(FAILED, "replay", dead_queue, NULL, NULL);
    assert_says("stays: message 0: no queue took the message");
    assert_says("2 that were meant stay");
    letters_await(dead_queue, 2);
}

static void send_published_to(const char *dead_queue, const char *id, const char *exchange,
                              const char *routing_key)
{
    const struct letter_header headers[] = {{"whippet-reason", "rejected"},
                                            {"whippet-queue", routing_key},
                                            {"whippet-exchange", exchange},
                                            {"whippet-routing-key", routing_key},
                                            {NULL, NULL}};

    letter_send(dead_queue, id, headers, amqp_cstring_bytes("x"));
}

/* The broker closes the channel on which others wait for their confirms. */
Test(dead_letters, stay_where_their_exchange_is_gone_and_the_others_go_back)
{
    enum {
        COUNT = 300
    };
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    char id[16];

    client_declare(stage_client(), queue, "classic");
    client_declare(stage_client(), dead_queue, "classic");
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "%d", i);
        send_published_to(dead_queue, id, i == 0 ? stage_name("gone") : "", queue);
    }
    assert_dead(FAILED, "replay", dead_queue, "--exchange", NULL);
    assert_says("stays: message 0: ");
    assert_says("no exchange 'gone-");
    assert_says("299 replayed of 300 messages");
    assert_says("1 that were meant stay");
    letters_await(queue, COUNT - 1);
    letters_await(dead_queue, 1);
}

Test(dead_letters, stay_where_their_queue_is_full)
{
    const char *queue = stage_name("full"), *dead_queue = stage_name("dead");
    const struct letter_header headers[] = {
        {"whippet-reason", "rejected"}, {"whippet-queue", queue}, {NULL, NULL}};

    client_declare_full(stage_client(), queue);
    client_declare(stage_client(), dead_queue, "quorum");
    for (int i = 0; i < 7; i++)
        letter_send(dead_queue, "7", headers, amqp_cstring_bytes("x"));
    assert_dead(FAILED, "replay", dead_queue, NULL, NULL);
    assert_says("stays: message 7: the broker refused it (basic.nack): is that queue full");
    assert_says("further ones are only counted");
    assert_says("7 that were meant stay");
    letters_await(dead_queue, 7);
}

Test(dead_letters, stay_where_they_are_when_the_queue_they_are_sent_to_is_missing)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    letters_send(queue, dead_queue, 2);
    assert_dead(FAILED, "replay", dead_queue, "--to", stage_name("nowhere"));
    assert_says("no queue 'nowhere-");
    assert_says("nothing was replayed");
    letters_await(dead_queue, 2);
}

Test(dead_letters, stay_when_none_matches_which_is_told)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    letters_send(queue, dead_queue, 3);
    assert_dead(DONE, "replay", dead_queue, "--match=nowhere to be found", NULL);
    assert_says("none of the 3 messages that were looked at matches");
    assert_says("0 replayed of 3 messages");
    letters_await(dead_queue, 3);
    assert_dead(DONE, "purge", dead_queue, "--yes", "--reason=crash");
    assert_says("none of the 3 messages");
    letters_await(dead_queue, 3);
}

Test(dead_letters, stay_in_a_dry_run)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    letters_send(queue, dead_queue, 3);
    assert_dead(DONE, "replay", dead_queue, "--dry-run", NULL);
    assert_says("3 would go to ");
    letters_await(dead_queue, 3);
    letters_await(queue, 0);
}

/* A queue that is suspended stands for one that is slow: RabbitMQ waits for it for 250 ms, and then says 0.
 */
Test(dead_letters, are_found_in_a_quorum_queue_that_takes_long_to_tell_how_many_there_are)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    letters_send(queue, dead_queue, 3);
    broker_do(stage_broker(),
              "{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"%s\">>)), "
              "{Name, _} = amqqueue:get_pid(Q), Server = whereis(Name), sys:suspend(Server), "
              "{ok, _} = timer:apply_after(2000, sys, resume, [Server]), ok",
              dead_queue);
    assert_dead(DONE, "replay", dead_queue, NULL, NULL);
    assert_says("3 replayed of 3 messages");
    letters_await(queue, 3);
}

/* Starts a replay of `count` letters and comes back when some, not all, are through: all of them take twenty
 * seconds. */
static pid_t replay_halfway(const char *queue, const char *dead_queue, unsigned count, int *descriptor)
{
    char rate[32];
    pid_t child;

    snprintf(rate, sizeof rate, "--rate=%u", count / 20);
    letters_send(queue, dead_queue, count);
    *descriptor = dead_open_output();
    child = dead_start(-1, *descriptor, "replay", dead_queue, rate, NULL);
    await(30, client_ready(stage_client(), queue) >= count / 20, "messages in %s", queue);
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

/* The same of a replay of so many letters, as far as it was seen. `rate` is an option. */
static long peak_of_replay(const char *queue, const char *dead_queue, unsigned count, size_t size,
                           const char *rate)
{
    char to[300];
    int descriptor = dead_open_output();
    long peak = 0, now;

    client_send_numbered(stage_client(), dead_queue, 0, count, size);
    snprintf(to, sizeof to, "--to=%s", queue);
    pid_t child = dead_start(-1, descriptor, "replay", dead_queue, to, rate);
    while ((now = peak_of(child)) > 0) {
        peak = now;
        patience_pause();
    }
    cr_assert_eq(command_wait(child), DONE);
    dead_read_output(descriptor);
    letters_await(dead_queue, 0);
    return peak;
}

Test(dead_letters, are_replayed_in_memory_that_does_not_grow_with_their_number)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    forgo_asan_memory();
    client_declare(stage_client(), queue, "classic");
    client_declare(stage_client(), dead_queue, "classic");
    /* So slow that they can be watched. */
    long few = peak_of_replay(queue, dead_queue, 1500, 2000, "--rate=1000");
    long many = peak_of_replay(queue, dead_queue, 8000, 2000, "--rate=4000");
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
    /* So slow that all of them could come before the first few have gone, and the few can be watched. */
    long few = peak_of_replay(queue, dead_queue, 2, MEBIBYTE, "--rate=1");
    long many = peak_of_replay(queue, dead_queue, 150, MEBIBYTE, "--rate=20");
    cr_assert_lt(many, few + 80 * 1024, "150 MiB of letters took %ld KiB, 2 MiB took %ld", many, few);
}

/* A quorum queue has what a closed channel held back a moment after that; a command takes what is there. */
static void await_all(const char *queue, const char *dead_queue, long count)
{
    await(15, client_ready(stage_client(), queue) + client_ready(stage_client(), dead_queue) >= count,
          "all in one of the two queues");
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
    dead_read_output(descriptor);
    cr_assert_eq(status, FAILED, "exit status %d: %s", status, dead_output);
    assert_says("interrupted; run it again for the rest");
    cr_assert_null(strstr(dead_output, "put back at the end"), "out of their order: %s", dead_output);
    await_all(queue, dead_queue, COUNT);
    assert_dead(DONE, "replay", dead_queue, NULL, NULL);
    letters_await(dead_queue, 0);
    cr_assert_eq(letters_take_all(queue, seen, COUNT), COUNT);
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
    await_all(queue, dead_queue, COUNT);
    assert_dead(DONE, "replay", dead_queue, NULL, NULL);
    letters_await(dead_queue, 0);
    cr_assert_leq(letters_take_all(queue, seen, COUNT), COUNT + UNDER_WAY);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert(seen[i] == 1 || seen[i] == 2, "message %u is there %u times", i, seen[i]);
}

/* A quorum queue that comes up lives through its last commands again: what it tells meanwhile is of then. A
 * consistent query is answered behind them. */
static bool has_come_up(const char *queue)
{
    const char *answer = broker_eval(
        stage_broker(),
        "{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"%s\">>)), "
        "P = amqqueue:get_pid(Q), {ok, N, _} = "
        "try ra:consistent_query(P, fun rabbit_fifo:query_messages_total/1) catch error:function_clause -> "
        "ra:consistent_query(P, {rabbit_fifo, query_messages_total, []}) end, N",
        queue);

    return *answer != '\0';
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
    dead_read_output(descriptor);
    cr_assert_eq(status, FAILED, "exit status %d: %s", status, dead_output);
    assert_says("run it again for the rest");
    stage_start_broker();
    await(30, has_come_up(queue) && has_come_up(dead_queue), "the queues after a restart");
    await_all(queue, dead_queue, COUNT);
    assert_dead(DONE, "replay", dead_queue, NULL, NULL);
    letters_await(dead_queue, 0);
    cr_assert_leq(letters_take_all(queue, seen, COUNT), COUNT + UNDER_WAY);
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
    broker_do(stage_broker(), "application:set_env(rabbit, quorum_commands_soft_limit, 1)");
    letters_send(queue, dead_queue, COUNT);
    assert_dead(DONE, "replay", dead_queue, "--reason=timeout", NULL);
    assert_dead(DONE, "replay", dead_queue, "--reason=rejected", NULL);
    letters_await(dead_queue, 0);
    cr_assert_eq(letters_take_all(queue, seen, COUNT), COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(seen[i], 1, "message %u is there %u times", i, seen[i]);
}
