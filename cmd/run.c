/* whippet run: the worker. */
#include "commands.h"
#include "configuration.h"
#include "exit_codes.h"
#include "guard.h"
#include "management_access.h"
#include "options.h"
#include "service_manager.h"
#include "tracing.h"
#include <admin/admin.h>
#include <async/loop.h>
#include <base/log.h>
#include <management/poller.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <worker/worker.h>

/* --- Signals --------------------------------------------------------------------------------------------*/

struct service {
    struct worker *worker;
    struct service_manager manager;
    struct admin *admin;              /* NULL: there is to be none, and so no poller either */
    struct management_poller *poller; /* NULL: nothing was to be asked yet */
    const char *file;                 /* as -c names it; NULL: the usual one */
    bool stopping;
};

/* The first asks for an orderly end; the second is for somebody who will not wait for it. */
static void on_end_signal(void *owner)
{
    struct service *service = owner;
    if (service->stopping) {
        log_event(WHIPPET_WARNING, NULL,
                  "a second signal: ending at once; the broker returns what was in flight");
        worker_log_summary(service->worker);
        _exit(EXIT_FAILED);
    }
    service->stopping = true;
    service_manager_stopping(&service->manager);
    worker_stop(service->worker);
}

static void on_usr1(void *owner)
{
    const struct service *service = owner;
    worker_log_in_flight(service->worker);
}

/* So that it asks what the configuration says: of the broker's virtual host, as the broker's user, where
 * nothing else is said. Where nobody looks at what it would tell, there is none. */
static void direct_poller(struct service *service, const struct config *config,
                          struct whippet_failure *failure)
{
    const struct management_access access = management_access_configured(config);
    double interval = config->management.interval;
    if (service->poller != NULL)
        management_poller_change(service->poller, &access, interval, failure);
    else if (service->admin != NULL && access.url != NULL)
        service->poller = management_poller_start(&access, interval, worker_stats(service->worker), failure);
}

static void redirect_poller(struct service *service, const struct config *config)
{
    struct whippet_failure failure = {0};
    direct_poller(service, config, &failure);
    if (failure.error != 0)
        log_event(WHIPPET_ERROR, NULL, "management: not reloaded, the rest is: %s", failure.text);
}

static void on_hangup(void *owner)
{
    struct service *service = owner;
    struct config_errors errors = {0};
    if (service->stopping) {
        log_event(WHIPPET_INFO, NULL, "not reloaded: the worker is stopping");
        return;
    }
    service_manager_reloading(&service->manager);
    struct config *config = config_load(service->file, &errors);
    if (config != NULL && worker_reload(service->worker, config, &errors)) {
        configuration_apply_log(config);
        redirect_poller(service, config);
    } else {
        configuration_log_errors(&errors, service->file);
        log_event(
            WHIPPET_ERROR, NULL,
            "not reloaded: everything goes on as it was; \"whippet check\" tests a configuration beforehand");
    }
    config_errors_destroy(&errors);
    config_destroy(config);
    service_manager_reloaded(&service->manager);
}

static bool watch_signals(struct loop *loop, struct service *service)
{
    signal(SIGPIPE, SIG_IGN);
    bool watched = loop_on_signal(loop, SIGTERM, on_end_signal, service) &&
                   loop_on_signal(loop, SIGINT, on_end_signal, service) &&
                   loop_on_signal(loop, SIGHUP, on_hangup, service) &&
                   loop_on_signal(loop, SIGUSR1, on_usr1, service);
    configuration_release_signals();
    return watched;
}

/* --- The work -------------------------------------------------------------------------------------------*/

static int fail_internally(const char *what)
{
    log_event(WHIPPET_ERROR, NULL, "%s", what);
    return EXIT_INTERNAL;
}

static int serve(struct loop *loop, struct service *service, double stall_limit)
{
    struct worker *worker = service->worker;
    struct guard guard;
    if (!watch_signals(loop, service) || !worker_start(worker) ||
        !service_manager_begin(&service->manager, loop, worker_stats(worker)))
        return fail_internally("out of memory at start");
    guard_begin(&guard, loop, worker, stall_limit);
    loop_run(loop);
    guard_end(&guard);
    service_manager_end(&service->manager);
    worker_log_summary(worker);
    if (!worker_has_ended(worker)) {
        /* A task that does not end can't be taken apart; the broker has its message back. */
        log_event(WHIPPET_ERROR, NULL, "some attempts did not come to an end when they were cancelled");
        _exit(EXIT_FAILED);
    }
    log_event(WHIPPET_INFO, NULL, "stopped");
    return EXIT_DONE;
}

/* NULL where there is to be none, and where it cannot be had: that is in `errors` then. */
static struct admin *start_admin(struct worker *worker, const struct config *config,
                                 struct config_errors *errors)
{
    const struct listen_address *listen = &config->admin_listen;
    struct whippet_failure failure;
    if (listen->host == NULL)
        return NULL;
    const struct admin_options options = {
        .host = listen->host, .port = listen->port, .commit = WHIPPET_COMMIT, .stats = worker_stats(worker)};
    struct admin *admin = admin_start(&options, &failure);
    if (admin == NULL) {
        config_errors_add(errors, config, "admin.listen", "%s", failure.text);
        return NULL;
    }
    bool is_ipv6 = strchr(listen->host, ':') != NULL;
    log_event(WHIPPET_INFO, NULL, "admin port at http://%s%s%s:%u/", is_ipv6 ? "[" : "", listen->host,
              is_ipv6 ? "]" : "", admin_port(admin));
    if (!worker_observe(worker))
        config_errors_add(errors, config, "", "out of memory");
    return admin;
}

static void start_observers(struct service *service, const struct config *config,
                            struct config_errors *errors)
{
    struct whippet_failure failure = {0};
    service->admin = start_admin(service->worker, config, errors);
    direct_poller(service, config, &failure);
    if (failure.error != 0)
        config_errors_add(errors, config, "management", "%s", failure.text);
}

/* A thousand requests at once are a thousand connections. That systems allow 1024 descriptors unless asked is
 * for the sake of select(), which nothing here uses. */
static void allow_descriptors(void)
{
    static const rlim_t ENOUGH = 65536;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= ENOUGH)
        return;
    limit.rlim_cur = limit.rlim_max < ENOUGH ? limit.rlim_max : ENOUGH;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(const struct config *config, const char *file)
{
    struct whippet_failure failure;
    struct config_errors errors = {0};
    allow_descriptors();
    struct loop *loop = loop_create(config->stack_size, &failure);
    if (loop == NULL)
        return fail_internally(failure.text);
    loop_set_threads(loop, config->threads);
    int code = EXIT_CONFIGURATION;
    bool traces_ended = true;
    struct worker *worker = worker_create(loop, config, WHIPPET_VERSION, &errors);
    struct service service = {.worker = worker, .file = file};
    if (worker != NULL)
        start_observers(&service, config, &errors);
    if (errors.count > 0) {
        configuration_report(&errors, config->file);
    } else {
        log_event(WHIPPET_INFO, NULL, "whippet %s (%s) starts: %zu queue%s, process %ld", WHIPPET_VERSION,
                  WHIPPET_COMMIT, config->queue_count, config->queue_count == 1 ? "" : "s", (long)getpid());
        struct tracing tracing;
        tracing_begin(&tracing, worker);
        code = serve(loop, &service, config->stall_limit);
        traces_ended = tracing_end(&tracing);
    }
    management_poller_stop(service.poller);
    admin_stop(service.admin);
    if (!traces_ended)
        _exit(code);
    bool is_held_up = worker_offloaded(worker) + loop_offloaded(loop) > 0;
    worker_destroy(worker);
    if (is_held_up) {
        /* A resolver that hangs can't be told to end, and is not worth waiting for. */
        _exit(code);
    }
    loop_destroy(loop);
    return code;
}

/* --- The command ----------------------------------------------------------------------------------------*/

static int run_once(const char *file)
{
    struct config *config = configuration_load(file);
    if (config == NULL)
        return EXIT_CONFIGURATION;
    configuration_apply_log(config);
    int code = run(config, file);
    config_destroy(config);
    return code;
}

static int read_options(int argc, char **argv, const char **file, bool *wait)
{
    static const struct option LONG[] = {
        {"config", required_argument, NULL, 'c'}, {"wait", no_argument, NULL, 'w'}, {0}};
    const struct options options = {.command = argv[0], .short_options = "c:w", .long_options = LONG};
    int option;
    *file = NULL;
    *wait = false;
    while ((option = options_next(&options, argc, argv)) > 0) {
        if (option == 'c')
            *file = optarg;
        else
            *wait = true;
    }
    if (option == OPTIONS_HELP)
        return EXIT_DONE;
    if (option == OPTIONS_WRONG)
        return EXIT_USAGE;
    if (optind < argc)
        return usage_error_operand(argv[0], argv[optind], "--config");
    return OPTIONS_END;
}

int command_run(int argc, char **argv)
{
    const char *file;
    bool wait;
    int code = read_options(argc, argv, &file, &wait);
    if (code != OPTIONS_END)
        return code;
    do
        code = run_once(file);
    while (code == EXIT_CONFIGURATION && wait && configuration_await_change());
    return code;
}
