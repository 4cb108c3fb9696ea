/* What the admin port tells from the management API of a real broker. */
#include "management.h"
#include "http.h"
#include "stage.h"

#include <signal.h>
#include <stdio.h>

TestSuite(management, .init = stage_open_alone, .fini = stage_close, .timeout = 300);

static unsigned port_of(struct worker *worker)
{
    worker_await_saying(worker, 10, "admin port at http://127.0.0.1:");
    return worker_number_behind(worker, "admin port at http://127.0.0.1:");
}

static bool says(unsigned port, const char *path, const char *text)
{
    struct http_reply reply = http_get(port, path);
    bool found = http_says(&reply, text);
    http_free(&reply);
    return found;
}

#define CONFIGURATION                                                                                        \
    "'admin': {'listen': '127.0.0.1:0'}, "                                                                   \
    "'management': {'url': 'http://%s127.0.0.1:%u', 'interval': '200ms'}"

#define ONE_QUEUE                                                                                            \
    "[{'name': '%s', 'processor': 'record', 'concurrency': 1,"                                               \
    "  'settings': {'path': '%s', 'delay': '120s'}}]"

/* A worker that takes one message and keeps it; the API is asked as `user`, "" for the broker's own. */
static struct worker *start(unsigned api, const char *user, const char *queue)
{
    char options[256];
    snprintf(options, sizeof options, CONFIGURATION, user, api);
    return worker_start(options, ONE_QUEUE, queue, stage_path("record"));
}

static void end(struct worker *worker)
{
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 10, WORKER_ANY_STATUS);
}

Test(management, tells_what_waits_in_the_broker_and_who_consumes)
{
    const char *queue = stage_name("orders");
    char sample[200], options[400];
    stage_start_broker();
    unsigned api = management_enable(stage_broker());
    client_declare(stage_client(), queue, "classic");
    client_send_many(stage_client(), queue, 6);
    struct worker *worker = start(api, "", queue);
    unsigned port = port_of(worker);

    await(60, says(port, "/api/status", "\"broker\":{\"ready\":5,\"unacknowledged\":1,\"consumers\":1}"),
          "the broker's figures");
    /* Each round counts for itself, and of one that took too long nothing would be known. */
    await(20, says(port, "/api/status", "\"up\":true,\"error\":null"), "the API to be up");
    await(20, says(port, "/metrics", "\nwhippet_management_up 1\n"), "the API to be up in the metrics");
    snprintf(sample, sizeof sample, "\nwhippet_broker_messages_ready{queue=\"%s\",processor=\"record\"} 5\n",
             queue);
    await(20, says(port, "/metrics", sample), "the broker's figures in the metrics");

    /* After a reload it asks about the queue that is consumed then. */
    broker_control(stage_broker(), "add_vhost", "other", NULL);
    broker_control(stage_broker(), "set_permissions", "-p", "other", "guest", ".*", ".*", ".*", NULL);
    snprintf(
        options, sizeof options,
        "'shutdown_timeout': '1s', 'amqp': {'url': 'amqp://guest:guest@127.0.0.1:%s/other'}, " CONFIGURATION,
        broker_port(stage_broker()), "", api);
    worker_reload(worker, options, ONE_QUEUE, queue, stage_path("record"));
    await(60, says(port, "/api/status", "\"broker\":{\"ready\":0,\"unacknowledged\":0,\"consumers\":1}"),
          "the figures of the other virtual host");
    end(worker);

    /* Somebody may log in and may not look. */
    broker_control(stage_broker(), "add_user", "nobody", "secret", NULL);
    worker = start(api, "nobody:secret@", queue);
    port = port_of(worker);
    await(60, says(port, "/api/status", "refuses this user (401): give it the tag"), "the refusal");
    cr_assert(says(port, "/api/status", "\"broker\":null"));
    cr_assert_not(says(port, "/api/status", "secret"));
    cr_assert(says(port, "/metrics", "\nwhippet_management_up 0\n"));

    /* Which is mended. */
    worker_await_saying(worker, 10, "no figures of the broker: the management API at http://127.0.0.1:");
    broker_control(stage_broker(), "set_user_tags", "nobody", "monitoring", NULL);
    broker_control(stage_broker(), "set_permissions", "nobody", "", "", ".*", NULL);
    await(60, says(port, "/api/status", "\"consumers\":1}"), "figures again");
    worker_await_saying(worker, 10, "there are figures of the broker again");
    cr_assert_eq(worker_said(worker, "no figures of the broker"), 1, "it said so more than once");
    end(worker);
}
