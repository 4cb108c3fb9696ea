/* The processor `pipe` against a real broker: its children are killed, hang and misbehave under load, and all
 * messages are accounted for. Children are tests/programs/pipe_child.c, or the README's examples. */
#include "every_mode.h"
#include "stage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(pipe_processor, .init = stage_open, .fini = stage_close, .timeout = 240);

/* With `settings` after the command, and `more` members of the queue. */
static struct worker *start(const char *mode, const char *queue, const char *settings, const char *more)
{
    struct worker *worker =
        worker_start("'threads': 16",
                     "[{'name': '%s', 'processor': '%s', 'run': '%s',"
                     "  'settings': {'command': ['%s', '%s']%s}%s}]",
                     queue, PIPE_PROCESSOR, mode, PIPE_CHILD, stage_path("notes"), settings, more);
    worker_await_consuming(worker, queue);
    return worker;
}

static const char *dead_queue(const char *queue)
{
    static char name[256];
    snprintf(name, sizeof name, "%s.dead", queue);
    return name;
}

static void assert_dead_letter(const char *queue, const char *reason, const char *error)
{
    struct client_message *message = NULL;
    await(30, client_ready(stage_client(), queue) > 0, "a message in %s", queue);
    await(5, (message = client_get(stage_client(), queue)) != NULL, "the message in %s", queue);
    char *found_reason = client_header_text(message, "whippet-reason");
    char *found_error = client_header_text(message, "whippet-error");
    cr_assert_str_eq(found_reason, reason);
    cr_assert_not_null(strstr(found_error, error), "\"%s\" is not in \"%s\"", error, found_error);
    free(found_reason);
    free(found_error);
    client_message_destroy(message);
}

/* --- The account ----------------------------------------------------------------------------------------*/

enum {
    MANY = 10000,
    CHILDREN = 4,
    IN_FLIGHT = 8,
    KILLS = 20,
    CHILDREN_MOST = 1000
};

/* What the children have noted, all together. */
struct account {
    long children[CHILDREN_MOST]; /* process numbers, in the order they began */
    size_t begun;
    size_t done;      /* messages, those done twice twice */
    size_t different; /* without those */
};

static struct account read_account(void)
{
    static bool seen[MANY];
    struct account account = {0};
    char line[300], word[16], body[200];
    long process;
    memset(seen, 0, sizeof seen);
    FILE *file = fopen(stage_path("notes"), "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%15s %ld %199s", word, &process, body) != 3)
            continue;
        if (strcmp(word, "begin") == 0 && account.begun < CHILDREN_MOST)
            account.children[account.begun++] = process;
        unsigned number = strcmp(word, "done") == 0 ? (unsigned)atoi(body) : MANY;
        account.done += number < MANY;
        account.different += number < MANY && !seen[number];
        if (number < MANY)
            seen[number] = true;
    }
    if (file != NULL)
        fclose(file);
    return account;
}

static void await_done(size_t count)
{
    await(30, read_account().done == count, "%zu messages done, found %zu", count, read_account().done);
}

/* The youngest child, which is at work most likely. Not one that was killed before: its number may be
 * somebody else's by now. */
static void kill_youngest(const struct account *account)
{
    static size_t killed; /* how many had begun at the last kill */

    if (account->begun > killed)
        kill((pid_t)account->children[account->begun - 1], SIGKILL);
    killed = account->begun;
}

IN_EVERY_MODE_OF(pipe_processor, ten_thousand_messages_survive_the_killing_of_their_children)
{
    const char *queue = stage_name("many");
    struct worker *worker = start(mode, queue, ", 'children': 4, 'in_flight': 8",
                                  ", 'concurrency': 64, 'prefetch': 500,"
                                  "  'timeout': '30s', 'retry': {'attempts': 50, 'delay': '20ms'}");

    client_send_numbered(stage_client(), queue, 0, MANY / 2, 20);
    unsigned killed = 0;
    for (size_t next = 200; killed < KILLS; next += MANY / (KILLS + 2), killed++) {
        struct account account;
        if (killed == KILLS / 2) /* for half of the kills, however soon the first half of messages is done */
            client_send_numbered(stage_client(), queue, MANY / 2, MANY / 2, 20);
        await(120, (account = read_account()).done >= next, "%zu messages, found %zu", next, account.done);
        kill_youngest(&account);
    }
    await(120, read_account().different == MANY, "all messages, found %zu", read_account().different);
    worker_stop(worker, 30);
    struct account account = read_account();
    struct worker_counts counts = worker_counts(worker, queue);
    cr_assert_eq(counts.acked, MANY, "%lu acked", counts.acked);
    cr_assert_eq(counts.consumed, MANY, "%lu consumed: the broker gave none twice", counts.consumed);
    cr_assert_leq(account.done - MANY, KILLS * IN_FLIGHT,
                  "%zu were done twice; %d children with %d in flight were killed", account.done - MANY,
                  KILLS, IN_FLIGHT);
    cr_assert_geq(worker_said(worker, "was ended by signal 9 (SIGKILL)"), 1);
    cr_assert_geq(account.begun, CHILDREN + 1);
}

/* --- Messages that break their child --------------------------------------------------------------------*/

IN_EVERY_MODE_OF(pipe_processor, a_message_that_breaks_its_child_is_dead_lettered_and_the_others_are_done)
{
    const char *queue = stage_name("breaking");
    struct worker *worker = start(mode, queue, ", 'children': 2, 'in_flight': 1",
                                  ", 'concurrency': 4, 'retry': {'attempts': 2, 'delay': '20ms'}");

    client_send(stage_client(), queue, "1", "die 11");
    assert_dead_letter(dead_queue(queue), "retry-exhausted", "was ended by signal 11 (SIGSEGV)");
    client_send(stage_client(), queue, "2", "garbage hello");
    assert_dead_letter(dead_queue(queue), "retry-exhausted", "wrote a line that is not JSON");
    client_send(stage_client(), queue, "3", "reject no such customer");
    assert_dead_letter(dead_queue(queue), "rejected", "no such customer");
    client_send_many(stage_client(), queue, 200);
    await_done(200);
    worker_stop(worker, 30);
    cr_assert_eq(worker_counts(worker, queue).acked, 200);
    cr_assert_eq(worker_counts(worker, queue).dead_lettered, 3);
}

IN_EVERY_MODE_OF(pipe_processor, two_messages_that_break_a_full_child_cost_their_neighbours_no_attempt)
{
    enum {
        FULL = 16
    };
    const char *queue = stage_name("neighbours");

    client_declare(stage_client(), queue, "quorum");
    for (int i = 0; i < FULL; i++)
        client_send(stage_client(), queue, "m", i % (FULL - 1) == 0 ? "die 9" : "ack");
    struct worker *worker =
        start(mode, queue, "", ", 'concurrency': 16, 'retry': {'attempts': 2, 'delay': '20ms'}");
    await_done(FULL - 2);
    await(30, client_ready(stage_client(), dead_queue(queue)) == 2, "two dead letters");
    worker_stop(worker, 30);
    struct worker_counts counts = worker_counts(worker, queue);
    cr_assert_eq(counts.acked, FULL - 2, "%lu acked", counts.acked);
    cr_assert_eq(counts.dead_lettered, 2, "%lu dead-lettered", counts.dead_lettered);
}

Test(pipe_processor, a_child_that_hangs_is_killed_at_its_messages_timeout)
{
    const char *queue = stage_name("hanging");
    struct worker *worker = start("loop", queue, ", 'children': 2, 'in_flight': 1",
                                  ", 'timeout': '5s', 'retry': {'attempts': 2, 'delay': '20ms'}");

    client_send_many(stage_client(), queue, 10);
    await_done(10);
    client_send(stage_client(), queue, "1", "hang");
    assert_dead_letter(dead_queue(queue), "timeout", "the child that had it did not answer, and was killed");
    client_send(stage_client(), queue, "2", "ack");
    await_done(11);
    worker_stop(worker, 30);
    cr_assert_eq(worker_counts(worker, queue).acked, 11);
}

Test(pipe_processor, a_stop_waits_for_what_children_have_begun)
{
    const char *queue = stage_name("stopping");
    struct worker *worker = start("loop", queue, "", "");

    client_send(stage_client(), queue, "1", "late 8000");
    await(20, worker_in_flight(worker) == 1, "a child at work");
    worker_stop(worker, 30);
    cr_assert_eq(worker_counts(worker, queue).acked, 1);
    cr_assert_eq(worker_said(worker, "was killed"), 0);
}

/* --- The README's examples ------------------------------------------------------------------------------*/

static struct worker *start_example(const char *mode, const char *queue, const char *interpreter,
                                    const char *file)
{
    struct worker *worker = worker_start("",
                                         "[{'name': '%s', 'processor': '%s', 'run': '%s', 'timeout': '60s',"
                                         "  'retry': {'attempts': 2, 'delay': '20ms'},"
                                         "  'settings': {'command': ['%s', '%s/%s']}}]",
                                         queue, PIPE_PROCESSOR, mode, interpreter, PIPE_EXAMPLES, file);
    worker_await_consuming(worker, queue);
    return worker;
}

IN_EVERY_MODE_OF(pipe_processor, the_python_example_counts_orders)
{
    const char *queue = stage_name("python");
    struct worker *worker = start_example(mode, queue, "python3", "orders.py");

    client_send(stage_client(), queue, "1", "{\"customer\": \"ada\", \"total\": 3}");
    client_send(stage_client(), queue, "2", "{\"customer\": \"ada\", \"total\": 4}");
    worker_await_saying(worker, 60, "child 1: ada has ordered for 7");
    client_send(stage_client(), queue, "3", "{\"total\": 4}");
    assert_dead_letter(dead_queue(queue), "rejected", "no order: KeyError: 'customer'");
    client_send(stage_client(), queue, "4", "\xff");
    assert_dead_letter(dead_queue(queue), "rejected", "no order: UnicodeDecodeError");
    client_send(stage_client(), queue, "5", "{\"customer\": \"ada\", \"total\": \"x\"}");
    assert_dead_letter(dead_queue(queue), "rejected", "no order: TypeError");
    client_send(stage_client(), queue, "6", "{\"customer\": [], \"total\": 1}");
    assert_dead_letter(dead_queue(queue), "rejected", "no order: TypeError");
    worker_stop(worker, 30);
    cr_assert_eq(worker_counts(worker, queue).acked, 2);
}

Test(pipe_processor, the_node_example_answers_in_the_order_in_which_it_is_ready)
{
    const char *queue = stage_name("node");
    struct worker *worker;

    client_declare(stage_client(), queue, "classic");
    client_send(stage_client(), queue, "1", "{\"customer\": \"slow\", \"delay\": 3000}");
    client_send(stage_client(), queue, "2", "{\"customer\": \"quick\"}");
    worker = start_example("loop", queue, "node", "orders.js");
    worker_await_saying(worker, 60, "child 1: an order of quick");
    worker_await_saying(worker, 60, "child 1: an order of slow");
    cr_assert(worker_said_before(worker, "an order of quick", "an order of slow"));
    client_send(stage_client(), queue, "3", "nonsense");
    assert_dead_letter(dead_queue(queue), "rejected", "no order: Unexpected token");
    client_send(stage_client(), queue, "4", "{}");
    assert_dead_letter(dead_queue(queue), "retry-exhausted", "the order names no customer");
    worker_stop(worker, 30);
    cr_assert_eq(worker_counts(worker, queue).acked, 2);
}
