/* The publish command against a real broker. */
#include "stage.h"

#include "command.h"
#include "proxy.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(publishing, .init = stage_open, .fini = stage_close, .timeout = 120);

enum {
    DONE = 0,
    FAILED = 1,
    UNREACHABLE = 69
};

/* Runs `whippet publish` with these arguments after the broker's URL; returns its exit status. */
static int publish(const char *url, const char *first, const char *second, const char *third,
                   const char *fourth)
{
    const char *arguments[] = {
        getenv("WHIPPET_PROGRAM"), "publish", "--quiet", "--url", url, first, second, third, fourth, NULL};

    return command_run(arguments, NULL, 0);
}

Test(publishing, ends_once_every_message_is_confirmed)
{
    const char *queue = stage_name("orders");
    struct client_message *message;

    client_declare(stage_client(), queue, "quorum");
    cr_assert_eq(publish(stage_broker()->url, "--count=2500", "--body=order {n}", queue, NULL), DONE);
    await(5, client_ready(stage_client(), queue) == 2500, "2500 messages, found %ld",
          client_ready(stage_client(), queue));
    message = client_get(stage_client(), queue);
    cr_assert_not_null(message);
    cr_assert(message->content.body.len == strlen("order 1") &&
                  memcmp(message->content.body.bytes, "order ", 6) == 0,
              "the first body is \"%.*s\"", (int)message->content.body.len,
              (char *)message->content.body.bytes);
    cr_assert_eq(message->content.properties.delivery_mode, AMQP_DELIVERY_PERSISTENT);
    client_message_destroy(message);
}

Test(publishing, keeps_to_the_rate)
{
    const char *queue = stage_name("rate");
    double start = patience_now(), took;

    client_declare(stage_client(), queue, "classic");
    cr_assert_eq(publish(stage_broker()->url, "--count=50", "--rate=25", "--body=x", queue), DONE);
    took = patience_now() - start;
    cr_assert(took > 1.8 && took < patience_stretched(5), "50 messages at 25 a second took %.3f s", took);
}

Test(publishing, fails_when_no_queue_takes_the_message)
{
    cr_assert_eq(publish(stage_broker()->url, "--body=x", stage_name("nowhere"), NULL, NULL), FAILED);
}

/* The broker answers by closing the channel. */
Test(publishing, fails_when_there_is_no_such_exchange)
{
    cr_assert_eq(publish(stage_broker()->url, "--exchange=whippet-nowhere", "--body=x", NULL, NULL), FAILED);
    cr_assert_eq(
        publish(stage_broker()->url, "--exchange=whippet-nowhere", "--body=x", "--count=100000", NULL),
        FAILED);
}

Test(publishing, goes_on_to_the_next_address_where_one_does_not_answer)
{
    const char *queue = stage_name("orders");
    char urls[BROKER_URL_SIZE + 64];

    client_declare(stage_client(), queue, "classic");
    snprintf(urls, sizeof(urls), "amqp://guest:guest@127.0.0.1:1/,%s", stage_broker()->url);
    cr_assert_eq(publish(urls, "--body=x", queue, NULL, NULL), DONE);
    await(5, client_ready(stage_client(), queue) == 1, "the message");
}

Test(publishing, says_that_no_broker_is_there)
{
    /* Port 1 is tcpmux's, which nobody runs. */
    cr_assert_eq(publish("amqp://guest:guest@127.0.0.1:1/", "--body=x", "orders", NULL, NULL), UNREACHABLE);
}

/* --- A broker that goes away ----------------------------------------------------------------------------*/

/* Starts it through the proxy, with both streams into that file; returns when the queue has the first. */
static pid_t start_publishing(struct proxy *proxy, const char *queue, const char *count, int output)
{
    char url[BROKER_URL_SIZE];
    const char *arguments[] = {getenv("WHIPPET_PROGRAM"),
                               "publish",
                               "--quiet",
                               "--url",
                               url,
                               "--rate=100",
                               count,
                               "--body=x",
                               queue,
                               NULL};
    pid_t child;

    client_declare(stage_client(), queue, "classic");
    snprintf(url, sizeof(url), "amqp://guest:guest@127.0.0.1:%s/", proxy_port(proxy));
    child = command_start(arguments, -1, output, output);
    await(20, client_ready(stage_client(), queue) > 0, "the first message");
    return child;
}

Test(publishing, goes_on_when_the_connection_was_lost)
{
    struct proxy *proxy = proxy_start(broker_port(stage_broker()));
    const char *queue = stage_name("lost");
    pid_t child = start_publishing(proxy, queue, "--count=1000", -1); /* which takes ten seconds */

    proxy_say(proxy, "reset");
    cr_assert_eq(command_wait(child), DONE);
    await(5, client_ready(stage_client(), queue) >= 1000, "1000 messages, found %ld",
          client_ready(stage_client(), queue));
    cr_assert_gt(proxy_status(proxy).accepted, 1UL);
    proxy_end(proxy);
}

/* With a rate, message after message is waited for; the first that was waited for in vain speaks for all. */
Test(publishing, ends_when_the_broker_stays_away, .timeout = 120)
{
    struct proxy *proxy = proxy_start(broker_port(stage_broker()));
    const char *path = stage_path("output");
    int status, output = open(path, O_CREAT | O_RDWR, 0600);
    pid_t child = start_publishing(proxy, stage_name("away"), "--count=1000000", output);
    char said[4096] = "";

    proxy_say(proxy, "refuse");
    proxy_say(proxy, "reset");
    await(60, command_ended(child, &status), "its end");
    cr_assert_eq(status, FAILED);
    cr_assert_gt(pread(output, said, sizeof(said) - 1, 0), 0);
    cr_assert_not_null(strstr(said, "of 1000000 confirmed"), "it says: %s", said);
    close(output);
    proxy_end(proxy);
}
