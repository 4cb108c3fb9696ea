#include "broker.h"

#include "command.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef WHIPPET_BROKER_SCRIPT
#error "WHIPPET_BROKER_SCRIPT must name scripts/broker"
#endif

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    cr_assert_not_null(value, "%s is not set; run this through `scripts/broker with`, as ctest does", name);
    return value;
}

struct broker *broker_shared(void)
{
    struct broker *broker = calloc(1, sizeof(*broker));

    snprintf(broker->folder, sizeof(broker->folder), "%s", environment("WHIPPET_TEST_BROKER"));
    snprintf(broker->url, sizeof(broker->url), "%s", environment("WHIPPET_TEST_AMQP_URL"));
    broker->lifeline = -1;
    return broker;
}

struct broker *broker_node(unsigned number)
{
    struct broker *broker = calloc(1, sizeof(*broker));

    snprintf(broker->folder, sizeof(broker->folder), "%s/%u", environment("WHIPPET_TEST_CLUSTER"), number);
    broker->lifeline = -1;
    broker_start(broker);
    return broker;
}

/* The guard is forked off by setsid, so that no signal to the tests' process group reaches it. */
static int guard(const char *folder)
{
    const char *arguments[] = {"setsid", "--fork", WHIPPET_BROKER_SCRIPT, "guard", folder, NULL};
    int lifeline[2], nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    pid_t child;

    cr_assert_eq(pipe2(lifeline, O_CLOEXEC), 0, "pipe2: %s", strerror(errno));
    child = command_start(arguments, lifeline[0], nothing, -1);
    close(lifeline[0]);
    close(nothing);
    cr_assert_eq(command_wait(child), 0, "the broker's guard did not start");
    return lifeline[1];
}

struct broker *broker_create(void)
{
    struct broker *broker = calloc(1, sizeof(*broker));
    const char *temporary = getenv("TMPDIR");

    snprintf(broker->folder, sizeof(broker->folder), "%s/whippet-broker.XXXXXX",
             temporary ? temporary : "/tmp");
    cr_assert_not_null(mkdtemp(broker->folder), "mkdtemp %s: %s", broker->folder, strerror(errno));
    broker->lifeline = guard(broker->folder);
    return broker;
}

static void script(struct broker *broker, const char *verb, char *line, size_t size)
{
    const char *arguments[] = {WHIPPET_BROKER_SCRIPT, verb, broker->folder, NULL};
    int status = command_run(arguments, line, size);

    cr_assert_eq(status, 0, "scripts/broker %s %s ended with %d", verb, broker->folder, status);
}

void broker_destroy(struct broker *broker)
{
    if (broker->lifeline >= 0) {
        script(broker, "destroy", NULL, 0);
        close(broker->lifeline);
    }
    free(broker);
}

void broker_start(struct broker *broker)
{
    script(broker, "start", broker->url, sizeof(broker->url));
}

void broker_stop(struct broker *broker)
{
    script(broker, "stop", NULL, 0);
}

void broker_kill(struct broker *broker)
{
    script(broker, "kill", NULL, 0);
}

void broker_pause(struct broker *broker)
{
    script(broker, "pause", NULL, 0);
}

void broker_resume(struct broker *broker)
{
    script(broker, "resume", NULL, 0);
}

const char *broker_eval(struct broker *broker, const char *expressions, ...)
{
    static char line[4096];
    char *text = NULL;
    va_list list;

    va_start(list, expressions);
    cr_assert_geq(vasprintf(&text, expressions, list), 0, "out of memory");
    va_end(list);
    const char *arguments[] = {WHIPPET_BROKER_SCRIPT, "eval", broker->folder, text, NULL};
    if (command_run(arguments, line, sizeof(line)) != 0) {
        line[0] = '\0';
    }
    free(text);
    return line;
}

const char *broker_port(struct broker *broker)
{
    snprintf(broker->port, sizeof(broker->port), "%s", strrchr(broker->url, ':') + 1);
    broker->port[strcspn(broker->port, "/")] = '\0';
    return broker->port;
}

void broker_control(struct broker *broker, const char *first, ...)
{
    enum {
        GIVEN = 3,
        MOST = 8
    };
    const char *arguments[GIVEN + MOST + 1] = {WHIPPET_BROKER_SCRIPT, "control", broker->folder, first};
    int status;
    va_list list;

    va_start(list, first);
    for (int i = GIVEN + 1; i < GIVEN + MOST; i++) {
        arguments[i] = va_arg(list, const char *);
        if (!arguments[i]) {
            break;
        }
    }
    va_end(list);
    status = command_run(arguments, NULL, 0);
    cr_assert_eq(status, 0, "rabbitmqctl %s ended with %d", first, status);
}

long broker_messages(struct broker *broker, const char *const *queues, size_t count)
{
    char *names = NULL;
    size_t size;
    FILE *list = open_memstream(&names, &size);

    for (size_t i = 0; i < count; i++) {
        fprintf(list, "%s<<\"%s\">>", i ? "," : "", queues[i]);
    }
    fclose(list);
    /* Ra takes a function before RabbitMQ 4.3, from there on a name of one. */
    const char *answer = broker_eval(
        broker,
        "lists:sum([begin {ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, N)), "
        "case amqqueue:get_type(Q) of rabbit_quorum_queue -> P = amqqueue:get_pid(Q), {ok, {_, C}, _} = "
        "try ra:leader_query(P, fun rabbit_fifo:query_messages_total/1) catch error:function_clause -> "
        "ra:leader_query(P, {rabbit_fifo, query_messages_total, []}) end, C; "
        "_ -> [{_, C}] = rabbit_amqqueue:info(Q, [messages]), C end end || N <- [%s]])",
        names);
    free(names);
    return *answer ? atol(answer) : -1;
}

void broker_describe_consumer(struct broker *broker, const char *queue, char *line, size_t size)
{
    const char *arguments[] = {
        WHIPPET_BROKER_SCRIPT, "control",    broker->folder, "list_consumers", "--quiet",
        "--no-table-headers",  "queue_name", "channel_pid",  "consumer_tag",   NULL};
    FILE *output = tmpfile();
    int status;
    bool found = false;

    cr_assert_not_null(output, "tmpfile: %s", strerror(errno));
    status = command_wait(command_start(arguments, -1, fileno(output), -1));
    cr_assert_eq(status, 0, "rabbitmqctl list_consumers ended with %d", status);
    rewind(output);
    while (!found && fgets(line, (int)size, output)) {
        found = strncmp(line, queue, strlen(queue)) == 0 && line[strlen(queue)] == '\t';
    }
    if (!found) {
        line[0] = '\0';
    }
    fclose(output);
}
