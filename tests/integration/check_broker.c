/* `whippet check --broker` against a real broker. */
#include "stage.h"

#include "command.h"
#include "management.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(check_broker, .init = stage_open, .fini = stage_close, .timeout = 120);
TestSuite(check_broker_alone, .init = stage_open_alone, .fini = stage_close, .timeout = 180);

enum {
    FINE = 0,
    FOUND = 1,
    UNREACHABLE = 69,
    OUTPUT_SIZE = 1 << 14
};

static char output[OUTPUT_SIZE];
static const char *options = ""; /* further top-level members of configurations, each led by a comma */

/* Writes a configuration with one queue of that name; `more` are its further members, with ' for ". */
static void configure(const char *url, const char *queue, const char *more)
{
    char text[2048];
    FILE *file = fopen(stage_path("config"), "w");

    snprintf(text, sizeof text,
             "{'amqp': {'url': '%s'}%s, 'queues': [{'name': '%s', 'processor': 'log'%s%s}]}", url, options,
             queue, *more != '\0' ? ", " : "", more);
    for (char *at = text; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static int check(const char *first, const char *second)
{
    const char *arguments[] = {getenv("WHIPPET_PROGRAM"), "check", "--broker", "-c",
                               stage_path("config"),      first,   second,     NULL};
    int descriptor = open(stage_path("output"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int status = command_wait(command_start(arguments, -1, descriptor, descriptor));
    ssize_t length = pread(descriptor, output, sizeof output - 1, 0);

    output[length > 0 ? length : 0] = '\0';
    close(descriptor);
    return status;
}

#define assert_check(expected, ...)                                                                          \
    do {                                                                                                     \
        int status_ = check(__VA_ARGS__);                                                                    \
        cr_assert_eq(status_, expected, "exit status %d: %s", status_, output);                              \
    } while (0)

#define assert_says(text) cr_assert_not_null(strstr(output, text), "no \"%s\" in: %s", text, output)

Test(check_broker, is_content_with_what_is_as_configured)
{
    const char *queue = stage_name("orders");

    client_declare(stage_client(), queue, "quorum");
    configure(stage_broker()->url, queue, "");
    assert_check(FINE, NULL, NULL);
    assert_says("the broker has what the configuration wants");
}

Test(check_broker, creates_nothing)
{
    const char *queue = stage_name("orders");

    configure(stage_broker()->url, queue,
              "'bindings': [{'exchange': 'whippet.none', 'exchange_type': 'topic'}]");
    assert_check(FINE, NULL, NULL);
    assert_says("there is no such queue yet");
    assert_says("there is no dead-letter queue");
    assert_says("there is no exchange \"whippet.none\" yet");
    cr_assert_eq(client_ready(stage_client(), queue), -1);
}

Test(check_broker, takes_no_message)
{
    const char *queue = stage_name("orders");
    struct client_message *message;

    client_declare(stage_client(), queue, "quorum");
    client_send(stage_client(), queue, "1", "x");
    configure(stage_broker()->url, queue, "");
    assert_check(FINE, NULL, NULL);
    message = client_get(stage_client(), queue);
    cr_assert_not_null(message);
    cr_assert_not(message->redelivered);
    client_message_destroy(message);
}

Test(check_broker, names_the_argument_that_differs)
{
    const char *queue = stage_name("orders");

    client_declare(stage_client(), queue, "quorum");
    configure(stage_broker()->url, queue, "'arguments': {'x-message-ttl': 60000}");
    assert_check(FOUND, "--json", NULL);
    assert_says("\"level\":\"problem\"");
    assert_says("inequivalent arg 'x-message-ttl'");
}

Test(check_broker, finds_what_must_exist_and_does_not)
{
    configure(stage_broker()->url, stage_name("orders"),
              "'declare': 'passive', 'bindings': [{'exchange': 'whippet.none'}]");
    assert_check(FOUND, NULL, NULL);
    assert_says("there is no such queue");
    assert_says("there is no exchange \"whippet.none\"");
    assert_says("set \"declare\": \"if-missing\"");
}

Test(check_broker, finds_that_permissions_are_missing)
{
    const char *queue = stage_name("orders"), *user = stage_name("user");
    char url[128];

    client_declare(stage_client(), queue, "quorum");
    broker_eval(stage_broker(),
                "rabbit_auth_backend_internal:add_user(<<\"%s\">>, <<\"secret\">>, <<\"test\">>), "
                "rabbit_auth_backend_internal:set_permissions(<<\"%s\">>, <<\"/\">>, <<\"^$\">>, <<\"^$\">>, "
                "<<\"^$\">>, <<\"test\">>), ok",
                user, user);
    snprintf(url, sizeof url, "amqp://%s:secret@127.0.0.1:%s/", user, broker_port(stage_broker()));
    configure(url, queue, "");
    assert_check(FOUND, NULL, NULL);
    assert_says("consuming from");
    assert_says("publishing to the default exchange");
    assert_says("rabbitmqctl set_permissions");
}

Test(check_broker, says_that_no_broker_is_there)
{
    configure("amqp://guest:guest@127.0.0.1:1/", "orders", "");
    assert_check(UNREACHABLE, NULL, NULL);
}

Test(check_broker, says_what_it_could_not_look_at_without_the_management_api)
{
    const char *queue = stage_name("orders");

    client_declare(stage_client(), queue, "quorum");
    configure(stage_broker()->url, queue, "");
    assert_check(FINE, "--management", "http://127.0.0.1:1");
    assert_says("not checked");
    assert_says("rabbitmq_management");
}

/* --- With the management API ----------------------------------------------------------------------------*/

/* `whippet dead list` finds the queue by the management API. */
static void assert_lists(const char *url, const char *password_file, const char *management,
                         const char *queue)
{
    const char *arguments[] = {getenv("WHIPPET_PROGRAM"),
                               "dead",
                               "list",
                               "--json",
                               "--url",
                               url,
                               "--management",
                               management,
                               password_file != NULL ? "--password-file" : NULL,
                               password_file,
                               NULL};
    char line[512];

    cr_assert_eq(command_run(arguments, line, sizeof line), FINE, "%s", line);
    cr_assert_not_null(strstr(line, queue), "%s", line);
}

Test(check_broker_alone, compares_limits_that_only_the_management_api_tells)
{
    const char *queue = stage_name("orders"), *letters = stage_name("letters");
    unsigned port;
    char management[64], configured[128], url[64], dead_queue[128];
    FILE *file;

    stage_start_broker();
    port = management_enable(stage_broker());
    snprintf(management, sizeof management, "http://127.0.0.1:%u", port);

    broker_eval(
        stage_broker(),
        "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"%s\">>), true, false, "
        "[{<<\"x-queue-type\">>, longstr, <<\"quorum\">>}, {<<\"x-delivery-limit\">>, long, 2}], none, "
        "<<\"test\">>), ok",
        queue);
    configure(stage_broker()->url, queue, "");
    await(60,
          check("--management", management) == FOUND && strstr(output, "fewer than the 5 attempts") != NULL,
          "a finding about the delivery limit: %s", output);
    snprintf(configured, sizeof configured, ", 'management': {'url': '%s'}", management);
    options = configured;
    configure(stage_broker()->url, queue, "");
    assert_check(FOUND, NULL, NULL);
    assert_says("fewer than the 5 attempts");

    snprintf(dead_queue, sizeof dead_queue, "%s.dead", letters);
    client_declare(stage_client(), dead_queue, "classic");
    assert_lists(stage_broker()->url, NULL, management, dead_queue);

    file = fopen(stage_path("password"), "w");
    cr_assert_not_null(file);
    fputs("guest\n", file);
    fclose(file);
    snprintf(url, sizeof url, "amqp://guest@127.0.0.1%s", strrchr(stage_broker()->url, ':'));
    assert_lists(url, stage_path("password"), management, dead_queue);
}
