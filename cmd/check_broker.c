/* Nothing is created: what does not exist is never declared, and what exists is declared with arguments that
 * it has, or else refused (406). No message is taken, and none arrives anywhere. */
#include "check_broker.h"
#include "check_asking.h"
#include "configuration.h"
#include "exit_codes.h"
#include "management_access.h"
#include <base/bytes.h>
#include <cjson/cJSON.h>
#include <config/retry.h>
#include <stdio.h>
#include <string.h>
#include <worker/arguments.h>

enum {
    QUORUM_PREFETCH_MAX = 2000,
    DELIVERY_LIMIT_SINCE_4 = 20,
};

static const char DELIVERY_LIMIT[] = "x-delivery-limit";

static const char FIX_PREFETCH[] = "set \"prefetch\" to at most 2000";

/* --- The queue itself -----------------------------------------------------------------------------------*/

static const char *type_name(enum queue_type type)
{
    static const char *const NAMES[] = {"quorum", "classic", "stream"};
    return NAMES[type];
}

/* Declares it as the worker would, now that it is known to exist. `limitless`: with the argument that the
 * worker adds to what it makes on RabbitMQ 4.0. */
static int declare_as_configured(whippet_task *task, struct check *check, const struct queue_config *queue,
                                 bool limitless)
{
    struct buffer entries;
    buffer_init(&entries);
    int error = check_open_channel(task, check);
    if (error == 0 &&
        (!table_add_text(&entries, bytes_of_text("x-queue-type"), bytes_of_text(type_name(queue->type))) ||
         (limitless && !table_add_integer(&entries, bytes_of_text(DELIVERY_LIMIT), -1))))
        error = WHIPPET_E_MEMORY;
    if (error == 0)
        error = arguments_write(&entries, queue->arguments);
    if (error == 0) {
        struct queue_declaration declaration = {
            .queue = queue->name,
            .durable = true,
            .arguments = bytes_of(buffer_begin(&entries), buffer_length(&entries)),
        };
        error = channel_queue_declare(task, &check->channel, &declaration, REQUEST_SECONDS);
    }
    buffer_destroy(&entries);
    return error;
}

/* Of a queue that is found to be a quorum queue, once or again. */
static void check_prefetch(struct check *check, const struct queue_config *queue)
{
    const struct findings *findings = &check->findings;
    if (queue->prefetch <= QUORUM_PREFETCH_MAX)
        return;
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].queue == queue->name && findings->items[i].fix == FIX_PREFETCH)
            return;
    findings_add(&check->findings, FINDING_PROBLEM, queue->name, FIX_PREFETCH,
                 "it is a quorum queue, which allows a prefetch of 2000; configured is %u", queue->prefetch);
}

static void add_difference(struct check *check, const struct queue_config *queue, const char *difference)
{
    findings_add(
        &check->findings, FINDING_PROBLEM, queue->name,
        queue->declare == QUEUE_DECLARE_CREATE
            ? "set \"declare\": \"if-missing\" to use it as it is, or write its arguments and type here"
            : "the worker uses it as it is; write its arguments and type here, or make it anew",
        "it exists with other arguments: %s", difference);
}

static void check_arguments(whippet_task *task, struct check *check, const struct queue_config *queue)
{
    int error = declare_as_configured(task, check, queue, false);
    if (check->channel.closed_code == PRECONDITION_FAILED && queue->declare != QUEUE_DECLARE_CREATE &&
        cJSON_GetObjectItemCaseSensitive(queue->arguments, DELIVERY_LIMIT) == NULL &&
        strstr(check_words(check, error), DELIVERY_LIMIT) != NULL)
        error = declare_as_configured(task, check, queue, true);
    if (error == 0)
        return;
    if (check->channel.closed_code == PRECONDITION_FAILED) {
        add_difference(check, queue, check_words(check, error));
        if (strstr(check_words(check, error), "'quorum'") != NULL)
            check_prefetch(check, queue);
    } else if (check->channel.closed_code == ACCESS_REFUSED && queue->declare != QUEUE_DECLARE_CREATE) {
        /* The worker only looks whether it is there, and that nobody is refused. */
        findings_add(&check->findings, FINDING_UNCHECKED, queue->name,
                     "check as a user who has configure permission on it",
                     "its arguments: they take a permission that the worker does not need: %s",
                     check_words(check, error));
    } else {
        check_add_refusal(check, queue->name, "queue", queue->name, error);
    }
}

/* The broker looks at the permission first, and at the arguments then, of which this one can't be: so nothing
 * is consumed either way. */
static void check_may_consume(whippet_task *task, struct check *check, const struct queue_config *queue)
{
    struct buffer arguments;
    int error = check_open_channel(task, check);
    buffer_init(&arguments);
    if (error == 0 && !table_add_text(&arguments, bytes_of_text("x-priority"), bytes_of_text("none")))
        error = WHIPPET_E_MEMORY;
    if (error == 0) {
        struct consumption consumption = {
            .queue = queue->name,
            .consumer_tag = "whippet-check",
            .arguments = bytes_of(buffer_begin(&arguments), buffer_length(&arguments)),
        };
        error = channel_consume(task, &check->channel, &consumption, REQUEST_SECONDS);
    }
    buffer_destroy(&arguments);
    if (check->channel.closed_code == ACCESS_REFUSED)
        check_add_refusal(check, queue->name, "consuming from", queue->name, error);
    channel_abandon(&check->channel);
}

static void check_queue(whippet_task *task, struct check *check, const struct queue_config *queue)
{
    int there = check_queue_exists(task, check, queue->name, queue->name);
    if (there > 0) {
        check_arguments(task, check, queue);
        check_may_consume(task, check, queue);
    } else if (there == 0 && queue->declare == QUEUE_DECLARE_PASSIVE) {
        findings_add(&check->findings, FINDING_PROBLEM, queue->name,
                     "create it, or set \"declare\": \"if-missing\"", "there is no such queue");
    } else if (there == 0 && check_may_declare(task, check, queue->name, queue->name, NULL)) {
        findings_add(&check->findings, FINDING_NOTE, queue->name,
                     "start the worker, or create the queue, before anything is published to it",
                     "there is no such queue yet; the worker will declare it (%s)", type_name(queue->type));
    }
}

/* --- What only the management API tells -----------------------------------------------------------------*/

/* A whole number from the queue's policy or arguments; `otherwise` when neither says. */
static double limit_of(const cJSON *queue, const char *policy, const char *argument, double otherwise)
{
    const cJSON *policies = cJSON_GetObjectItemCaseSensitive(queue, "effective_policy_definition");
    const cJSON *arguments = cJSON_GetObjectItemCaseSensitive(queue, "arguments");
    const cJSON *of_policy = cJSON_GetObjectItemCaseSensitive(policies, policy);
    const cJSON *of_argument = cJSON_GetObjectItemCaseSensitive(arguments, argument);
    double limit = otherwise;
    if (cJSON_IsNumber(of_argument))
        limit = of_argument->valuedouble;
    if (cJSON_IsNumber(of_policy) && (!cJSON_IsNumber(of_argument) || of_policy->valuedouble < limit))
        limit = of_policy->valuedouble;
    return limit;
}

static void compare_patience(struct check *check, const struct queue_config *config, double consumer_timeout)
{
    if (config->timeout >= consumer_timeout)
        findings_add(
            &check->findings, FINDING_PROBLEM, config->name,
            "lower \"timeout\", or raise consumer-timeout in the queue's policy",
            "the broker takes a message away after %g s (consumer timeout); an attempt may take %g s",
            consumer_timeout, config->timeout);
    else if (retry_longest_hold(config) >= consumer_timeout)
        findings_add(
            &check->findings, FINDING_PROBLEM, config->name,
            "set \"retry\": { \"via\": \"broker\" }, or lower \"timeout\" or the attempts, or raise "
            "consumer-timeout in the queue's policy",
            "the broker takes a message away after %g s (consumer timeout); %u attempts and the pauses "
            "between them may take %g s",
            consumer_timeout, config->retry.attempts, retry_longest_hold(config));
}

static void compare_limits(struct check *check, const struct queue_config *config, const cJSON *queue,
                           bool has_default_limit)
{
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(queue, "type"));
    double consumer_timeout = limit_of(queue, "consumer-timeout", "x-consumer-timeout", 0) / 1000;
    if (consumer_timeout > 0)
        compare_patience(check, config, consumer_timeout);
    if (type == NULL || strcmp(type, "quorum") != 0)
        return;
    check_prefetch(check, config);
    double limit = limit_of(queue, "delivery-limit", "x-delivery-limit",
                            has_default_limit ? DELIVERY_LIMIT_SINCE_4 : -1);
    if (limit >= 0 && limit < config->retry.attempts)
        findings_add(
            &check->findings, FINDING_PROBLEM, config->name,
            "raise delivery-limit in the queue's policy, and give it a dead-letter-exchange",
            "the broker drops a message that came back more than %g times (delivery-limit), fewer than the "
            "%u attempts: workers that are stopped or lose their connection would use it up",
            limit, config->retry.attempts);
}

static const char *management_fix(const struct whippet_failure *failure)
{
    if (strstr(failure->text, "libcurl4") != NULL)
        return "install libcurl (Debian: libcurl4, and libcurl4-openssl-dev to build with)";
    switch (failure->error) {
    case WHIPPET_E_REFUSED: return "rabbitmqctl set_user_tags USER monitoring";
    case WHIPPET_E_UNAVAILABLE:
        return "rabbitmq-plugins enable rabbitmq_management, or look at the URL: http://HOST:15672";
    default: return "look at the URL (http://HOST:15672), the user and the password";
    }
}

static void compare_with_management(struct check *check, const struct management_access *access)
{
    struct whippet_failure failure;
    cJSON *overview = management_get(access, "/api/overview", &failure);
    cJSON *queues = overview != NULL ? management_get(access, "/api/queues/%s", &failure) : NULL;
    if (queues == NULL) {
        findings_add(&check->findings, FINDING_UNCHECKED, NULL, management_fix(&failure),
                     "delivery limits and consumer timeouts: %s", failure.text);
        cJSON_Delete(overview);
        return;
    }
    const char *version =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(overview, "rabbitmq_version"));
    for (size_t i = 0; i < check->config->queue_count; i++) {
        const cJSON *queue;
        cJSON_ArrayForEach(queue, queues)
        {
            const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(queue, "name"));
            if (name != NULL && strcmp(name, check->config->queues[i].name) == 0)
                compare_limits(check, &check->config->queues[i], queue, version != NULL && version[0] >= '4');
        }
    }
    cJSON_Delete(queues);
    cJSON_Delete(overview);
}

/* The command line's API, else the configuration's. */
static void check_management(struct check *check)
{
    struct management_access access;
    if (check->request->management != NULL) {
        access = management_access_at(check->request->management, &check->link->brokers->endpoints[0]);
    } else if (check->config->management.url != NULL) {
        access = management_access_configured(check->config);
    } else {
        findings_add(&check->findings, FINDING_UNCHECKED, NULL,
                     "set \"management\": { \"url\": \"http://HOST:15672\" }, or give --management "
                     "http://HOST:15672",
                     "delivery limits and consumer timeouts of policies: only the management API tells them");
        return;
    }
    compare_with_management(check, &access);
}

/* --- All of it ------------------------------------------------------------------------------------------*/

/* How the comparison came to its end; says so where it was cut short. */
static int conclude(const struct check *check)
{
    const struct whippet_failure *why = &check->channel.closed_by;
    if (check->link->lost) {
        fprintf(stderr, "whippet check --broker: the connection to the broker was lost%s%s; check again\n",
                why->error != 0 ? ": " : "", why->error != 0 ? why->text : "");
        return EXIT_BROKER;
    }
    if (check->link->interrupted) {
        fprintf(stderr, "whippet check --broker: interrupted\n");
        return EXIT_FAILED;
    }
    if (check->findings.short_of_memory) {
        fprintf(stderr, "whippet check --broker: out of memory\n");
        return EXIT_INTERNAL;
    }
    return EXIT_DONE;
}

static bool goes_on(const struct check *check)
{
    return !check->link->lost && !check->link->interrupted;
}

static int compare(whippet_task *task, struct broker_link *link, void *arg)
{
    struct check *check = arg;
    check->link = link;
    for (size_t i = 0; i < check->config->queue_count && goes_on(check); i++) {
        const struct queue_config *queue = &check->config->queues[i];
        check_queue(task, check, queue);
        check_belongings(task, check, queue);
    }
    if (goes_on(check))
        check_may_publish(task, check);
    channel_abandon(&check->channel);
    if (goes_on(check))
        check_management(check);
    return conclude(check);
}

static void write_grant(struct check *check, const struct endpoint *endpoint)
{
    snprintf(check->grant, sizeof check->grant, "rabbitmqctl set_permissions -p '%s' '%s' '.*' '.*' '.*'",
             endpoint->vhost, endpoint->user != NULL ? endpoint->user : "USER");
}

static int report(const struct check *check)
{
    findings_print(&check->findings, check->request->json);
    if (!check->request->json)
        printf(check->findings.problems > 0 ? "%zu problem%s\n"
                                            : "the broker has what the configuration wants\n",
               check->findings.problems, check->findings.problems == 1 ? "" : "s");
    return check->findings.problems > 0 ? EXIT_FAILED : EXIT_DONE;
}

int check_broker(const struct config *config, const struct check_request *request)
{
    struct check check = {.config = config, .request = request};
    struct config_errors errors = {0};
    struct brokers *brokers = brokers_create(config, &errors);
    if (brokers == NULL) {
        configuration_report(&errors, config->file);
        return EXIT_CONFIGURATION;
    }
    write_grant(&check, &brokers->endpoints[0]);
    int code = broker_link_run("check --broker", brokers, compare, &check);
    if (code == EXIT_DONE)
        code = report(&check);
    findings_destroy(&check.findings);
    brokers_destroy(brokers);
    return code;
}
