/* whippet top, on a terminal and off it, and a real worker on a real broker. */
#include "command.h"
#include "http.h"
#include "stage.h"
#include "terminal.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(top, .init = stage_open, .fini = stage_close, .timeout = 120);

static const char *const ANY_PORT = "'admin': {'listen': '127.0.0.1:0'}";

/* The port that the worker says it has. */
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

/* A worker with a queue whose messages stay in flight. */
static struct worker *start_holding(const char *options, const char *queue)
{
    return worker_start(options,
                        "[{'name': '%s', 'processor': 'record',"
                        "  'settings': {'path': '%s', 'delay': '4m'}}]",
                        queue, stage_path("record"));
}

/* A port that nobody listens on. */
static unsigned free_port(void)
{
    struct worker *worker =
        worker_start(ANY_PORT, "[{'name': '%s', 'processor': 'counting'}]", stage_name("x"));
    unsigned port = port_of(worker);

    worker_await_consuming(worker, stage_name("x"));
    worker_stop(worker, 20);
    return port;
}

/* Opens `whippet top` in a terminal; when it ends, that shows its exit status and how the terminal is set. */
static struct terminal *open_top(unsigned columns, unsigned rows, unsigned port, const char *environment)
{
    char line[1000];

    snprintf(line, sizeof(line),
             "sh -c 'echo $$ >%s; exec env %s \"%s\" top --admin http://127.0.0.1:%u'; echo ended with $?; "
             "stty -a; exec sleep 1000",
             stage_path("process"), environment, getenv("WHIPPET_PROGRAM"), port);
    return terminal_open(columns, rows, line);
}

/* Whether the terminal is as programs expect it. */
static void await_restored(struct terminal *terminal, const char *status)
{
    terminal_await(terminal, 20, status);
    terminal_await(terminal, 10, " icanon");
    cr_assert(terminal_shows(terminal, " echo "), "what is typed is not shown");
    cr_assert_not(terminal_shows(terminal, "q quit"), "the picture is still there");
}

/* --- Once -----------------------------------------------------------------------------------------------*/

/* Runs `whippet top` with those words and no terminal. What it printed, which the caller frees; what it said
 * of errors, in `error`, which has 500 bytes. */
static char *run_top(const char *const *words, int *status, char *error)
{
    const char *arguments[12] = {getenv("WHIPPET_PROGRAM"), "top"};
    char *text = NULL;
    size_t size = 0, count = 2;
    int output[2];
    const char *path = stage_path("error");
    int errors = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    while (*words) {
        arguments[count++] = *words++;
    }
    cr_assert_eq(pipe2(output, O_CLOEXEC), 0);
    pid_t child = command_start(arguments, -1, output[1], errors);
    close(output[1]);
    FILE *stream = fdopen(output[0], "r");
    if (getdelim(&text, &size, '\0', stream) < 0) {
        free(text);
        text = strdup("");
    }
    fclose(stream);
    *status = command_wait(child);
    ssize_t length = pread(errors, error, 499, 0);
    error[length > 0 ? length : 0] = '\0';
    close(errors);
    return text;
}

#define RUN_TOP(status, error, ...) run_top((const char *const[]){__VA_ARGS__, NULL}, status, error)

static const char *url_of(unsigned port)
{
    static char url[64];

    snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
    return url;
}

Test(top, prints_once_where_there_is_no_terminal)
{
    const char *queue = stage_name("orders");
    struct worker *worker = start_holding(ANY_PORT, queue);
    unsigned port = port_of(worker);
    char error[500];
    int status;

    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "held", "x");
    await(20, records_count(stage_path("record"), "begin", NULL) == 1, "the attempt");
    char *text = RUN_TOP(&status, error, "--admin", url_of(port));
    cr_assert_eq(status, 0, "%s", error);
    cr_assert_str_empty(error);
    cr_assert(strstr(text, queue) && strstr(text, "consuming"), "%s", text);
    cr_assert_null(strchr(text, '\033'), "it commands a terminal that is not there");
    free(text);
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 10, WORKER_ANY_STATUS);
}

Test(top, shows_a_slow_attempt_before_all_that_rest_between_two_as_the_status_does)
{
    enum {
        RESTING = 120 /* more than are shown */
    };
    const char *failing = stage_name("failing"), *queue = stage_name("working"); /* of one width */
    struct worker *worker = worker_start(
        ANY_PORT,
        "[{'name': '%s', 'processor': 'record', 'prefetch': 200, 'timeout': '10s',"
        "  'retry': {'attempts': 2, 'delay': '5m'}, 'settings': {'path': '%s', 'verdict': 'retry'}},"
        " {'name': '%s', 'processor': 'record', 'settings': {'path': '%s', 'delay': '4m'}}]",
        failing, stage_path("failing"), queue, stage_path("record"));
    unsigned port = port_of(worker);
    char error[500], leading[500];
    int status;

    worker_await_consuming(worker, failing);
    worker_await_consuming(worker, queue);
    client_send_many(stage_client(), failing, RESTING);
    await(20, says(port, "/api/status", "\"retrying\":120,"), "all to rest");
    client_send(stage_client(), queue, "slow", "x");
    snprintf(leading, sizeof(leading),
             "\"tasks\":[{\"queue\":\"%s\",\"processor\":\"record\",\"message_id\":\"slow\",\"attempt\":1,"
             "\"state\":\"sleeping\"",
             queue);
    await(20, says(port, "/api/status", leading), "the slow one to lead");
    char *text = RUN_TOP(&status, error, "--admin", url_of(port));
    cr_assert_eq(status, 0, "%s", error);
    const char *row = strstr(text, "in flight, slowest");
    cr_assert_not_null(row, "%s", text);
    row = strchr(row, '\n') + 1;
    snprintf(leading, sizeof(leading), "  sleeping              %s  slow\n", queue);
    const char *slow = strstr(row, leading);
    cr_assert(slow && slow < strchr(row, '\n'), "it is not the first:\n%s", row);
    cr_assert_not_null(strstr(slow, "  between two attempts  "));
    free(text);
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 10, WORKER_ANY_STATUS);
}

Test(top, prints_json_of_all_it_reads)
{
    const char *queue = stage_name("orders");
    struct worker *worker = start_holding(ANY_PORT, queue);
    unsigned port = port_of(worker);
    char error[500];
    int status;

    worker_await_consuming(worker, queue);
    /* Host and port alone will do. */
    char *text = RUN_TOP(&status, error, "--json", "--admin", url_of(port) + strlen("http://"));
    cr_assert_eq(status, 0, "%s", error);
    cr_assert_eq(strncmp(text, "{\"status\":{\"time\":", 18), 0, "%s", text);
    cr_assert_not_null(strstr(text, ",\"ready\":{\"not_ready\":["));
    cr_assert_not_null(strstr(text, ",\"history\":{\"step_seconds\":"));
    cr_assert_str_eq(strchr(text, '\n'), "\n", "more than one line");
    free(text);
    worker_stop(worker, 20);
}

Test(top, finds_the_worker_of_a_configuration)
{
    char options[100], error[500];
    const char *queue = stage_name("orders");
    int status;

    snprintf(options, sizeof(options), "'admin': {'listen': '127.0.0.1:%u'}", free_port());
    struct worker *worker = start_holding(options, queue);
    worker_await_consuming(worker, queue);
    char *text = RUN_TOP(&status, error, "-c", worker_configuration(worker), "--sort", "rate");
    cr_assert_eq(status, 0, "%s", error);
    cr_assert_not_null(strstr(text, "RATE/S"), "%s", text);
    free(text);
    worker_stop(worker, 20);
}

Test(top, says_in_a_sentence_that_nobody_answers)
{
    unsigned port = free_port();
    char error[500];
    int status;

    free(RUN_TOP(&status, error, "--once", "--admin", url_of(port)));
    cr_assert_eq(status, 1);
    cr_assert_not_null(strstr(error, "whippet top: no connection to 127.0.0.1 port "), "%s", error);
    cr_assert_not_null(strstr(error, "Connection refused"), "%s", error);
}

/* Answers the first question on a port of the kernel's with `text`; on a process of its own. */
static pid_t answer_once(const char *text, unsigned *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    char question[1000];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 5) == 0);
    getsockname(listener, (struct sockaddr *)&address, &size);
    *port = ntohs(address.sin_port);
    pid_t child = fork();
    if (child == 0) {
        int peer = accept(listener, NULL, NULL);
        _exit(read(peer, question, sizeof(question)) < 0 || write(peer, text, strlen(text)) < 0);
    }
    close(listener);
    return child;
}

Test(top, says_that_another_server_is_no_worker)
{
    static const char *const ANSWERS[] = {"HTTP/1.0 404 Not Found\r\n\r\nno",
                                          "HTTP/1.0 200 OK\r\n\r\n<html>hello</html>",
                                          "HTTP/1.0 200 OK\r\n\r\n{\"queues\": 7}"};
    static const char *const WORDS[] = {"HTTP status 404: is that a worker's admin port?",
                                        "HTTP status 200 and no JSON", "is it of another version?"};
    char error[500];
    int status;

    for (size_t i = 0; i < 3; i++) {
        unsigned port;
        pid_t server = answer_once(ANSWERS[i], &port);
        free(RUN_TOP(&status, error, "--admin", url_of(port)));
        cr_assert_eq(status, 1);
        cr_assert_not_null(strstr(error, WORDS[i]), "%s", error);
        command_wait(server);
    }
}

Test(top, refuses_what_it_does_not_take)
{
    static const char *const WORDS[][3] = {
        {"--nonsense"}, {"--sort", "size"}, {"--sort"}, {"--admin", "localhost"}, {"queue"}};
    char error[500];
    int status;

    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        free(run_top(WORDS[i], &status, error));
        cr_assert_eq(status, 64, "%s: %d", WORDS[i][0], status);
        cr_assert_not_null(strstr(error, "See \"whippet help top\""), "%s", error);
    }
    free(RUN_TOP(&status, error, "-c", "/nowhere/whippet.json"));
    cr_assert_eq(status, 78);
}

/* --- On a terminal --------------------------------------------------------------------------------------*/

Test(top, shows_messages_that_stay_in_flight_and_ends_at_q)
{
    const char *queue = stage_name("orders");
    struct worker *worker = start_holding(ANY_PORT, queue);
    struct terminal *terminal = open_top(80, 24, port_of(worker), "TERM=screen");

    terminal_await(terminal, 20, "consume up, publish up, 0 in flight");
    worker_await_consuming(worker, queue);
    client_send_many(stage_client(), queue, 7);
    terminal_await(terminal, 20, "7 in flight");
    terminal_await(terminal, 20, "in flight, slowest");
    terminal_await(terminal, 20, "sleeping");
    terminal_press(terminal, "t");
    await(20, !terminal_shows(terminal, "QUEUE"), "the tasks alone");
    terminal_press(terminal, "t");
    terminal_press(terminal, "f");
    terminal_await(terminal, 20, "FLIGHT");
    terminal_press(terminal, "q");
    await_restored(terminal, "ended with 0");
    terminal_close(terminal);
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 10, WORKER_ANY_STATUS);
}

Test(top, follows_the_size_of_the_terminal_and_scrolls)
{
    char queues[3000] = "[";
    const char *name = stage_name("queue");

    for (int i = 0; i < 20; i++) {
        snprintf(queues + strlen(queues), sizeof(queues) - strlen(queues),
                 "%s{'name': '%s-%02d', 'processor': 'counting'}", i ? "," : "", name, i);
    }
    strcat(queues, "]");
    struct worker *worker = worker_start(ANY_PORT, "%s", queues);
    struct terminal *terminal = open_top(100, 40, port_of(worker), "TERM=screen");
    terminal_await(terminal, 20, "-19 consuming");
    terminal_resize(terminal, 80, 10);
    terminal_await(terminal, 20, "0 above, 14 below");
    cr_assert_not(terminal_shows(terminal, "-19 consuming"));
    terminal_press(terminal, "Down");
    terminal_await(terminal, 20, "1 above, 13 below");
    terminal_press(terminal, "End");
    terminal_await(terminal, 20, "-19 consuming");
    terminal_press(terminal, "Home");
    terminal_await(terminal, 20, "-00 consuming");
    terminal_resize(terminal, 20, 3);
    await(20, !terminal_shows(terminal, "below"), "the small picture");
    terminal_resize(terminal, 120, 40);
    terminal_await(terminal, 20, "-19 consuming");
    terminal_close(terminal);
    worker_stop(worker, 20);
}

Test(top, says_that_the_worker_is_away_and_shows_it_again_when_it_is_back)
{
    char options[100];
    const char *queue = stage_name("orders");
    unsigned port = free_port();
    struct terminal *terminal = open_top(80, 24, port, "TERM=screen");

    terminal_await(terminal, 20, "WAITING for the worker at 127.0.0.1 port ");
    snprintf(options, sizeof(options), "'admin': {'listen': '127.0.0.1:%u'}", port);
    struct worker *worker = start_holding(options, queue);
    terminal_await(terminal, 20, "consume up");
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 10, WORKER_ANY_STATUS);
    terminal_await(terminal, 20, "GONE for ");
    cr_assert(terminal_shows(terminal, queue), "the last figures are gone, too");
    worker_start_again(worker);
    terminal_await(terminal, 20, "consume up");
    await(20, !terminal_shows(terminal, "GONE"), "an end of the alarm");
    terminal_press(terminal, "q");
    await_restored(terminal, "ended with 0");
    terminal_close(terminal);
    worker_stop(worker, 20);
}

Test(top, says_what_is_not_ready_and_why)
{
    struct worker *worker =
        worker_start("'admin': {'listen': '127.0.0.1:0'}, 'amqp': {'url': 'amqp://127.0.0.1:1/'}",
                     "[{'name': 'orders', 'processor': 'counting'}]");
    struct terminal *terminal = open_top(120, 24, port_of(worker), "TERM=screen");

    terminal_await(terminal, 20, "NOT READY orders (idle): ");
    terminal_await(terminal, 20, "Connection refused");
    terminal_await(terminal, 20, "consume down");
    terminal_close(terminal);
    worker_stop(worker, 20);
}

/* The process `whippet top` in the terminal. */
static pid_t top_process(void)
{
    FILE *file = fopen(stage_path("process"), "re");
    int process = 0;

    cr_assert(file && fscanf(file, "%d", &process) == 1, "no process number");
    fclose(file);
    return process;
}

Test(top, gives_the_terminal_back_when_a_signal_ends_it)
{
    static const int SIGNALS[] = {SIGINT, SIGTERM, SIGQUIT};
    unsigned port = free_port();

    for (size_t i = 0; i < sizeof(SIGNALS) / sizeof(SIGNALS[0]); i++) {
        struct terminal *terminal = open_top(80, 24, port, "TERM=screen");
        terminal_await(terminal, 20, "WAITING");
        if (SIGNALS[i] == SIGTERM) {
            kill(top_process(), SIGTERM);
        } else {
            terminal_press(terminal, SIGNALS[i] == SIGINT ? "C-c" : "C-\\");
        }
        await_restored(terminal, "ended with 0");
        terminal_close(terminal);
    }
}

Test(top, needs_no_colours)
{
    struct worker *worker =
        worker_start("'admin': {'listen': '127.0.0.1:0'}, 'amqp': {'url': 'amqp://127.0.0.1:1/'}",
                     "[{'name': 'orders', 'processor': 'counting'}]");
    unsigned port = port_of(worker);
    static const char *const ENVIRONMENTS[] = {"TERM=vt100", "TERM=screen NO_COLOR=1", "TERM=screen"};

    for (size_t i = 0; i < 3; i++) {
        struct terminal *terminal = open_top(80, 24, port, ENVIRONMENTS[i]);
        terminal_await(terminal, 20, "NOT READY orders");
        char *screen = terminal_look(terminal, true);
        cr_assert_eq(strstr(screen, "\033[31m") != NULL || strstr(screen, ";31m") != NULL, i == 2, "%s:\n%s",
                     ENVIRONMENTS[i], screen);
        free(screen);
        terminal_close(terminal);
    }
    worker_stop(worker, 20);
}

Test(top, says_that_it_does_not_know_a_terminal)
{
    /* ncurses leaks when it does not know one. */
    struct terminal *terminal = open_top(120, 24, 1, "ASAN_OPTIONS=detect_leaks=0 TERM=nonsense");

    terminal_await(terminal, 20, "TERM=nonsense");
    await_restored(terminal, "ended with 1");
    terminal_close(terminal);
}

/* --- The picture in the README --------------------------------------------------------------------------*/

/* Writes what the terminal shows as docs/images/top.svg, where $WHIPPET_PICTURES names that folder; else it
 * is only made. Its size in bytes. */
static long draw(struct terminal *terminal, const char *columns, const char *rows)
{
    const char *folder = getenv("WHIPPET_PICTURES"), *screen_path = stage_path("screen");
    const char *arguments[] = {"python3", TERMINAL_PICTURE, columns, rows, "whippet top", NULL};
    char *screen = terminal_look(terminal, true), path[500];
    FILE *file = fopen(screen_path, "we");

    snprintf(path, sizeof(path), "%s%s", folder ? folder : stage_path("picture"), folder ? "/top.svg" : "");
    fputs(screen, file);
    fclose(file);
    free(screen);
    int input = open(screen_path, O_RDONLY | O_CLOEXEC);
    int output = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    cr_assert_eq(command_wait(command_start(arguments, input, output, -1)), 0);
    long size = lseek(output, 0, SEEK_END);
    close(input);
    close(output);
    return size;
}

Test(top, is_pictured)
{
    const char *path = stage_path("record");
    struct client *client = stage_client();

    client_declare(client, "shop.orders", "classic");
    client_declare(client, "shop.invoices", "classic");
    client_declare(client, "shop.mails", "classic");
    struct worker *worker = worker_start(
        ANY_PORT,
        "[{'name': 'shop.orders', 'processor': 'counting'},"
        " {'name': 'shop.mails', 'processor': 'record', 'concurrency': 8, 'prefetch': 12, 'settings': "
        "{'path': '%s', "
        "'delay': '4m'}},"
        " {'name': 'shop.invoices', 'processor': 'record',"
        "  'settings': {'path': '%s', 'verdict': 'reject', 'reason': 'the printer is out of paper'}},"
        " {'name': 'shop.returns', 'processor': 'counting', 'declare': 'passive'}]",
        path, path);
    struct terminal *terminal = open_top(80, 24, port_of(worker), "TERM=screen");
    terminal_await(terminal, 20, "NOT READY shop.returns (failed)");
    client_send_many(client, "shop.orders", 1500);
    client_send_many(client, "shop.invoices", 3);
    client_send_many(client, "shop.mails", 12);
    terminal_await(terminal, 20, "12 in flight");
    terminal_await(terminal, 20, "the printer is out of paper");
    terminal_await(terminal, 20, "waiting for its turn");
    long size = draw(terminal, "80", "24");
    cr_assert(size > 1000 && size < 40 * 1024, "the picture has %ld bytes", size);
    terminal_close(terminal);
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 10, WORKER_ANY_STATUS);
    client_delete(client, "shop.orders");
    client_delete(client, "shop.invoices");
    client_delete(client, "shop.mails");
}
