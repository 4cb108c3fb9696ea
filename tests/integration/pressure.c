/* Publishing under pressure: alarms of the broker, and messages too large to be held. */
#include "http.h"
#include "proxy.h"
#include "stage.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(pressure, .init = stage_open_alone, .fini = stage_close, .timeout = 240);

enum {
    MIB = 1024 * 1024
};

#define ADMIN "'admin': {'listen': '127.0.0.1:0'}"

static const char *dead_queue(const char *queue)
{
    static char name[256];

    snprintf(name, sizeof(name), "%s.dead", queue);
    return name;
}

static bool admin_says(struct worker *worker, const char *path, const char *text)
{
    unsigned port = worker_number_behind(worker, "admin port at http://127.0.0.1:");
    struct http_reply reply = http_get(port, path);
    bool found = http_says(&reply, text);

    http_free(&reply);
    return found;
}

static double admin_sample(struct worker *worker, const char *name)
{
    unsigned port = worker_number_behind(worker, "admin port at http://127.0.0.1:");
    struct http_reply reply = http_get(port, "/metrics");
    double value = http_sample(&reply, name);

    http_free(&reply);
    return value;
}

/* --- A relay that breaks off ----------------------------------------------------------------------------*/

static void send_large(const char *queue, size_t size)
{
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                          .delivery_mode = AMQP_DELIVERY_PERSISTENT};
    char *body = calloc(1, size);

    cr_assert_not_null(body);
    client_publish(stage_client(), "", queue, &properties, (amqp_bytes_t){.len = size, .bytes = body});
    free(body);
}

/* The broker's end of the worker's connection of that name is gone, in the middle of whatever it sends. */
static void cut_connection(const char *name)
{
    await(20,
          atoi(broker_eval(
              stage_broker(),
              "length([exit(P, kill) || P <- "
              "rabbit_networking:connections(), {_, T} <- rabbit_reader:info(P, [client_properties]), "
              "{<<\"connection_name\">>, _, <<\"whippet %s\">>} <- T])",
              name)) == 1,
          "a connection \"whippet %s\" to cut", name);
}

Test(pressure, a_relay_that_breaks_off_leaves_the_connection_of_dead_letters_alone)
{
    const char *large, *failing;
    char options[256];
    struct proxy *proxy;
    struct worker *worker;

    stage_start_broker();
    large = stage_name("large");
    failing = stage_name("failing");
    proxy = proxy_start(broker_port(stage_broker()));
    snprintf(options, sizeof(options), "'amqp': {'url': 'amqp://guest:guest@127.0.0.1:%s/'}, " ADMIN,
             proxy_port(proxy));
    worker = worker_start(options,
                          "[{'name': '%s', 'type': 'classic', 'max_message_size': '64KiB', 'processor':"
                          "  'record', 'settings': {'path': '%s'}},"
                          " {'name': '%s', 'type': 'classic', 'processor': 'record',"
                          "  'settings': {'path': '%s', 'verdict': 'reject'}}]",
                          large, stage_path("large"), failing, stage_path("failing"));
    worker_await_consuming(worker, large);
    worker_await_consuming(worker, failing);
    cr_assert_not(admin_says(worker, "/metrics", "whippet_connection_up{connection=\"relay\"}"));
    /* 32 MiB at 4 MiB a second: the connection is closed long before the message is through. */
    proxy_say(proxy, "throttle %d", 4 * MIB);
    send_large(large, 32 * MIB);
    await(20, admin_says(worker, "/metrics", "whippet_connection_up{connection=\"relay\"} 1"), "a relay");
    await(20, proxy_status(proxy).up > 2 * MIB, "the first part of the copy");
    client_send_many(stage_client(), failing, 20);
    proxy_say(proxy, "throttle %d", MIB / 4); /* the command that cuts takes seconds on a busy machine */
    cut_connection("consume");
    proxy_say(proxy, "throttle 0");
    worker_await_saying(worker, 10, "connection lost");
    client_send_many(stage_client(), failing, 20);
    await(30, client_ready(stage_client(), dead_queue(failing)) >= 40, "40 dead letters, found %ld",
          client_ready(stage_client(), dead_queue(failing)));
    await(30, client_ready(stage_client(), dead_queue(large)) == 1, "the large one to come again");
    cr_assert_eq(admin_sample(worker, "whippet_reconnects_total{connection=\"consume\"} "), 1);
    cr_assert_eq(admin_sample(worker, "whippet_reconnects_total{connection=\"publish\"} "), 0,
                 "the connection of dead letters was lost");
    cr_assert_eq(worker_said(worker, "UNEXPECTED_FRAME"), 0, "the broker took it for a violation");
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, large).dead_lettered, 1);
    proxy_end(proxy);
}

/* --- Alarms ---------------------------------------------------------------------------------------------*/

struct alarm {
    const char *raise;
    const char *clear;
};

static const struct alarm MEMORY = {"vm_memory_monitor:set_vm_memory_high_watermark(1.0e-6)",
                                    "vm_memory_monitor:set_vm_memory_high_watermark(0.6)"};
static const struct alarm DISK = {"rabbit_disk_monitor:set_disk_free_limit(\"900000GB\")",
                                  "rabbit_disk_monitor:set_disk_free_limit(\"16MB\")"};

/* In an alarm the broker reads nothing from who has published, as the test's client has: so this asks the
 * broker itself. `what` is messages, messages_ready … */
static long count_at_broker(const char *queue, const char *what)
{
    return atol(broker_eval(stage_broker(),
                            "element(2, hd(rabbit_amqqueue:info(element(2, rabbit_amqqueue:lookup("
                            "rabbit_misc:r(<<\"/\">>, queue, <<\"%s\">>))), [%s])))",
                            queue, what));
}

static void raise_alarm(const struct alarm *alarm)
{
    broker_do(stage_broker(), "%s", alarm->raise);
    await(30, strstr(broker_eval(stage_broker(), "rabbit_alarm:get_alarms()"), "resource_limit") != NULL,
          "the alarm");
}

static void clear_alarm(const struct alarm *alarm)
{
    broker_do(stage_broker(), "%s", alarm->clear);
    await(30, strcmp(broker_eval(stage_broker(), "rabbit_alarm:get_alarms()"), "[]") == 0,
          "the end of the alarm");
}

static void fill(const char *queue, unsigned count)
{
    client_declare(stage_client(), queue, "classic");
    client_send_many(stage_client(), queue, count);
}

static void assert_outlasts(const struct alarm *alarm)
{
    enum {
        FAILING = 20,
        FINE = 50
    };
    const char *failing, *fine;
    struct worker *worker;

    stage_start_broker();
    failing = stage_name("failing");
    fine = stage_name("fine");
    fill(failing, FAILING);
    fill(fine, FINE);
    raise_alarm(alarm);
    worker = worker_start(ADMIN,
                          "[{'name': '%s', 'type': 'classic', 'processor': 'record',"
                          "  'settings': {'path': '%s', 'verdict': 'reject'}},"
                          " {'name': '%s', 'type': 'classic', 'processor': 'record', 'concurrency': 1,"
                          "  'settings': {'path': '%s', 'delay': '20ms'}}]",
                          failing, stage_path("failing"), fine, stage_path("fine"));
    worker_await_saying(worker, 30, "the broker has raised an alarm");
    await(30, count_at_broker(fine, "messages") == 0, "the acks of others, %ld are left",
          count_at_broker(fine, "messages"));
    cr_assert(admin_says(worker, "/readyz", "\"blocked\":[\"publish\"]"));
    await(20, admin_says(worker, "/readyz", "\"ready\":true"),
          "readiness: an alarm is no reason to take it out of service");
    cr_assert_eq(admin_sample(worker, "whippet_connection_blocked{connection=\"publish\"} "), 1);
    await(20, count_at_broker(failing, "messages_unacknowledged") == FAILING,
          "all that fail at the worker, none of them settled unconfirmed: found %ld",
          count_at_broker(failing, "messages_unacknowledged"));
    cr_assert_eq(count_at_broker(dead_queue(failing), "messages"), 0);
    clear_alarm(alarm);
    await(30, count_at_broker(failing, "messages") == 0, "the dead letters' confirms");
    cr_assert_eq(client_ready(stage_client(), dead_queue(failing)), FAILING);
    cr_assert_eq(worker_said(worker, "the broker has raised an alarm"), 1);
    cr_assert_eq(worker_said(worker, "the broker's alarm is over"), 1);
    cr_assert_eq(admin_sample(worker, "whippet_connection_blocked{connection=\"publish\"} "), 0);
    cr_assert_eq(admin_sample(worker, "messaging_client_sent_messages_total{purpose=\"dead_letter\","
                                      "outcome=\"confirmed\"} "),
                 FAILING);
    worker_stop(worker, 20);
}

Test(pressure, of_memory_holds_dead_letters_and_nothing_else)
{
    assert_outlasts(&MEMORY);
}

Test(pressure, of_the_disk_holds_dead_letters_and_nothing_else)
{
    assert_outlasts(&DISK);
}

Test(pressure, does_not_keep_the_worker_from_stopping)
{
    enum {
        MESSAGES = 10
    };
    const char *queue;
    struct worker *worker;

    stage_start_broker();
    queue = stage_name("failing");
    fill(queue, MESSAGES);
    raise_alarm(&MEMORY);
    worker = worker_start("'shutdown_timeout': '3s'",
                          "[{'name': '%s', 'type': 'classic', 'processor': 'record',"
                          "  'settings': {'path': '%s', 'verdict': 'reject'}}]",
                          queue, stage_path("record"));
    worker_await_saying(worker, 30, "the broker has raised an alarm");
    worker_signal(worker, SIGTERM);
    worker_await_end(worker, 3 + 5, WORKER_ANY_STATUS);
    cr_assert_eq(worker_counts(worker, queue).returned, MESSAGES);
    await(10, count_at_broker(queue, "messages_ready") == MESSAGES,
          "%d messages back in their queue, found %ld", MESSAGES, count_at_broker(queue, "messages_ready"));
    clear_alarm(&MEMORY);
}

/* Who waits to publish holds a slot of its queue: there are never more than those. */
Test(pressure, lets_no_more_wait_to_publish_than_there_are_slots)
{
    enum {
        MESSAGES = 400,
        SLOTS = 8,
        PREFETCH = 200,
        GROWTH = 8 * MIB
    };
    const char *queue, *target;
    char body[256], sample[200];
    uint64_t before;
    struct worker *worker;

    stage_start_broker();
    queue = stage_name("publishing");
    target = stage_name("target");
    client_declare(stage_client(), target, "classic");
    client_declare(stage_client(), queue, "classic");
    snprintf(body, sizeof(body), "{\"to\": \"%s\", \"seconds\": 60}", target);
    for (unsigned i = 0; i < MESSAGES; i++) {
        client_send(stage_client(), queue, "m", body);
    }
    raise_alarm(&MEMORY);
    worker = worker_start(ADMIN,
                          "[{'name': '%s', 'type': 'classic', 'processor': '%s/answering.so',"
                          "  'concurrency': %d, 'prefetch': %d}]",
                          queue, getenv("WHIPPET_TEST_PLUGINS"), SLOTS, PREFETCH);
    worker_await_saying(worker, 30, "the broker has raised an alarm");
    snprintf(sample, sizeof(sample), "whippet_waiting{queue=\"%s\",processor=\"%s/answering.so\"} ", queue,
             getenv("WHIPPET_TEST_PLUGINS"));
    await(20, admin_sample(worker, sample) == PREFETCH - SLOTS, "%d waiting for a slot", PREFETCH - SLOTS);
    before = worker_memory(worker);
    memcpy(strstr(sample, "waiting"), "running", strlen("running"));
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(admin_sample(worker, sample), SLOTS);
    }
    cr_assert_lt(worker_memory(worker), before + GROWTH);
    clear_alarm(&MEMORY);
    await(60, client_ready(stage_client(), target) == MESSAGES, "%d publications, found %ld", MESSAGES,
          client_ready(stage_client(), target));
    worker_stop(worker, 20);
}

/* --- A broker that stands still -------------------------------------------------------------------------*/

Test(pressure, of_a_broker_that_reads_nothing_for_ten_seconds_costs_no_connection)
{
    enum {
        MESSAGES = 300
    };
    const char *queue;
    struct worker *worker;
    char options[300];

    stage_start_broker();
    queue = stage_name("failing");
    fill(queue, MESSAGES);
    snprintf(options, sizeof(options), "'amqp': {'url': '%s', 'heartbeat': '30s'}, " ADMIN,
             stage_broker()->url);
    worker = worker_start(options,
                          "[{'name': '%s', 'type': 'classic', 'processor': 'record', 'concurrency': 4,"
                          "  'settings': {'path': '%s', 'verdict': 'reject', 'delay': '20ms'}}]",
                          queue, stage_path("record"));
    await(20, records_count(stage_path("record"), "end", NULL) > 20, "the first ends");
    broker_pause(stage_broker());
    /* Time itself is what is tested: less than the heartbeat. */
    poll(NULL, 0, 10 * 1000);
    broker_resume(stage_broker());
    await(60, client_ready(stage_client(), dead_queue(queue)) == MESSAGES, "%d dead letters, found %ld",
          MESSAGES, client_ready(stage_client(), dead_queue(queue)));
    cr_assert_eq(admin_sample(worker, "whippet_reconnects_total{connection=\"consume\"} "), 0);
    cr_assert_eq(admin_sample(worker, "whippet_reconnects_total{connection=\"publish\"} "), 0);
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).dead_lettered, MESSAGES);
}
