/* A password that nobody else has is looked for wherever it must not be. */
#include "stage.h"

#include "command.h"
#include "http.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(secrets, .init = stage_open, .fini = stage_close, .timeout = 180);

#define CANARY "c4n4ry-in-the-m1ne"
#define DEBUG  "'log': {'level': 'debug'}, 'admin': {'listen': '127.0.0.1:0'}"

enum {
    OPTIONS_SIZE = 512
};

/* --- What whippet run shows -----------------------------------------------------------------------------*/

static struct worker *start_worker(const char *url)
{
    char options[OPTIONS_SIZE];

    snprintf(options, sizeof(options),
             "'amqp': {'url': '%s', 'reconnect': {'min': '100ms', 'max': '300ms'}}, " DEBUG, url);
    return worker_start(options, "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}}]",
                        stage_name("orders"), stage_path("record"));
}

static void assert_page_is_clean(unsigned port, const char *path)
{
    struct http_reply reply = http_get(port, path);

    cr_assert_gt(reply.status, 0, "%s: no answer", path);
    cr_assert_not(http_says(&reply, CANARY), "%s: %s", path, reply.text);
    http_free(&reply);
}

static void assert_command_line_is_clean(const struct worker *worker)
{
    char path[64], text[4096];
    int descriptor;
    ssize_t length;

    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)worker_pid(worker));
    descriptor = open(path, O_RDONLY | O_CLOEXEC);
    length = read(descriptor, text, sizeof(text));
    close(descriptor);
    cr_assert_gt(length, 0);
    cr_assert_null(memmem(text, (size_t)length, CANARY, strlen(CANARY)), "it is in %s", path);
}

/* Has it tell all that it tells, and ends it. */
static void assert_worker_is_clean(struct worker *worker)
{
    static const char *const PAGES[] = {"/", "/livez", "/readyz", "/metrics", "/api/status"};
    unsigned port = worker_number_behind(worker, "admin port at http://127.0.0.1:");

    for (size_t i = 0; i < sizeof(PAGES) / sizeof(PAGES[0]); i++) {
        assert_page_is_clean(port, PAGES[i]);
    }
    assert_command_line_is_clean(worker);
    worker_in_flight(worker); /* SIGUSR1 */
    worker_signal(worker, SIGHUP);
    worker_await_saying(worker, 20, "reloaded");
    worker_stop(worker, 20);
    cr_assert_eq(worker_said(worker, CANARY), 0, "it is in the log");
}

static struct worker *fail_with(const char *url, const char *words)
{
    struct worker *worker = start_worker(url);

    worker_await_saying(worker, 30, words);
    return worker;
}

static const char *url_of(const char *scheme, const char *port)
{
    static char url[OPTIONS_SIZE / 2];

    snprintf(url, sizeof(url), "%s://guest:" CANARY "@127.0.0.1:%s/", scheme, port);
    return url;
}

Test(secrets, are_not_shown_where_the_password_is_wrong)
{
    assert_worker_is_clean(fail_with(url_of("amqp", broker_port(stage_broker())), "ACCESS_REFUSED"));
}

Test(secrets, are_not_shown_where_the_broker_is_away)
{
    assert_worker_is_clean(fail_with(url_of("amqp", "1"), "Connection refused"));
}

Test(secrets, are_not_shown_where_tls_fails)
{
    assert_worker_is_clean(fail_with(url_of("amqps", broker_port(stage_broker())), "AMQP without TLS"));
}

/* --- What commands show that end by themselves ----------------------------------------------------------*/

static void assert_output_is_clean(int expected, const char *const *arguments)
{
    const char *path = stage_path("output");
    char text[65536];
    int status, output = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t length;

    status = command_wait(command_start(arguments, -1, output, output));
    length = pread(output, text, sizeof(text) - 1, 0);
    close(output);
    text[length > 0 ? length : 0] = '\0';
    cr_assert_eq(status, expected, "%s %s ended with %d: %s", arguments[0], arguments[1], status, text);
    cr_assert_gt(length, 0, "%s said nothing", arguments[1]);
    cr_assert_null(strstr(text, CANARY), "%s: %s", arguments[1], text);
}

static const char *write_configuration(const char *url)
{
    const char *path = stage_path("configuration");
    FILE *file = fopen(path, "we");

    cr_assert_not_null(file);
    fprintf(file,
            "{\"amqp\": {\"url\": \"%s\"}, \"log\": {\"level\": \"debug\"},"
            " \"processor_path\": \"%s\","
            " \"queues\": [{\"name\": \"orders\", \"processor\": \"counting\"}]}",
            url, getenv("WHIPPET_TEST_PLUGINS"));
    fclose(file);
    return path;
}

static void assert_refused_without_showing(const char *url)
{
    const char *program = getenv("WHIPPET_PROGRAM"), *file = write_configuration(url);
    const char *run[] = {program, "run", "-c", file, NULL};
    const char *check[] = {program, "check", "-c", file, NULL};
    const char *publish[] = {program, "publish", "--url", url, "--body", "x", "orders", NULL};
    const char *publish_by_file[] = {program, "publish", "-c", file, "--body", "x", "orders", NULL};

    assert_output_is_clean(78, run);
    assert_output_is_clean(78, check);
    assert_output_is_clean(78, publish);
    assert_output_is_clean(78, publish_by_file);
}

Test(secrets, are_not_shown_where_the_url_is_broken)
{
    assert_refused_without_showing("amqp://guest:" CANARY "@host:port/");
    assert_refused_without_showing("amqp://guest:" CANARY "%@host/");
    assert_refused_without_showing("amqp://guest:/" CANARY "@host/");
    assert_refused_without_showing("ampq://guest:" CANARY "@host/");
    assert_refused_without_showing("amqp://a,amqp://guest:" CANARY "@");
    assert_refused_without_showing(CANARY);
}

Test(secrets, are_not_shown_by_check)
{
    const char *check[] = {getenv("WHIPPET_PROGRAM"), "check", "-c",
                           write_configuration(url_of("amqp", broker_port(stage_broker()))), NULL};

    assert_output_is_clean(0, check);
}

static void assert_publish_is_clean(int expected, const char *url)
{
    const char *publish[] = {
        getenv("WHIPPET_PROGRAM"), "publish", "--url", url, "--body", "x", "orders", NULL};

    assert_output_is_clean(expected, publish);
}

Test(secrets, are_not_shown_by_publish)
{
    assert_publish_is_clean(69, url_of("amqp", broker_port(stage_broker())));
    assert_publish_is_clean(69, url_of("amqp", "1"));
    assert_publish_is_clean(69, url_of("amqps", broker_port(stage_broker())));
}

/* --- What a core dump would show ------------------------------------------------------------------------*/

struct mapping {
    unsigned long begin, end;
    bool writable, left_out;
};

/* The next one of smaps (proc_pid_smaps(5)); false at its end. */
static bool next_mapping(FILE *maps, struct mapping *mapping)
{
    char line[512], permissions[8];
    unsigned long begin, end;

    while (fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%lx-%lx %7s", &begin, &end, permissions) == 3) {
            *mapping = (struct mapping){.begin = begin, .end = end, .writable = permissions[1] == 'w'};
        }
        if (strncmp(line, "VmFlags:", 8) == 0) {
            mapping->left_out = strstr(line, " dd") != NULL;
            return true;
        }
    }
    return false;
}

static unsigned count_in(int memory, const struct mapping *mapping)
{
    enum {
        PIECE = 1 << 20,
        OVERLAP = 64
    };
    char *data = malloc(PIECE);
    unsigned count = 0;

    for (unsigned long at = mapping->begin; at < mapping->end; at += PIECE - OVERLAP) {
        size_t size = mapping->end - at < PIECE ? mapping->end - at : PIECE;
        ssize_t length = pread(memory, data, size, (off_t)at);
        const char *found = length > 0 ? memmem(data, (size_t)length, CANARY, strlen(CANARY)) : NULL;
        if (found) {
            printf("found at %lx of %lx-%lx\n", at + (unsigned long)(found - data), mapping->begin,
                   mapping->end);
            count++;
        }
    }
    free(data);
    return count;
}

/* How many of its places a core dump would show it in; `*elsewhere` the others. */
static unsigned count_in_dump(const struct worker *worker, unsigned *elsewhere)
{
    char path[64];
    struct mapping mapping;
    unsigned count = 0;
    FILE *maps;
    int memory;

    snprintf(path, sizeof(path), "/proc/%d/smaps", (int)worker_pid(worker));
    maps = fopen(path, "re");
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)worker_pid(worker));
    memory = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert(maps && memory >= 0, "cannot look into the worker's memory");
    *elsewhere = 0;
    while (next_mapping(maps, &mapping)) {
        bool is_shadow = mapping.end - mapping.begin > 1ul << 32; /* a sanitizer's */
        if (mapping.writable && !is_shadow) {
            *(mapping.left_out ? elsewhere : &count) += count_in(memory, &mapping);
        }
    }
    fclose(maps);
    close(memory);
    return count;
}

Test(secrets, are_left_out_of_core_dumps)
{
    char url[OPTIONS_SIZE / 2];
    const char *user = stage_name("user");
    struct worker *worker;
    unsigned elsewhere;

    broker_control(stage_broker(), "add_user", user, CANARY, NULL);
    broker_control(stage_broker(), "set_permissions", user, ".*", ".*", ".*", NULL);
    snprintf(url, sizeof(url), "amqp://%s:" CANARY "@127.0.0.1:%s/", user, broker_port(stage_broker()));
    worker = start_worker(url);
    worker_await_consuming(worker, stage_name("orders"));
    await(20, worker_said(worker, "connected to ") >= 2, "the end of both logins");
    cr_assert_eq(count_in_dump(worker, &elsewhere), 0, "a core dump would show it");
    cr_assert_gt(elsewhere, 0, "it is nowhere: this test looks in vain");
    assert_worker_is_clean(worker);
    broker_control(stage_broker(), "delete_user", user, NULL);
}
