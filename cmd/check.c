/* whippet check: what the configuration comes to, without running it. */
#include "check_broker.h"
#include "commands.h"
#include "configuration.h"
#include "exit_codes.h"
#include "options.h"
#include "url_argument.h"
#include <base/secret.h>
#include <config/units.h>
#include <math.h>
#include <stdio.h>
#include <worker/bound.h>
#include <worker/brokers.h>
#include <worker/ledger.h>
#include <worker/worker.h>

/* False after everything that is wrong was printed: with processors, certificates, keys, the password file.
 * Writes the processors' wishes down where a queue leaves its run mode to them. */
static bool check_files(const struct config *config)
{
    struct config_errors errors = {0};
    brokers_destroy(brokers_create(config, &errors));
    for (size_t i = 0; i < config->queue_count; i++) {
        struct plugin *plugin;
        whippet_settings *settings;
        if (!queue_prepare(config, i, &plugin, &settings, &errors))
            continue;
        config->queues[i].run = queue_run_mode(&config->queues[i], &plugin->descriptor);
        settings_destroy(settings);
        plugin_unload(plugin);
    }
    if (errors.count == 0)
        return true;
    configuration_report(&errors, config->file);
    return false;
}

static void print_retry(const struct queue_config *queue)
{
    const whippet_retry_policy *retry = &queue->retry;
    char delay[UNITS_TEXT_SIZE], max_delay[UNITS_TEXT_SIZE];
    duration_format(retry->delay, delay);
    duration_format(retry->max_delay, max_delay);
    printf("    retry        %u attempts, %s apart", retry->attempts, delay);
    if (retry->backoff == WHIPPET_BACKOFF_EXPONENTIAL)
        printf(" and doubling up to %s", max_delay);
    if (retry->jitter > 0)
        printf(", jitter %g", retry->jitter);
    printf("%s\n", queue->retry_via == RETRY_VIA_BROKER ? ", in delay queues of the broker" : "");
}

static void print_queue(const struct config *config, const struct queue_config *queue)
{
    static const char *const DECLARE[] = {"declared if missing", "must exist", "declared"};
    static const char *const TYPE[] = {"quorum", "classic", "stream"};
    char timeout[UNITS_TEXT_SIZE], size[UNITS_TEXT_SIZE], memory[UNITS_TEXT_SIZE];
    struct memory_bound bound = bound_of_queue(config, queue);
    duration_format(queue->timeout, timeout);
    size_format(queue->max_message_size, size);
    size_format(bound.messages + bound.stacks + bound.children, memory);
    printf("  %s\n", queue->name);
    printf("    processor    %s\n", queue->processor);
    printf("    queue        %s, %s; %zu binding%s\n", TYPE[queue->type], DECLARE[queue->declare],
           queue->binding_count, queue->binding_count == 1 ? "" : "s");
    if (queue->run == RUN_PROCESS)
        printf("    run          in %u child process%s\n", queue->processes,
               queue->processes == 1 ? "" : "es");
    else
        printf("    run          %s\n", queue->run == RUN_THREAD ? "in threads" : "in the loop");
    printf("    concurrency  %u attempts at once, prefetch %u\n", queue->concurrency, queue->prefetch);
    printf("    timeout      %s an attempt\n", timeout);
    printf("    crashes      %u, then it is not run any more\n", queue->max_crashes);
    print_retry(queue);
    if (queue->on_failure == ON_FAILURE_DEAD_LETTER)
        printf("    on failure   to the dead-letter queue %s\n", queue->dead_letter);
    else
        printf("    on failure   discarded\n");
    printf("    messages     up to %s; what is larger is dead-lettered\n", size);
    printf("    memory       at most %s\n", memory);
}

static void print_bound(const struct config *config)
{
    char messages[UNITS_TEXT_SIZE], stacks[UNITS_TEXT_SIZE], buffers[UNITS_TEXT_SIZE], total[UNITS_TEXT_SIZE],
        spawned[UNITS_TEXT_SIZE], children[UNITS_TEXT_SIZE];
    struct memory_bound bound = bound_of_config(config);
    size_format(bound.messages, messages);
    size_format(bound.stacks, stacks);
    size_format(bound.buffers, buffers);
    size_format(bound.spawned, spawned);
    size_format(bound.children, children);
    size_format(bound.messages + bound.stacks + bound.spawned + bound.children + bound.buffers, total);
    printf("memory bound     %s, beside what processors allocate:\n", total);
    printf("    messages     %s if every prefetched one is as large as allowed\n", messages);
    printf("    stacks       %s if every attempt uses all of its own (%s are resident for a small one)\n",
           stacks, "4 KiB");
    printf("    spawned      %s if processors spawn all the tasks that max_tasks allows (%zu)\n", spawned,
           config->max_tasks - config_tasks_reserved(config));
    if (bound.children > 0)
        printf("    children     %s in child processes, with a copy of each message they work on\n",
               children);
    printf("    connections  %s\n", buffers);
}

static void print_ledger(const struct config *config)
{
    char text[4096], limit[UNITS_TEXT_SIZE] = "";
    ledger_describe(ledger_folder(config), text, sizeof text);
    printf("ledger           %s\n", text);
    if (config->stall_limit < INFINITY)
        duration_format(config->stall_limit, limit);
    printf("blocked loop     %s%s\n",
           limit[0] != '\0' ? "ends the process after " : "is named, and never ended", limit);
}

static void print_config(const struct config *config)
{
    char shutdown[UNITS_TEXT_SIZE];
    duration_format(config->shutdown_timeout, shutdown);
    printf("%s is valid.\n\n", config->file);
    printf("broker           %s\n", config->addresses[0].display);
    for (size_t i = 1; i < config->address_count; i++)
        printf("                 %s\n", config->addresses[i].display);
    printf("shutdown         within %s\n", shutdown);
    print_ledger(config);
    printf("\n");
    printf("queues\n");
    for (size_t i = 0; i < config->queue_count; i++)
        print_queue(config, &config->queues[i]);
    printf("\n");
    print_bound(config);
}

enum {
    OPTION_MANAGEMENT = 256
};

static const struct option LONG_OPTIONS[] = {
    {"config", required_argument, NULL, 'c'},
    {"broker", no_argument, NULL, 'b'},
    {"management", required_argument, NULL, OPTION_MANAGEMENT},
    {"json", no_argument, NULL, 'j'},
    {0},
};

struct request {
    const char *file;
    bool broker;
    struct check_request compare;
};

/* OPTIONS_END, or the exit code to end with. */
static int take_options(struct request *request, int argc, char **argv)
{
    const struct options options = {
        .command = argv[0], .short_options = "c:bj", .long_options = LONG_OPTIONS};
    int option;
    while ((option = options_next(&options, argc, argv)) != OPTIONS_END) {
        switch (option) {
        case 'c': request->file = optarg; break;
        case 'b': request->broker = true; break;
        case 'j': request->compare.json = true; break;
        case OPTION_MANAGEMENT:
            if (!url_argument_take(&request->compare.management, optarg))
                return EXIT_INTERNAL;
            break;
        default: return option == OPTIONS_HELP ? EXIT_DONE : EXIT_USAGE;
        }
    }
    if (optind < argc)
        return usage_error_operand(argv[0], argv[optind], "--config");
    if (!request->broker && (request->compare.json || request->compare.management != NULL))
        return usage_error(argv[0], "--json and --management go with --broker");
    return OPTIONS_END;
}

static int check(const struct request *request)
{
    struct config *config = configuration_load(request->file);
    if (config == NULL)
        return EXIT_CONFIGURATION;
    int code = EXIT_CONFIGURATION;
    if (check_files(config)) {
        if (!request->broker)
            print_config(config);
        code = request->broker ? check_broker(config, &request->compare) : EXIT_DONE;
    }
    config_destroy(config);
    return code;
}

int command_check(int argc, char **argv)
{
    struct request request = {0};
    int code = take_options(&request, argc, argv);
    if (code == OPTIONS_END)
        code = check(&request);
    secret_destroy(request.compare.management);
    return code;
}
