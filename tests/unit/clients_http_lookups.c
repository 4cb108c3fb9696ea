/* How whippet_http looks names up, with a getaddrinfo of ours, which libcurl's threads call. */
#include <async/loop.h>
#include <async/task.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <dlfcn.h>
#include <math.h>
#include <netdb.h>
#include <patience.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <web_server.h>
#include <whippet/http.h>

/* --- Names ----------------------------------------------------------------------------------------------*/

static atomic_uint lookups;         /* that have begun */
static atomic_uint lookups_going;   /* that have not ended */
static atomic_uint lookups_at_once; /* at most */
static atomic_bool answers;         /* false: none ends before it becomes true */

static bool is_ours(const char *name)
{
    const char *dot = name != NULL ? strrchr(name, '.') : NULL;
    return dot != NULL && strcmp(dot, ".test") == 0;
}

/* "unknown.test" is not known, every other name below ".test" is this machine's. */
__attribute__((visibility("default"))) int getaddrinfo(const char *restrict name,
                                                       const char *restrict service,
                                                       const struct addrinfo *restrict hints,
                                                       struct addrinfo **restrict result)
{
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
    if (!is_ours(name))
        return next(name, service, hints, result);
    unsigned going = atomic_fetch_add(&lookups_going, 1) + 1;
    atomic_fetch_add(&lookups, 1);
    if (going > atomic_load(&lookups_at_once))
        atomic_store(&lookups_at_once, going);
    while (!atomic_load(&answers))
        patience_pause();
    int error = strcmp(name, "unknown.test") == 0 ? EAI_NONAME : next("127.0.0.1", service, hints, result);
    atomic_fetch_sub(&lookups_going, 1);
    return error;
}

/* --- Both ends ------------------------------------------------------------------------------------------*/

enum {
    MANY = 200,
    PATIENCE = 30,
};

static struct loop *loop;
static struct web_server *server;

static void handle(struct web_exchange *exchange, void *owner)
{
    (void)owner;
    exchange->answer = "fine";
}

struct call {
    whippet_http_request request;
    char url[128];
    int error;
    char words[256];
};

static int call_http(whippet_task *task, void *arg)
{
    struct call *call = arg;
    whippet_http_response response;
    call->error = whippet_http(task, &call->request, &response);
    snprintf(call->words, sizeof call->words, "%s", response.error);
    return 0;
}

static size_t running;

static void on_end(void *arg, int result)
{
    (void)arg, (void)result;
    running--;
}

static whippet_task *start(struct call *call, const char *host)
{
    bool started;
    snprintf(call->url, sizeof call->url, "http://%s:%u/", host, web_server_port(server));
    call->request.url = call->url;
    running++;
    whippet_task *task = task_start(loop_scheduler(loop), call_http, call, INFINITY, NULL, on_end, &started);
    cr_assert(started, "no memory for a task");
    return task;
}

static void start_many(struct call *calls, size_t count, const char *host)
{
    for (size_t i = 0; i < count; i++)
        start(&calls[i], host);
}

/* --- Turning the loop -----------------------------------------------------------------------------------*/

static void stop_loop(struct timer *timer)
{
    (void)timer;
    loop_stop(loop);
}

/* Lets it turn for some milliseconds; for awaiting a condition. */
static bool turn(void)
{
    struct timer timer = {.function = stop_loop};
    timer_start(&loop_scheduler(loop)->timers, &timer, loop_refresh_now(loop) + 0.005);
    loop_run(loop);
    return true;
}

static void run_all(void)
{
    await(PATIENCE, turn() && running == 0, "the end of all requests");
}

static void open_all(void)
{
    struct whippet_failure failure;
    signal(SIGPIPE, SIG_IGN);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    loop = loop_create(64 * 1024, &failure);
    cr_assert_not_null(loop, "%s", failure.text);
    server = web_server_start(handle, NULL, NULL, NULL);
    /* libcurl is loaded then. */
    struct call first = {0};
    start(&first, "127.0.0.1");
    run_all();
}

/* A look-up that nobody waits for any more goes on all the same. */
static void close_all(void)
{
    atomic_store(&answers, true);
    await(PATIENCE, atomic_load(&lookups_going) == 0, "the end of all look-ups");
    loop_destroy(loop);
    web_server_stop(server);
}

TestSuite(http_lookups, .init = open_all, .fini = close_all, .timeout = 120);

static unsigned count_threads(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void assert_all(const struct call *calls, size_t count, int error)
{
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(calls[i].error, error, "call %zu: %s", i, calls[i].words);
}

/* --- Tests ----------------------------------------------------------------------------------------------*/

Test(http_lookups, take_one_thread_for_many_requests_to_the_same_host)
{
    static struct call calls[MANY];
    unsigned before = count_threads();
    start_many(calls, MANY, "host.test");
    await(PATIENCE, turn() && atomic_load(&lookups_going) == 1, "a look-up");
    turn();
    unsigned meanwhile = count_threads();
    cr_assert_leq(meanwhile, before + 1, "%u threads, %u before", meanwhile, before);
    atomic_store(&answers, true);
    run_all();
    assert_all(calls, MANY, 0);
    cr_assert_eq(atomic_load(&lookups), 1, "%u look-ups", atomic_load(&lookups));
}

Test(http_lookups, of_different_hosts_do_not_wait_for_each_other)
{
    static struct call calls[3][10];
    start_many(calls[0], 10, "one.test");
    start_many(calls[1], 10, "two.test");
    start_many(calls[2], 10, "three.test");
    await(PATIENCE, turn() && atomic_load(&lookups_going) == 3, "three look-ups");
    atomic_store(&answers, true);
    run_all();
    assert_all(calls[0], 30, 0);
    cr_assert_eq(atomic_load(&lookups), 3, "%u look-ups", atomic_load(&lookups));
}

Test(http_lookups, that_fail_do_so_for_all_that_wait)
{
    static struct call calls[MANY];
    start_many(calls, MANY, "unknown.test");
    await(PATIENCE, turn() && atomic_load(&lookups_going) == 1, "a look-up");
    atomic_store(&answers, true);
    run_all();
    assert_all(calls, MANY, WHIPPET_E_UNAVAILABLE);
    cr_assert_not_null(strstr(calls[MANY - 1].words, "unknown.test"), "%s", calls[MANY - 1].words);
    cr_assert_eq(atomic_load(&lookups), 1, "%u look-ups", atomic_load(&lookups));
}

Test(http_lookups, of_a_request_that_ends_early_are_taken_on_by_the_next)
{
    static struct call calls[10];
    whippet_task *first = start(&calls[0], "host.test");
    start_many(calls + 1, 9, "host.test");
    await(PATIENCE, turn() && atomic_load(&lookups_going) == 1, "a look-up");
    task_cancel(first);
    await(PATIENCE, turn() && atomic_load(&lookups_going) == 2, "the next one's look-up");
    cr_assert_eq(running, 9);
    cr_assert_eq(calls[0].error, WHIPPET_E_CANCELLED, "%s", calls[0].words);
    atomic_store(&answers, true);
    run_all();
    assert_all(calls + 1, 9, 0);
    cr_assert_eq(atomic_load(&lookups), 2, "%u look-ups", atomic_load(&lookups));
}

Test(http_lookups, are_not_waited_for_longer_than_for_a_connection)
{
    struct call patient = {.request.connect_timeout = 100}, other = {.request.connect_timeout = 0.1};
    start(&patient, "host.test");
    await(PATIENCE, turn() && atomic_load(&lookups_going) == 1, "a look-up");
    start(&other, "host.test");
    await(PATIENCE, turn() && running == 1, "the end of who waits less");
    cr_assert_eq(other.error, WHIPPET_E_TIMEOUT, "%s", other.words);
    cr_assert_not_null(strstr(other.words, "its name was not looked up within 0.1 s"), "%s", other.words);
    atomic_store(&answers, true);
    run_all();
    cr_assert_eq(patient.error, 0, "%s", patient.words);
}
