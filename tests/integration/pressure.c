/* Publishing under pressure: alarms of the broker, and messages too large to be held. */
#include "http.h"
#include "proxy.h"
#include "stage.h"

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
    broker_eval(stage_broker(),
                "[exit(P, kill) || P <- "
                "rabbit_networking:connections(), {_, T} <- rabbit_reader:info(P, [client_properties]), "
                "{<<\"connection_name\">>, _, <<\"whippet %s\">>} <- T]",
                name);
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
    cut_connection("consume");
    worker_await_saying(worker, 10, "connection lost");
    proxy_say(proxy, "throttle 0");
    client_send_many(stage_client(), failing, 20);
    await(30, client_ready(stage_client(), dead_queue(failing)) >= 40, "40 dead letters, found %ld",
          client_ready(stage_client(), dead_queue(failing)));
    await(30, client_ready(stage_client(), dead_queue(large)) == 1, "the large one to come again");
    cr_assert_eq(admin_sample(worker, "whippet_reconnects_total{connection=\"consume\"} "), 1);
    cr_assert_eq(admin_sample(worker, "whippet_reconnects_total{connection=\"publish\"} "), 0,
                 "the connection of dead letters was lost");
    cr_assert_eq(worker_said(worker, "505"), 0, "the broker took it for a violation");
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, large).dead_lettered, 1);
    proxy_end(proxy);
}
