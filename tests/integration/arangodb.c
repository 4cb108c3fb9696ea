/* The processor arangodb: real messages through a real broker to a stand-in for ArangoDB, which fails, hangs
 * and forgets whom it knows. */
#include "arangodb.h"
#include "every_mode.h"
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct arangodb *arangodb;
static char password_file[] = "/tmp/whippet-arangodb-XXXXXX";

static void open_all(void)
{
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    int descriptor = mkstemp(password_file);
    cr_assert_eq(write(descriptor, ARANGODB_PASSWORD, strlen(ARANGODB_PASSWORD)),
                 (ssize_t)strlen(ARANGODB_PASSWORD));
    close(descriptor);
    stage_open();
    arangodb = arangodb_start(true);
}

static void close_all(void)
{
    stage_close();
    arangodb_stop(arangodb);
    unlink(password_file);
}

TestSuite(arangodb_worker, .init = open_all, .fini = close_all, .timeout = 240);

/* `settings` are further ones, `members` further members of the queue. */
static struct worker *start(const char *mode, const char *queue, const char *settings, const char *members)
{
    struct worker *worker = worker_start(
        "'threads': 8",
        "[{'name': '%s', 'processor': '%s/../../processors/arangodb.so', 'run': '%s', 'concurrency': 16%s,"
        "  'settings': {'url': 'http://127.0.0.1:%u', 'database': 'shop', 'collection': 'orders', 'auth': "
        "'jwt',"
        "               'user': '" ARANGODB_USER "', 'password_file': '%s', 'key': '@message_id'%s}}]",
        queue, getenv("WHIPPET_TEST_PLUGINS"), mode, members, arangodb_port(arangodb), password_file,
        settings);
    worker_await_consuming(worker, queue);
    return worker;
}

static void send_orders(const char *queue, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        char id[32], body[64];
        snprintf(id, sizeof id, "order-%u", i);
        snprintf(body, sizeof body, "{\"number\": %u, \"lines\": [\"a\", null]}", i);
        client_send(stage_client(), queue, id, body);
    }
}

static void assert_order(unsigned number)
{
    char key[32], expected[128];
    snprintf(key, sizeof key, "order-%u", number);
    snprintf(expected, sizeof expected, "{\"_key\":\"%s\",\"number\":%u,\"lines\":[\"a\",null]}", key,
             number);
    char *found = arangodb_document(arangodb, "orders", key);
    cr_assert_str_eq(found, expected);
    free(found);
}

enum {
    MANY = 200
};

/* The server is not well, takes back its tokens, ends connections and forgets a document: each message
 * becomes one document all the same, which was seen before it was acknowledged. */
IN_EVERY_MODE_OF(arangodb_worker, writes_and_verifies_each_message_whatever_the_server_does)
{
    const char *queue = stage_name("orders");
    client_declare(stage_client(), queue, "quorum");
    struct worker *worker =
        start(mode, queue, ", 'verify': true, 'verify_attempts': 2, 'verify_delay': '20ms'",
              ", 'timeout': '20s', 'retry': {'attempts': 50, 'delay': '50ms'}");
    send_orders(queue, 0, MANY / 4);
    await(60, arangodb_count(arangodb, "orders") >= MANY / 4, "%u documents",
          arangodb_count(arangodb, "orders"));
    arangodb_fail(arangodb, ARANGODB_WRITE, ARANGODB_UNAVAILABLE, 20);
    send_orders(queue, MANY / 4, MANY / 2);
    await(60, arangodb_count(arangodb, "orders") >= MANY / 2, "%u documents",
          arangodb_count(arangodb, "orders"));
    arangodb_forget_tokens(arangodb);
    arangodb_fail(arangodb, ARANGODB_WRITE, ARANGODB_CUT, 20);
    send_orders(queue, MANY / 2, MANY * 3 / 4);
    await(60, arangodb_count(arangodb, "orders") >= MANY * 3 / 4, "%u documents",
          arangodb_count(arangodb, "orders"));
    arangodb_fail(arangodb, ARANGODB_WRITE, ARANGODB_FORGETS, 1);
    arangodb_fail(arangodb, ARANGODB_READ, ARANGODB_CONFLICT, 20);
    send_orders(queue, MANY * 3 / 4, MANY);
    await(60, arangodb_count(arangodb, "orders") == MANY, "%u documents", arangodb_count(arangodb, "orders"));
    await(60, worker_in_flight(worker) == 0, "the last acknowledgements");
    worker_stop(worker, 20);
    struct worker_counts counts = worker_counts(worker, queue);
    cr_assert_eq(counts.acked, MANY, "%lu were acknowledged, %lu dead-lettered", counts.acked,
                 counts.dead_lettered);
    for (unsigned i = 0; i < MANY; i++)
        assert_order(i);
    cr_assert_eq(worker_said(worker, "p@ss"), 0);
    cr_assert_eq(worker_said(worker, "secret-token"), 0);
}

static void await_dead_letter(const char *queue, const char *reason, const char *error)
{
    struct client_message *letter = NULL;
    char name[256];
    snprintf(name, sizeof name, "%s.dead", queue);
    await(60, client_ready(stage_client(), name) > 0, "a message in %s", name);
    await(5, (letter = client_get(stage_client(), name)) != NULL, "the message in %s", name);
    char *found_reason = client_header_text(letter, "whippet-reason");
    char *found_error = client_header_text(letter, "whippet-error");
    cr_assert_str_eq(found_reason, reason);
    cr_assert_not_null(strstr(found_error, error), "\"%s\" is not in \"%s\"", error, found_error);
    free(found_reason);
    free(found_error);
    client_message_destroy(letter);
}

Test(arangodb_worker, dead_letters_what_is_no_document_and_goes_on)
{
    const char *queue = stage_name("refused");
    client_declare(stage_client(), queue, "quorum");
    struct worker *worker = start("loop", queue, "", "");
    client_send(stage_client(), queue, "a", "{\"half\": ");
    await_dead_letter(queue, "rejected", "the body is not JSON: expected a value at line 1, column 10");
    client_send(stage_client(), queue, "not/a/key", "{}");
    await_dead_letter(queue, "rejected", "the document's key has a character that ArangoDB does not take");
    send_orders(queue, 0, 1);
    await(30, arangodb_count(arangodb, "orders") == 1, "the document");
    worker_stop(worker, 20);
    struct worker_counts counts = worker_counts(worker, queue);
    cr_assert_eq(counts.acked, 1, "%lu acked", counts.acked);
    cr_assert_eq(counts.dead_lettered, 2, "%lu dead-lettered", counts.dead_lettered);
}

Test(arangodb_worker, gives_up_a_server_that_hangs_and_says_so)
{
    const char *queue = stage_name("hangs");
    client_declare(stage_client(), queue, "quorum");
    struct worker *worker =
        start("loop", queue, ", 'timeout': '5s'", ", 'retry': {'attempts': 2, 'delay': '10ms'}");
    arangodb_fail(arangodb, ARANGODB_LOGIN, ARANGODB_HANGS, 1);
    arangodb_fail(arangodb, ARANGODB_WRITE, ARANGODB_HANGS, 1);
    send_orders(queue, 0, 1);
    await_dead_letter(queue, "retry-exhausted", "/_api/document/orders: no whole response in time");
    worker_stop(worker, 20);
    cr_assert_gt(worker_said(worker, "/_open/auth: no whole response in time"), 0);
}
