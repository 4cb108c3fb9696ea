#include "io_testing.h"
#include "short_memory.h"
#include <arpa/inet.h>
#include <errno.h>
#include <io/dial.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static void open_all(void)
{
    rig_open();
}

TestSuite(dial, .init = open_all, .fini = rig_close, .timeout = 180);

/* One call of dial, and what it came to. */
struct call {
    const char *host;
    uint16_t port;
    double seconds; /* the task's deadline; 0: none */
    bool (*permit)(size_t size);
    whippet_task *task;
    int result;
    struct whippet_failure failure;
    bool ended;
};

static int call_main(whippet_task *task, void *arg)
{
    struct call *call = arg;
    memory_permit = call->permit;
    call->result = dial(task, call->host, call->port, &call->failure);
    return 0;
}

static void call_ended(void *arg, int result)
{
    (void)result;
    ((struct call *)arg)->ended = true;
}

static void start(struct call *call)
{
    bool started;
    double now = loop_refresh_now(rig.loop);
    call->result = 12345;
    call->task = task_start(loop_scheduler(rig.loop), call_main, call,
                            call->seconds > 0 ? now + call->seconds : INFINITY, NULL, call_ended, &started);
    cr_assert(started);
}

static void run(struct call *call)
{
    start(call);
    rig_until(call->ended);
}

/* A port that nobody listens at. */
static uint16_t dead_port(void)
{
    fake_broker_shut(rig.broker);
    return rig.broker->port;
}

Test(dial, connects_with_a_descriptor_that_is_ready_for_use)
{
    struct call call = {.host = "127.0.0.1", .port = rig.broker->port};
    int on = 0;
    socklen_t size = sizeof on;
    run(&call);
    cr_assert_geq(call.result, 0, "%s", call.failure.text);
    cr_assert_neq(fcntl(call.result, F_GETFL) & O_NONBLOCK, 0);
    cr_assert_neq(fcntl(call.result, F_GETFD) & FD_CLOEXEC, 0);
    cr_assert_eq(getsockopt(call.result, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    cr_assert_neq(on, 0);
    rig_until(rig.broker->link_count == 1);
    close(call.result);
}

Test(dial, tries_every_address_of_a_name)
{
    /* "localhost" is often ::1 first, where nobody listens. A bare root folder without /etc/hosts has no such
     * name. */
    struct addrinfo *addresses;
    if (getaddrinfo("localhost", NULL, NULL, &addresses) != 0)
        cr_skip_test("no name resolves here");
    freeaddrinfo(addresses);
    struct call call = {.host = "localhost", .port = rig.broker->port};
    run(&call);
    cr_assert_geq(call.result, 0, "%s", call.failure.text);
    close(call.result);
}

Test(dial, says_who_refused_and_at_which_address)
{
    struct call call = {.host = "127.0.0.1", .port = dead_port()};
    char address[40];
    run(&call);
    snprintf(address, sizeof address, "127.0.0.1:%u", call.port);
    cr_assert_eq(call.result, WHIPPET_E_SYSTEM);
    cr_assert_eq(call.failure.error, WHIPPET_E_SYSTEM);
    cr_assert_not_null(strstr(call.failure.text, address), "%s", call.failure.text);
    cr_assert_not_null(strstr(call.failure.text, strerror(ECONNREFUSED)), "%s", call.failure.text);
}

/* That the last one can't be reached says little where the first one has refused. */
Test(dial, says_what_became_of_each_address)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses;
    struct call call = {.host = "localhost", .port = dead_port()};
    if (getaddrinfo("localhost", NULL, &hints, &addresses) != 0)
        cr_skip_test("no name resolves here");
    run(&call);
    cr_assert_eq(call.result, WHIPPET_E_SYSTEM);
    for (const struct addrinfo *address = addresses; address != NULL; address = address->ai_next) {
        char text[64];
        getnameinfo(address->ai_addr, address->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
        cr_assert_not_null(strstr(call.failure.text, text), "%s is not in: %s", text, call.failure.text);
    }
    freeaddrinfo(addresses);
}

Test(dial, says_which_name_does_not_resolve)
{
    struct call call = {.host = "no-such-host.invalid", .port = 5672, .seconds = 20};
    run(&call);
    cr_assert_lt(call.result, 0);
    cr_assert_not_null(strstr(call.failure.text, "no-such-host.invalid"), "%s", call.failure.text);
}

Test(dial, refuses_a_name_that_is_none)
{
    struct call call = {.host = "", .port = 0};
    run(&call);
    if (call.result >= 0)
        close(call.result);
    else
        cr_assert_neq(call.failure.text[0], '\0');
}

/* A listener whose queue is full lets a connection neither in nor away. */
struct full {
    int listener;
    int filling[64];
    uint16_t port;
};

static void fill(struct full *full)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    full->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(full->listener, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(full->listener, 0), 0);
    cr_assert_eq(getsockname(full->listener, (struct sockaddr *)&address, &size), 0);
    full->port = ntohs(address.sin_port);
    for (int i = 0; i < 64; i++) {
        full->filling[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(full->filling[i], (struct sockaddr *)&address, sizeof address) != 0)
            cr_assert_eq(errno, EINPROGRESS);
    }
}

static void empty(const struct full *full)
{
    for (int i = 0; i < 64; i++)
        close(full->filling[i]);
    close(full->listener);
}

Test(dial, gives_up_at_its_deadline_and_leaks_no_descriptor)
{
    struct full full;
    fill(&full);
    int before = dup(0);
    close(before);
    struct call call = {.host = "127.0.0.1", .port = full.port, .seconds = 0.05};
    double begun = clock_monotonic();
    run(&call);
    double took = clock_monotonic() - begun;
    cr_assert_eq(call.result, WHIPPET_E_TIMEOUT, "%d: %s", call.result, call.failure.text);
    cr_assert(took >= 0.049 && took < 5, "after %.3f s", took);
    int after = dup(0);
    close(after);
    cr_assert_eq(before, after, "descriptor %d is still open", before);
    empty(&full);
}

Test(dial, ends_at_once_when_it_is_cancelled)
{
    struct full full;
    fill(&full);
    struct call call = {.host = "127.0.0.1", .port = full.port};
    start(&call);
    rig_until(strcmp(task_activity(call.task), "waiting for a thread") != 0);
    rig_settle_down();
    task_cancel(call.task);
    rig_until(call.ended);
    cr_assert_eq(call.result, WHIPPET_E_CANCELLED);
    empty(&full);
}

Test(dial, ends_at_once_when_it_is_cancelled_while_it_resolves)
{
    struct call call = {.host = "no-such-host.invalid", .port = 5672};
    start(&call);
    task_cancel(call.task);
    rig_until(call.ended);
    cr_assert_eq(call.result, WHIPPET_E_CANCELLED, "%d", call.result);
}

Test(dial, says_so_when_any_allocation_fails)
{
    bool failed = false, reached = true;
    for (long count = 0; reached; count++) {
        struct call call = {.host = "127.0.0.1", .port = rig.broker->port, .permit = all_but_one};
        allowed = count;
        run(&call);
        memory_permit = NULL;
        reached = allowed < 0;
        failed |= call.result < 0;
        if (call.result >= 0)
            close(call.result);
        else
            cr_assert(call.failure.text[0] != '\0' && call.result == call.failure.error, "%d", call.result);
    }
    cr_assert(failed);
}
