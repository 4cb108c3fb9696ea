/* Running one of the processors of processors/ as the worker does, without a broker. Included by one test
 * file each. */
#ifndef TESTS_PROCESSOR_TESTING_H
#define TESTS_PROCESSOR_TESTING_H

#include <amqp/message.h>
#include <async/loop.h>
#include <async/task.h>
#include <base/bytes.h>
#include <base/log.h>
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <worker/message.h>
#include <worker/plugin.h>

/* --- The processor --------------------------------------------------------------------------------------*/

static struct plugin *load_processor(const char *name)
{
    char folder[4096];
    const char *path[] = {folder};
    struct whippet_failure failure;
    const char *test_plugins = getenv("WHIPPET_TEST_PLUGINS");
    cr_assert_not_null(test_plugins, "WHIPPET_TEST_PLUGINS is not set: run the tests with ctest");
    snprintf(folder, sizeof folder, "%s/../../processors", test_plugins);
    struct plugin *plugin = plugin_load(name, path, 1, &failure);
    cr_assert_not_null(plugin, "%s", failure.text);
    return plugin;
}

/* `json` has ' in place of ". */
static whippet_settings *make_settings(const struct plugin *plugin, const char *json)
{
    char text[4096];
    struct config_errors errors = {0};
    snprintf(text, sizeof text,
             "{'amqp':{'url':'amqp://h/'},'queues':[{'name':'q','processor':'p','settings':%s}]}", json);
    for (char *at = text; *at != '\0'; at++)
        *at = *at == '\'' ? '"' : *at;
    struct config *config = config_parse(text, "test.json", &errors);
    cr_assert_not_null(config, "%s", errors.count > 0 ? errors.items[0].text : "");
    whippet_settings *settings =
        settings_check(plugin, config->queues[0].settings, "queues[0].settings", config, &errors);
    cr_assert_not_null(settings, "%s", errors.count > 0 ? errors.items[0].text : "");
    config_destroy(config);
    return settings;
}

static struct processor set_up(const char *name, const char *settings)
{
    struct processor processor;
    struct whippet_failure failure;
    struct plugin *plugin = load_processor(name);
    cr_assert_eq(processor_setup(&processor, plugin, make_settings(plugin, settings), &failure), 0, "%s",
                 failure.text);
    return processor;
}

/* Its setup() must fail; what it says, static. */
static const char *refused_setup(const char *name, const char *json)
{
    static struct whippet_failure failure;
    struct processor processor;
    struct plugin *plugin = load_processor(name);
    whippet_settings *settings = make_settings(plugin, json);
    cr_assert_neq(processor_setup(&processor, plugin, settings, &failure), 0);
    settings_destroy(settings);
    plugin_unload(plugin);
    return failure.text;
}

/* --- A message ------------------------------------------------------------------------------------------*/

static struct message *make_message(const struct properties_draft *draft, whippet_bytes body)
{
    struct buffer properties;
    buffer_init(&properties);
    cr_assert_eq(properties_write(&properties, draft), 0);
    struct message *message =
        message_create(bytes_of_text("shop"), bytes_of_text("orders.new"),
                       bytes_of(buffer_begin(&properties), buffer_length(&properties)), body.len);
    if (body.len > 0)
        memcpy(message_body_storage(message), body.data, body.len);
    buffer_destroy(&properties);
    return message;
}

/* --- An attempt -----------------------------------------------------------------------------------------*/

/* What came of one; everything is a copy. */
struct outcome {
    whippet_verdict verdict;
    char reason[1200];
    char log[65536]; /* the lines written meanwhile */
};

struct attempt {
    const struct processor *processor;
    struct whippet_message message;
    struct outcome *outcome;
    struct loop *loop;
    bool ended;
};

static int run_attempt(whippet_task *task, void *arg)
{
    struct attempt *attempt = arg;
    const struct processor *processor = attempt->processor;
    task_set_message(task, &attempt->message);
    attempt->outcome->verdict =
        processor->plugin->descriptor.process(task, &attempt->message, processor->state);
    snprintf(attempt->outcome->reason, sizeof attempt->outcome->reason, "%s", task_reason(task));
    return 0;
}

static void attempt_ended(void *arg, int result)
{
    struct attempt *attempt = arg;
    (void)result;
    attempt->ended = true;
    loop_stop(attempt->loop);
}

static void run_loop(struct attempt *attempt, double seconds)
{
    struct whippet_failure failure;
    signal(SIGPIPE, SIG_IGN);
    attempt->loop = loop_create(256 * 1024, &failure);
    cr_assert_not_null(attempt->loop, "%s", failure.text);
    double now = loop_refresh_now(attempt->loop);
    task_start(loop_scheduler(attempt->loop), run_attempt, attempt, now + seconds, NULL, attempt_ended, NULL);
    while (!attempt->ended)
        loop_run(attempt->loop);
    loop_destroy(attempt->loop);
}

/* The second of five attempts, with `seconds` for it. */
static void attempt(struct outcome *outcome, const struct processor *processor,
                    const struct properties_draft *draft, whippet_bytes body, double seconds)
{
    char file[] = "/tmp/whippet-log-XXXXXX";
    int log = mkstemp(file);
    unlink(file);
    struct attempt run = {.processor = processor, .outcome = outcome};
    run.message = (struct whippet_message){
        .content = make_message(draft, body), .queue = "orders", .attempt = 2, .attempts = 5};
    log_configure(log, WHIPPET_DEBUG, LOG_FORMAT_TEXT);
    run_loop(&run, seconds);
    log_configure(STDERR_FILENO, WHIPPET_INFO, LOG_FORMAT_TEXT);
    ssize_t length = pread(log, outcome->log, sizeof outcome->log - 1, 0);
    outcome->log[length > 0 ? length : 0] = '\0';
    close(log);
    message_destroy(run.message.content);
}

static void assert_contains(const char *text, const char *part)
{
    cr_assert_not_null(strstr(text, part), "\"%s\" is not in \"%s\"", part, text);
}

#endif
