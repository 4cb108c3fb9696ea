/* TLS to a real broker, and who logs in by what. */
#include "stage.h"

#include "command.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void open_stage(void)
{
    if (system("command -v openssl >/dev/null") != 0) {
        cr_skip_test("openssl is not installed: the broker has no certificates");
    }
    stage_open();
}

/* Nobody gets in without a certificate there. */
static void open_strict(void)
{
    setenv("WHIPPET_BROKER_TLS", "required", 1);
    stage_open_alone();
    stage_start_broker();
}

TestSuite(tls, .init = open_stage, .fini = stage_close, .timeout = 120);
TestSuite(tls_strict, .init = open_strict, .fini = stage_close, .timeout = 180);

enum {
    OPTIONS_SIZE = 2048
};

static const char *broker_file(const char *name)
{
    static char paths[4][BROKER_FOLDER_SIZE + 64];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/tls/%s", stage_broker()->folder, name);
    return path;
}

/* The port that takes TLS. */
static const char *tls_port(void)
{
    static char port[8];
    char path[BROKER_FOLDER_SIZE + 16], line[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/environment", stage_broker()->folder);
    file = fopen(path, "re");
    cr_assert_not_null(file, "no %s", path);
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "export AMQPS_PORT=%7[0-9]", port) == 1) {
            break;
        }
    }
    fclose(file);
    cr_assert_neq(port[0], '\0', "the broker takes no TLS");
    return port;
}

/* A worker that goes to `user` (with password, or not) at the broker's port for TLS, with further keys. */
static struct worker *start_worker(const char *user, const char *more)
{
    char options[OPTIONS_SIZE];

    snprintf(options, sizeof(options),
             "'amqp': {'url': 'amqps://%s@localhost:%s/', 'heartbeat': '3s',"
             " 'reconnect': {'min': '100ms', 'max': '500ms'}, %s}",
             user, tls_port(), more);
    return worker_start(options, "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}}]",
                        stage_name("orders"), stage_path("record"));
}

static const char *with_ca(const char *more)
{
    static char text[OPTIONS_SIZE];

    snprintf(text, sizeof(text), "'tls': {'ca': '%s'%s}", broker_file("ca.pem"), more);
    return text;
}

static const char *with_certificate(void)
{
    char more[OPTIONS_SIZE / 2];

    snprintf(more, sizeof(more), ", 'cert': '%s', 'key': '%s'", broker_file("client.pem"),
             broker_file("client-key.pem"));
    return with_ca(more);
}

static void assert_works(struct worker *worker, int messages)
{
    worker_await_consuming(worker, stage_name("orders"));
    client_send_many(stage_client(), stage_name("orders"), messages);
    await(20, records_ended_ids(stage_path("record"), messages) == (size_t)messages, "%d messages, found %zu",
          messages, records_ended_ids(stage_path("record"), messages));
    worker_stop(worker, 20);
}

Test(tls, carries_messages)
{
    assert_works(start_worker("guest:guest", with_ca("")), 2000);
}

/* A heartbeat of three seconds: the broker would hang up long before the end. */
Test(tls, keeps_an_idle_connection_alive_by_heartbeats)
{
    struct worker *worker = start_worker("guest:guest", with_ca(""));
    double until;

    worker_await_consuming(worker, stage_name("orders"));
    until = patience_now() + 10;
    while (patience_now() < until) {
        patience_pause();
    }
    cr_assert_eq(worker_said(worker, "connection lost"), 0);
    assert_works(worker, 1);
}

Test(tls, logs_in_by_the_certificate_where_there_is_no_password)
{
    assert_works(start_worker("nobody", with_certificate()), 10);
}

Test(tls, logs_in_by_the_password_where_there_is_one)
{
    struct worker *worker = start_worker("guest:wrong", with_certificate());

    worker_await_saying(worker, 20, "ACCESS_REFUSED");
    worker_stop(worker, 10);
}

Test(tls, refuses_a_broker_that_it_does_not_trust)
{
    struct worker *worker = start_worker("guest:guest", "'tls': {}");

    worker_await_saying(worker, 20, "from nobody that is trusted");
    worker_stop(worker, 10);
}

Test(tls, refuses_a_broker_with_another_name)
{
    struct worker *worker = start_worker("guest:guest", with_ca(", 'server_name': 'rabbit.example'"));

    worker_await_saying(worker, 20, "not for \\\"rabbit.example\\\" but for localhost, 127.0.0.1, ::1");
    worker_stop(worker, 10);
}

Test(tls, at_the_port_without_it_is_explained)
{
    char options[OPTIONS_SIZE];
    struct worker *worker;

    snprintf(options, sizeof(options), "'amqp': {'url': 'amqps://localhost:%s/'}",
             broker_port(stage_broker()));
    worker = worker_start(options, "[{'name': 'orders', 'processor': 'record', 'settings': {'path': '%s'}}]",
                          stage_path("record"));
    worker_await_saying(worker, 20, "AMQP without TLS");
    worker_stop(worker, 10);
}

Test(tls, that_is_missing_at_its_port_is_explained)
{
    char options[OPTIONS_SIZE];
    struct worker *worker;

    snprintf(options, sizeof(options), "'amqp': {'url': 'amqp://localhost:%s/'}", tls_port());
    worker = worker_start(options, "[{'name': 'orders', 'processor': 'record', 'settings': {'path': '%s'}}]",
                          stage_path("record"));
    worker_await_saying(worker, 20, "use amqps://");
    worker_stop(worker, 10);
}

Test(tls, logs_in_by_the_password_file_and_takes_a_new_one_at_the_next_try)
{
    const char *file = stage_path("password");
    char more[OPTIONS_SIZE];
    FILE *stream = fopen(file, "we");
    struct worker *worker;

    fputs("wr0ng-s3cr3t\n", stream);
    fclose(stream);
    snprintf(more, sizeof(more), "'password_file': '%s', %s", file, with_certificate());
    worker = start_worker("guest", more);
    worker_await_saying(worker, 20, "ACCESS_REFUSED");
    stream = fopen(file, "we");
    fputs("guest\n", stream);
    fclose(stream);
    worker_await_consuming(worker, stage_name("orders"));
    cr_assert_eq(worker_said(worker, "s3cr3t"), 0, "the password is in the log");
    assert_works(worker, 10);
}

/* --- Files that change ----------------------------------------------------------------------------------*/

static void open_alone(void)
{
    stage_open_alone();
    stage_start_broker();
    if (access(broker_file("ca.pem"), R_OK) != 0) {
        cr_skip_test("openssl is not installed: the broker has no certificates");
    }
}

TestSuite(tls_files, .init = open_alone, .fini = stage_close, .timeout = 180);

/* In place, as editors and cp do. */
static void fill(const char *path, const char *from)
{
    const char *arguments[] = {"cp", from, path, NULL};

    cr_assert_eq(command_run(arguments, NULL, 0), 0);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static void reread(struct worker *worker, const char *words)
{
    unsigned before = worker_said(worker, words);

    worker_signal(worker, SIGHUP);
    await(20, worker_said(worker, words) > before, "\"%s\"", words);
}

Test(tls_files, that_are_replaced_count_from_the_next_connection_and_broken_ones_never)
{
    const char *ca = stage_path("ca.pem");
    char more[OPTIONS_SIZE];
    struct worker *worker;
    unsigned connected;

    fill(ca, broker_file("client.pem"));
    snprintf(more, sizeof(more), "'tls': {'ca': '%s'}", ca);
    worker = start_worker("guest:guest", more);
    worker_await_saying(worker, 20, "from nobody that is trusted");
    fill(ca, broker_file("ca.pem"));
    reread(worker, "certificates and keys were read again");
    worker_await_consuming(worker, stage_name("orders"));
    write_text(ca, "no certificate\n");
    reread(worker, "could not be read again");
    connected = worker_said(worker, "connected to amqps://");
    broker_control(stage_broker(), "close_all_connections", "to see what comes back", NULL);
    await(30, worker_said(worker, "connected to amqps://") >= connected + 2, "both connections again");
    stage_start_broker();
    assert_works(worker, 10);
}

/* The old connections go once their messages are done, and the new ones need no file by then. */
Test(tls_files, that_a_reload_has_read_are_not_needed_any_more_for_its_new_connections)
{
    const char *ca = stage_path("ca.pem");
    char options[OPTIONS_SIZE];
    struct worker *worker = start_worker("guest:guest", with_ca(""));

    worker_await_consuming(worker, stage_name("orders"));
    fill(ca, broker_file("ca.pem"));
    snprintf(options, sizeof(options),
             "'amqp': {'url': 'amqps://guest:guest@localhost:%s/', 'heartbeat': '4s', 'tls': {'ca': '%s'}}",
             tls_port(), ca);
    worker_reload(worker, options, "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}}]",
                  stage_name("orders"), stage_path("record"));
    unlink(ca);
    await(30, worker_said(worker, "connected to amqps://") >= 4, "two new connections");
    assert_works(worker, 10);
}

Test(tls, takes_what_publish_sends_with_the_same_files)
{
    const char *queue = stage_name("orders"), *password = stage_path("password");
    char url[OPTIONS_SIZE / 4];
    FILE *stream = fopen(password, "we");
    const char *publish[] = {
        getenv("WHIPPET_PROGRAM"), "publish",         "--quiet", "--body", "x", "--url", url, "--ca",
        broker_file("ca.pem"),     "--password-file", password,  queue,    NULL};
    const char *by_environment[] = {
        getenv("WHIPPET_PROGRAM"), "publish", "--quiet", "--body", "x", "--url", url, "--ca",
        broker_file("ca.pem"),     queue,     NULL};

    fputs("guest\n", stream);
    fclose(stream);
    client_declare(stage_client(), queue, "classic");
    snprintf(url, sizeof(url), "amqps://guest:wrong@localhost:%s/", tls_port());
    cr_assert_eq(command_run(publish, NULL, 0), 0);
    setenv("AMQP_PASSWORD_FILE", password, 1);
    cr_assert_eq(command_run(by_environment, NULL, 0), 69, "with the URL's own password");
    snprintf(url, sizeof(url), "amqps://guest@localhost:%s/", tls_port());
    cr_assert_eq(command_run(by_environment, NULL, 0), 0);
    unsetenv("AMQP_PASSWORD_FILE");
    await(10, client_ready(stage_client(), queue) == 2, "both messages");
}

Test(tls, lets_publish_log_in_by_certificate)
{
    const char *queue = stage_name("orders");
    char url[OPTIONS_SIZE / 4];
    const char *publish[] = {getenv("WHIPPET_PROGRAM"),
                             "publish",
                             "--quiet",
                             "--body",
                             "x",
                             "--url",
                             url,
                             "--ca",
                             broker_file("ca.pem"),
                             "--cert",
                             broker_file("client.pem"),
                             "--key",
                             broker_file("client-key.pem"),
                             queue,
                             NULL};

    client_declare(stage_client(), queue, "classic");
    snprintf(url, sizeof(url), "amqps://nobody@localhost:%s/", tls_port());
    cr_assert_eq(command_run(publish, NULL, 0), 0);
    await(10, client_ready(stage_client(), queue) == 1, "the message");
}

Test(tls_strict, lets_nobody_in_without_a_certificate_and_says_so)
{
    struct worker *worker = start_worker("guest:guest", with_ca(""));

    worker_await_saying(worker, 20, "asks for a client certificate");
    worker_stop(worker, 10);
    worker = start_worker("guest", with_certificate());
    assert_works(worker, 10);
}
