/* The proxy does to connections what it is told, and nothing else. */
#include "patience.h"
#include "proxy.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const double PATIENCE = 20; /* seconds */

static struct proxy *proxy;
static int listener;

/* Both ends of a connection through the proxy. */
struct ends {
    int client, server;
};

static void limit_waiting(int descriptor, double seconds)
{
    struct timeval limit = {.tv_sec = (time_t)seconds,
                            .tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};

    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};

    return address;
}

static void set_up(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    char port[16];

    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 16) == 0 &&
              getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    limit_waiting(listener, patience_stretched(PATIENCE));
    snprintf(port, sizeof(port), "%d", ntohs(address.sin_port));
    proxy = proxy_start(port);
}

static void tear_down(void)
{
    proxy_end(proxy);
    close(listener);
}

TestSuite(proxy, .init = set_up, .fini = tear_down, .timeout = 60);

/* A connection to the proxy; -1 with errno. */
static int dial(void)
{
    struct sockaddr_in address = loopback(atoi(proxy_port(proxy)));
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    limit_waiting(client, patience_stretched(PATIENCE));
    if (connect(client, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(client);
        return -1;
    }
    return client;
}

static struct ends join(void)
{
    struct ends ends = {.client = dial()};

    cr_assert_geq(ends.client, 0, "connect: %s", strerror(errno));
    ends.server = accept(listener, NULL, NULL);
    cr_assert_geq(ends.server, 0, "accept: %s", strerror(errno));
    limit_waiting(ends.server, patience_stretched(PATIENCE));
    return ends;
}

static void part(struct ends ends)
{
    close(ends.client);
    close(ends.server);
}

static void say(int descriptor, const char *text)
{
    cr_assert_eq(send(descriptor, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void expect_heard(int descriptor, const char *text)
{
    char heard[64] = "";
    ssize_t count = recv(descriptor, heard, strlen(text), MSG_WAITALL);

    cr_assert_eq(count, (ssize_t)strlen(text), "heard %zd bytes: %s", count, strerror(errno));
    cr_assert_str_eq(heard, text);
}

/* Nothing comes for a moment; not its end either. */
static void expect_silence(int descriptor)
{
    char byte;

    limit_waiting(descriptor, 0.3);
    cr_assert_eq(recv(descriptor, &byte, 1, 0), -1, "something came");
    cr_assert_eq(errno, EAGAIN, "recv: %s", strerror(errno));
    limit_waiting(descriptor, patience_stretched(PATIENCE));
}

static void expect_end(int descriptor)
{
    char byte;

    cr_assert_eq(recv(descriptor, &byte, 1, 0), 0, "no orderly end");
}

static void expect_reset(int descriptor)
{
    char byte;

    cr_assert_eq(recv(descriptor, &byte, 1, 0), -1, "no reset");
    cr_assert_eq(errno, ECONNRESET, "recv: %s", strerror(errno));
}

Test(proxy, passes_on_what_comes_both_ways)
{
    struct ends ends = join();

    say(ends.client, "a question");
    expect_heard(ends.server, "a question");
    say(ends.server, "an answer");
    expect_heard(ends.client, "an answer");
    cr_assert_eq(proxy_status(proxy).up, 10);
    cr_assert_eq(proxy_status(proxy).down, 9);
    part(ends);
}

Test(proxy, passes_on_the_end_after_the_last_byte)
{
    struct ends ends = join();

    say(ends.client, "last words");
    shutdown(ends.client, SHUT_WR);
    expect_heard(ends.server, "last words");
    expect_end(ends.server);
    say(ends.server, "heard");
    close(ends.server);
    expect_heard(ends.client, "heard");
    expect_end(ends.client);
    close(ends.client);
    await(5, proxy_status(proxy).open == 0, "the end of the connection");
}

Test(proxy, carries_more_than_fits_its_buffer)
{
    enum {
        SIZE = 4 * 1024 * 1024
    };
    struct ends ends = join();
    unsigned char *sent = malloc(SIZE), *heard = malloc(SIZE);

    for (unsigned i = 0; i < SIZE; i++) {
        sent[i] = (unsigned char)(i * 31 + i / 251);
    }
    if (fork() == 0) {
        _exit(send(ends.client, sent, SIZE, MSG_NOSIGNAL) == SIZE ? 0 : 1);
    }
    cr_assert_eq(recv(ends.server, heard, SIZE, MSG_WAITALL), SIZE);
    cr_assert_eq(memcmp(sent, heard, SIZE), 0, "it came changed");
    free(sent);
    free(heard);
    part(ends);
}

Test(proxy, delays)
{
    struct ends ends = join();
    double start = patience_now();

    proxy_say(proxy, "delay 300");
    say(ends.client, "later");
    expect_heard(ends.server, "later");
    cr_assert_geq(patience_now() - start, 0.3);
    proxy_say(proxy, "pass");
    part(ends);
}

Test(proxy, throttles)
{
    enum {
        SIZE = 60000
    };
    static char bytes[SIZE];
    struct ends ends = join();
    double start = patience_now();

    proxy_say(proxy, "throttle 50000");
    cr_assert_eq(send(ends.client, bytes, SIZE, MSG_NOSIGNAL), SIZE);
    cr_assert_eq(recv(ends.server, bytes, SIZE, MSG_WAITALL), SIZE);
    cr_assert_geq(patience_now() - start, 0.8, "%d bytes took %.3f s", SIZE, patience_now() - start);
    part(ends);
}

Test(proxy, holds_and_loses_nothing)
{
    struct ends ends = join();

    proxy_say(proxy, "hold");
    say(ends.client, "patience");
    expect_silence(ends.server);
    proxy_say(proxy, "pass");
    expect_heard(ends.server, "patience");
    part(ends);
}

Test(proxy, swallows_one_way_and_keeps_the_connection)
{
    struct ends ends = join();

    proxy_say(proxy, "swallow up");
    say(ends.client, "into the void");
    expect_silence(ends.server);
    say(ends.server, "still there?");
    expect_heard(ends.client, "still there?");
    cr_assert_eq(proxy_status(proxy).swallowed, 13);
    part(ends);
}

Test(proxy, never_mends_a_connection_that_has_lost_bytes)
{
    struct ends ends = join(), others;

    proxy_say(proxy, "swallow both");
    say(ends.client, "lost");
    expect_silence(ends.server);
    proxy_say(proxy, "pass");
    say(ends.client, "lost as well");
    expect_silence(ends.server);
    others = join();
    say(others.client, "well");
    expect_heard(others.server, "well");
    part(ends);
    part(others);
}

Test(proxy, hides_even_the_end_of_a_swallowed_connection)
{
    struct ends ends = join();

    proxy_say(proxy, "swallow both");
    close(ends.client);
    expect_silence(ends.server);
    close(ends.server);
    await(5, proxy_status(proxy).open == 0, "the end of the connection");
}

Test(proxy, cuts)
{
    struct ends ends = join();

    proxy_say(proxy, "cut");
    expect_end(ends.client);
    expect_end(ends.server);
    cr_assert_eq(proxy_status(proxy).open, 0);
    part(ends);
}

Test(proxy, resets)
{
    struct ends ends = join();

    proxy_say(proxy, "reset");
    expect_reset(ends.client);
    expect_reset(ends.server);
    part(ends);
}

Test(proxy, refuses_until_it_accepts_at_the_same_port)
{
    struct ends old = join();

    proxy_say(proxy, "refuse");
    cr_assert_eq(dial(), -1, "a connection was taken");
    cr_assert_eq(errno, ECONNREFUSED, "connect: %s", strerror(errno));
    say(old.client, "not for me");
    expect_heard(old.server, "not for me");
    proxy_say(proxy, "accept");
    part(join());
    part(old);
}

Test(proxy, hangs)
{
    int client;

    proxy_say(proxy, "hang");
    client = dial();
    cr_assert_geq(client, 0, "connect: %s", strerror(errno));
    say(client, "anybody?");
    expect_silence(client);
    proxy_say(proxy, "accept");
    part(join());
    close(client);
}

Test(proxy, corrupts_the_byte_at_an_offset_once)
{
    struct ends ends = join();

    say(ends.server, "before");
    expect_heard(ends.client, "before");
    proxy_say(proxy, "corrupt down 4");
    say(ends.server, "AAA");
    expect_heard(ends.client, "AAA");
    say(ends.server, "AAA");
    expect_heard(ends.client, "A\xBE"
                              "A");
    say(ends.server, "AAAAAA");
    expect_heard(ends.client, "AAAAAA");
    cr_assert_eq(proxy_status(proxy).corrupted, 1);
    part(ends);
}

Test(proxy, passes_on_that_nobody_listens)
{
    int client;

    close(listener);
    client = dial();
    cr_assert_geq(client, 0, "connect: %s", strerror(errno));
    expect_reset(client);
    close(client);
    cr_assert_eq(proxy_status(proxy).accepted, 1);
}

Test(proxy, tells_open_connections_from_all)
{
    struct ends first = join(), second = join();

    cr_assert_eq(proxy_status(proxy).open, 2);
    part(first);
    await(5, proxy_status(proxy).open == 1, "the end of the first");
    cr_assert_eq(proxy_status(proxy).accepted, 2);
    part(second);
}
