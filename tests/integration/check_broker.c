/* `whippet check --broker` against a real broker. */
#include "stage.h"

#include "command.h"
#include "management.h"
#include <cjson/cJSON.h>
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

/* --- Findings -------------------------------------------------------------------------------------------*/

static cJSON *findings; /* what the last run with --json printed, as an array */

static const char *member(const cJSON *finding, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(finding, name));

    return text != NULL ? text : "(null)";
}

/* Reads the last run's output; whatever was found, it has a fix. */
static void read_findings(void)
{
    char *rest = NULL;

    cJSON_Delete(findings);
    findings = cJSON_CreateArray();
    for (char *line = strtok_r(output, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        cJSON *finding = cJSON_Parse(line);

        cr_assert_not_null(finding, "no JSON: %s", line);
        cr_assert_gt(strlen(member(finding, "text")), 0, "%s", line);
        cr_assert_str_neq(member(finding, "fix"), "(null)", "a finding without its fix: %s", line);
        cr_assert_gt(strlen(member(finding, "fix")), 0, "a finding without its fix: %s", line);
        cJSON_AddItemToArray(findings, finding);
    }
}

/* Runs it with --json, and with --management where that is not NULL. */
static int find(const char *management)
{
    char option[128];
    int status;

    snprintf(option, sizeof option, "--management=%s", management != NULL ? management : "");
    status = check("--json", management != NULL ? option : NULL);
    if (status == FINE || status == FOUND)
        read_findings();
    return status;
}

#define assert_find(expected, management)                                                                    \
    do {                                                                                                     \
        int status_ = find(management);                                                                      \
        cr_assert_eq(status_, expected, "exit status %d: %s", status_, cJSON_PrintUnformatted(findings));    \
    } while (0)

static unsigned count_found(const char *text)
{
    unsigned count = 0;
    const cJSON *finding;

    cJSON_ArrayForEach(finding, findings)
    {
        if (strstr(member(finding, "text"), text) != NULL)
            count++;
    }
    return count;
}

/* Exactly one finding says `text`; it is of that level, and its fix says `fix`. */
static void assert_found(const char *level, const char *text, const char *fix)
{
    const cJSON *finding;

    cr_assert_eq(count_found(text), 1, "\"%s\" %u times in: %s", text, count_found(text),
                 cJSON_Print(findings));
    cJSON_ArrayForEach(finding, findings)
    {
        if (strstr(member(finding, "text"), text) == NULL)
            continue;
        cr_assert_str_eq(member(finding, "level"), level, "%s", member(finding, "text"));
        cr_assert_not_null(strstr(member(finding, "fix"), fix), "no \"%s\" in the fix of \"%s\": %s", fix,
                           text, member(finding, "fix"));
    }
}

/* --- By AMQP alone --------------------------------------------------------------------------------------*/

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
    char dead_queue[128], delay_queue[128];

    snprintf(dead_queue, sizeof dead_queue, "%s.dead", queue);
    snprintf(delay_queue, sizeof delay_queue, "%s.retry.3s", queue);
    configure(
        stage_broker()->url, queue,
        "'bindings': [{'exchange': 'whippet.none', 'exchange_type': 'topic'}], 'retry': {'via': 'broker'}");
    assert_find(FINE, NULL);
    assert_find(FINE, NULL); /* again: the exchange is not there yet */
    assert_found("note", "there is no such queue yet", "create the queue, before anything is published");
    assert_found("note", "there is no dead-letter queue", "start the worker");
    assert_found("note", "there is no exchange \"whippet.none\" yet", "create the exchange");
    assert_found("not checked", "only the management API tells them", "--management http://HOST:15672");
    cr_assert_eq(client_ready(stage_client(), queue), -1);
    cr_assert_eq(client_ready(stage_client(), dead_queue), -1);
    cr_assert_eq(client_ready(stage_client(), delay_queue), -1);
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
    assert_find(FOUND, NULL);
    assert_found("problem", "inequivalent arg 'x-message-ttl'", "write its arguments and type here");
    configure(stage_broker()->url, queue, "'declare': 'create', 'arguments': {'x-message-ttl': 60000}");
    assert_find(FOUND, NULL);
    assert_found("problem", "inequivalent arg 'x-message-ttl'", "set \"declare\": \"if-missing\"");
}

Test(check_broker, finds_a_delay_queue_that_is_something_else)
{
    const char *queue = stage_name("orders");
    char delay_queue[128];

    snprintf(delay_queue, sizeof delay_queue, "%s.retry.3s", queue);
    client_declare(stage_client(), queue, "quorum");
    client_declare(stage_client(), delay_queue, "quorum");
    configure(stage_broker()->url, queue, "'retry': {'via': 'broker'}");
    assert_find(FOUND, NULL);
    assert_found("problem", "exists with other arguments: ", "delete it once it is empty");
}

Test(check_broker, leaves_delay_queues_and_bindings_as_the_worker_made_them)
{
    const char *queue = stage_name("orders");
    const char *more =
        "'bindings': [{'exchange': 'amq.topic', 'routing_key': 'order.*'}], 'retry': {'via': 'broker'}";
    char queues[512];
    struct worker *worker;

    snprintf(queues, sizeof queues, "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}, %s}]",
             queue, stage_path("record"), more);
    worker = worker_start("", "%s", queues);
    worker_await_consuming(worker, queue);
    configure(stage_broker()->url, queue, more);
    assert_find(FINE, NULL);
    client_publish(stage_client(), "amq.topic", "order.new", &(amqp_basic_properties_t){0},
                   amqp_cstring_bytes("x"));
    await(20, records_count(stage_path("record"), "end", NULL) == 1, "the message by the binding");
    worker_stop(worker, 20);
}

Test(check_broker, finds_what_must_exist_and_does_not)
{
    configure(stage_broker()->url, stage_name("orders"),
              "'declare': 'passive', 'bindings': [{'exchange': 'whippet.none'}]");
    assert_check(FOUND, NULL, NULL);
    assert_says("there is no such queue");
    assert_says("set \"declare\": \"if-missing\"");
    assert_find(FOUND, NULL);
    assert_found("problem", "there is no exchange \"whippet.none\"", "set \"exchange_type\"");
}

Test(check_broker, finds_a_prefetch_that_the_quorum_queue_there_does_not_allow)
{
    const char *queue = stage_name("orders");

    client_declare(stage_client(), queue, "quorum");
    configure(stage_broker()->url, queue, "'type': 'classic', 'prefetch': 2001");
    assert_find(FOUND, NULL);
    assert_found("problem", "allows a prefetch of 2000; configured is 2001", "to at most 2000");
    configure(stage_broker()->url, queue, "'type': 'classic', 'prefetch': 2000");
    assert_find(FOUND, NULL);
    cr_assert_eq(count_found("allows a prefetch"), 0);
}

Test(check_broker, notes_that_what_fails_is_thrown_away)
{
    configure(stage_broker()->url, stage_name("orders"), "'on_failure': 'discard'");
    assert_find(FINE, NULL);
    assert_found("note", "what fails is discarded", "set \"on_failure\": \"dead-letter\"");
}

Test(check_broker, finds_that_a_queue_is_somebody_elses_alone)
{
    const char *queue = stage_name("orders");

    /* Of a process in the broker that never ends, in place of a connection. */
    broker_do(stage_broker(),
              "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"%s\">>), true, false, [], "
              "whereis(init), <<\"test\">>), ok",
              queue);
    configure(stage_broker()->url, queue, "");
    assert_find(FOUND, NULL);
    assert_found("problem", "RESOURCE_LOCKED", "end the connection that has it exclusively");
}

/* --- Permissions ----------------------------------------------------------------------------------------*/

static void grant(const char *user, const char *configures, const char *writes, const char *reads)
{
    broker_do(stage_broker(),
              "rabbit_auth_backend_internal:set_permissions(<<\"%s\">>, <<\"/\">>, <<\"%s\">>, "
              "<<\"%s\">>, <<\"%s\">>, <<\"test\">>), ok",
              user, configures, writes, reads);
}

/* A user without any permission, who has the configuration's queue. */
static const char *configure_for_nobody(const char *queue)
{
    const char *user = stage_name("user");
    char url[128];

    broker_do(stage_broker(),
              "rabbit_auth_backend_internal:add_user(<<\"%s\">>, <<\"secret\">>, <<\"test\">>), ok", user);
    grant(user, "^$", "^$", "^$");
    snprintf(url, sizeof url, "amqp://%s:secret@127.0.0.1:%s/", user, broker_port(stage_broker()));
    configure(url, queue, "");
    return user;
}

Test(check_broker, finds_that_permissions_are_missing)
{
    const char *queue = stage_name("orders"), *user;
    char command[256], both[128];

    client_declare(stage_client(), queue, "quorum");
    user = configure_for_nobody(queue);
    /* To whoever has no permission at all for it, RabbitMQ 4.3 does not even tell whether there is a queue.
     */
    snprintf(both, sizeof both, "^%s(.dead)?$", queue);
    grant(user, "^$", both, "^$");
    snprintf(command, sizeof command, "rabbitmqctl set_permissions -p '/' '%s' '.*' '.*' '.*'", user);
    assert_find(FOUND, NULL);
    assert_found("problem", "consuming from", command);
    assert_found("problem", "there is none yet, and declaring", command);
    assert_found("problem", "publishing to the default exchange", command);
    grant(user, ".*", ".*", ".*");
    assert_find(FINE, NULL);
}

Test(check_broker, finds_that_permissions_on_what_belongs_to_a_queue_are_missing)
{
    const char *queue = stage_name("orders"), *user = configure_for_nobody(queue);
    char url[128], alone[128];

    client_declare(stage_client(), queue, "quorum");
    snprintf(url, sizeof url, "amqp://%s:secret@127.0.0.1:%s/", user, broker_port(stage_broker()));
    configure(
        url, queue,
        "'bindings': [{'exchange': 'whippet.none', 'exchange_type': 'topic'}, {'exchange': 'amq.topic'}],"
        " 'retry': {'via': 'broker'}");
    snprintf(alone, sizeof alone, "^%s(.dead)?$", queue);
    grant(user, alone, ".*", alone);
    assert_find(FOUND, NULL);
    assert_found("problem", ".retry.3s\": no permission", "rabbitmqctl set_permissions");
    assert_found("problem", "declaring exchange \"whippet.none\": no permission",
                 "rabbitmqctl set_permissions");
    assert_found("problem", "binding to exchange \"amq.topic\": no permission",
                 "rabbitmqctl set_permissions");
    grant(user, ".*", ".*", ".*");
    assert_find(FINE, NULL);
}

Test(check_broker, asks_for_no_permission_that_the_worker_does_not_need)
{
    const char *queue = stage_name("orders"), *user;
    char dead_queue[128];

    snprintf(dead_queue, sizeof dead_queue, "%s.dead", queue);
    client_declare(stage_client(), queue, "quorum");
    client_declare(stage_client(), dead_queue, "quorum");
    user = configure_for_nobody(queue);
    grant(user, "^$", ".*", ".*");
    assert_find(FINE, NULL);
    assert_found("not checked", "its arguments", "a user who has configure permission");
}

/* --- What is in the way of looking ----------------------------------------------------------------------*/

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
    assert_find(FINE, "http://127.0.0.1:1");
    assert_found("not checked", "can't be asked", "rabbitmq-plugins enable rabbitmq_management");
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

static void dead_letter_queues_are_found(const char *management)
{
    char url[64], dead_queue[128];
    FILE *file;

    snprintf(dead_queue, sizeof dead_queue, "%s.dead", stage_name("letters"));
    client_declare(stage_client(), dead_queue, "classic");
    assert_lists(stage_broker()->url, NULL, management, dead_queue);

    file = fopen(stage_path("password"), "w");
    cr_assert_not_null(file);
    fputs("guest\n", file);
    fclose(file);
    snprintf(url, sizeof url, "amqp://guest@127.0.0.1%s", strrchr(stage_broker()->url, ':'));
    assert_lists(url, stage_path("password"), management, dead_queue);
}

/* A policy for that queue alone. RabbitMQ before 3.12 has no consumer-timeout, and refuses it as unknown: it
 * is taught one here, by a validator that objects to nothing it does not know. */
static void set_policy(const char *queue, const char *definition)
{
    broker_do(stage_broker(),
              "{ok, V} = application:get_key(rabbit, vsn), V < \"3.12\" andalso rabbit_registry:register("
              "policy_validator, <<\"consumer-timeout\">>, rabbit_mirror_queue_misc), "
              "rabbit_policy:parse_set(<<\"/\">>, <<\"%s\">>, <<\"^%s$\">>, <<\"%s\">>, <<\"0\">>, "
              "<<\"queues\">>, <<\"test\">>)",
              queue, queue, definition);
}

/* What the management API tells follows after a while. */
static bool finds(int expected, const char *management, const char *text)
{
    return find(management) == expected && count_found(text) == 1;
}

static void limits_by_arguments_are_compared(const char *management)
{
    const char *queue = stage_name("limited");
    char configured[128];

    broker_do(stage_broker(),
              "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"%s\">>), true, false, "
              "[{<<\"x-queue-type\">>, longstr, <<\"quorum\">>}, {<<\"x-delivery-limit\">>, long, 2}, "
              "{<<\"x-max-length\">>, long, 1000}], none, <<\"test\">>), ok",
              queue);
    configure(stage_broker()->url, queue, "'type': 'classic', 'prefetch': 2001");
    await(60, finds(FOUND, management, "fewer than the 5 attempts"), "a finding about the delivery limit: %s",
          cJSON_Print(findings));
    assert_found("problem", "more than 2 times (delivery-limit), fewer than the 5 attempts",
                 "raise delivery-limit");
    /* By AMQP another argument is what differs. */
    assert_found("problem", "allows a prefetch of 2000", "to at most 2000");
    snprintf(configured, sizeof configured, ", 'management': {'url': '%s'}", management);
    options = configured;
    configure(stage_broker()->url, queue, "");
    options = "";
    assert_find(FOUND, NULL);
    assert_found("problem", "fewer than the 5 attempts", "raise delivery-limit");
}

static void limits_by_policies_are_compared(const char *management)
{
    const char *queue = stage_name("policed");

    client_declare(stage_client(), queue, "quorum");
    set_policy(queue, "{\\\"consumer-timeout\\\": 60000, \\\"delivery-limit\\\": 4}");
    configure(stage_broker()->url, queue, "");
    await(60, finds(FOUND, management, "takes a message away"), "a finding about the consumer timeout: %s",
          cJSON_Print(findings));
    assert_found("problem", "takes a message away after 60 s (consumer timeout); an attempt may take 300 s",
                 "lower \"timeout\", or raise consumer-timeout in the queue's policy");
    assert_found("problem", "more than 4 times (delivery-limit), fewer than the 5 attempts",
                 "raise delivery-limit in the queue's policy");

    /* Enough for one attempt of 300 s, and not for five of them with pauses of 3 s. */
    set_policy(queue, "{\\\"consumer-timeout\\\": 1500000, \\\"delivery-limit\\\": 5}");
    await(60, finds(FOUND, management, "5 attempts and the pauses between them may take 1512 s"),
          "a finding about all attempts: %s", cJSON_Print(findings));
    cr_assert_eq(count_found("delivery-limit"), 0);
    configure(stage_broker()->url, queue, "'retry': {'via': 'broker'}");
    assert_find(FINE, management);
    set_policy(queue, "{\\\"consumer-timeout\\\": 1513000}");
    configure(stage_broker()->url, queue, "");
    await(60, find(management) == FINE, "nothing to be found: %s", cJSON_Print(findings));
}

static void what_the_api_refuses_is_told(const char *management)
{
    char url[128];

    broker_do(stage_broker(),
              "rabbit_auth_backend_internal:add_user(<<\"untagged\">>, <<\"secret\">>, <<\"test\">>), ok");
    snprintf(url, sizeof url, "http://untagged:secret@%s", strstr(management, "127."));
    configure(stage_broker()->url, stage_name("orders"), "");
    assert_find(FINE, url);
    assert_found("not checked", "refuses this user", "rabbitmqctl set_user_tags USER monitoring");
    cr_assert_eq(count_found("secret"), 0);
    snprintf(url, sizeof url, "%s/elsewhere", management);
    assert_find(FINE, url);
    assert_found("not checked", "answers with 404", "look at the URL");
}

Test(check_broker_alone, compares_limits_that_only_the_management_api_tells)
{
    char management[64];

    stage_start_broker();
    snprintf(management, sizeof management, "http://127.0.0.1:%u", management_enable(stage_broker()));
    limits_by_arguments_are_compared(management);
    limits_by_policies_are_compared(management);
    what_the_api_refuses_is_told(management);
    dead_letter_queues_are_found(management);
}
