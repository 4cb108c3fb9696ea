#include "broker_link.h"
#include "exit_codes.h"
#include <base/log.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static const double STOP_SECONDS = 5;

/* --- Connections and signals ----------------------------------------------------------------------------*/

static void tell(struct broker_link *link)
{
    if (link->changed != NULL)
        link->changed(link->owner);
}

static void on_opened(void *owner)
{
    struct broker_link *link = owner;
    publisher_connection_changed(link->publisher);
    if (link->connecting > 0 && --link->connecting == 0)
        waiter_wake(&link->ready, 0);
}

static void on_failed(void *owner)
{
    struct broker_link *link = owner;
    if (link->untried > 0)
        link->untried--;
    if (link->connecting > 0 && link->untried == 0)
        waiter_wake(&link->ready, WHIPPET_E_UNAVAILABLE);
}

static void on_lost(void *owner, const struct whippet_failure *why)
{
    struct broker_link *link = owner;
    (void)why;
    link->lost = true;
    tell(link);
}

static void on_flushed(void *owner)
{
    struct broker_link *link = owner;
    publisher_connection_changed(link->publisher);
}

static void on_blocked(void *owner, bool blocked)
{
    (void)blocked;
    on_flushed(owner);
}

static void on_interrupt(void *owner)
{
    struct broker_link *link = owner;
    if (link->interrupted)
        _exit(EXIT_FAILED);
    link->interrupted = true;
    if (link->connecting > 0)
        waiter_wake(&link->ready, WHIPPET_E_CANCELLED);
    tell(link);
}

static const struct connection_handlers HANDLERS = {
    .opened = on_opened,
    .failed = on_failed,
    .lost = on_lost,
    .blocked = on_blocked,
    .flushed = on_flushed,
};

static struct connection *create_connection(struct broker_link *link, const char *name)
{
    const struct config *config = link->brokers->config;
    struct connection_options options = {
        .name = name,
        .version = WHIPPET_VERSION,
        .endpoints = link->brokers->endpoints,
        .endpoint_count = link->brokers->count,
        .heartbeat = config != NULL ? config->heartbeat : 20,
        .connect_timeout = config != NULL ? config->connect_timeout : 10,
        .reconnect_min = 0.5,
        .reconnect_max = 5,
    };
    return connection_create(link->loop, &options, &HANDLERS, link);
}

static void report_unreachable(const struct broker_link *link)
{
    const struct whippet_failure *why = connection_failure(link->consume);
    if (why->error == 0)
        why = connection_failure(link->publish);
    fprintf(stderr, "whippet %s: %s\n", link->command, why->text);
    fprintf(stderr, link->brokers->config != NULL
                        ? "The address is the configuration's.\n"
                        : "The address is taken from --url, -c, AMQP_URL or RABBITMQ_URL; the password from "
                          "there, --password-file or AMQP_PASSWORD_FILE.\n");
}

static int link_main(whippet_task *task, void *arg)
{
    struct broker_link *link = arg;
    int error = waiter_wait(task, &link->ready, INFINITY, "connecting");
    if (link->interrupted) {
        link->code = EXIT_FAILED;
        fprintf(stderr, "whippet %s: interrupted before the broker had answered; nothing was done\n",
                link->command);
    } else if (error == 0) {
        link->code = link->function(task, link, link->arg);
    } else {
        link->code = EXIT_BROKER;
        report_unreachable(link);
    }
    publisher_stop(task, link->publisher);
    connection_stop(task, link->consume, loop_now(link->loop) + STOP_SECONDS);
    connection_stop(task, link->publish, loop_now(link->loop) + STOP_SECONDS);
    loop_stop(link->loop);
    return 0;
}

static bool start(struct broker_link *link)
{
    bool started = false;
    link->connecting = 2;
    link->untried = 2 * link->brokers->count;
    link->consume = create_connection(link, "consume");
    link->publish = create_connection(link, "publish");
    link->publisher = link->publish != NULL ? publisher_create(link->publish, "publish") : NULL;
    if (link->consume == NULL || link->publisher == NULL)
        return false;
    task_start(loop_scheduler(link->loop), link_main, link, INFINITY, NULL, NULL, &started);
    return started && loop_on_signal(link->loop, SIGINT, on_interrupt, link) &&
           loop_on_signal(link->loop, SIGTERM, on_interrupt, link) && publisher_start(link->publisher) &&
           connection_start(link->consume) && connection_start(link->publish);
}

int broker_link_run(const char *command, const struct brokers *brokers, broker_link_function *function,
                    void *arg)
{
    struct whippet_failure failure;
    struct broker_link link = {.command = command, .brokers = brokers, .function = function, .arg = arg};
    log_configure(STDERR_FILENO, WHIPPET_ERROR, LOG_FORMAT_TEXT);
    link.loop = loop_create(256 * 1024, &failure);
    if (link.loop == NULL) {
        fprintf(stderr, "whippet %s: %s\n", command, failure.text);
        return EXIT_INTERNAL;
    }
    waiter_init(&link.ready);
    if (!start(&link)) {
        fprintf(stderr, "whippet %s: out of memory\n", command);
        _exit(EXIT_INTERNAL);
    }
    loop_run(link.loop);
    publisher_destroy(link.publisher);
    connection_destroy(link.publish);
    connection_destroy(link.consume);
    loop_destroy(link.loop);
    return link.code;
}
