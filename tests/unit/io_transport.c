#include <base/memory.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <io/transport.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int ends[2];
static struct transport *transport;
static struct whippet_failure failure;

static void open_pair(void)
{
    signal(SIGPIPE, SIG_DFL);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    transport = transport_plain_create(ends[0]);
    cr_assert_not_null(transport);
}

static void close_pair(void)
{
    memory_permit = NULL;
    transport_destroy(transport);
    close(ends[1]);
}

TestSuite(transport, .init = open_pair, .fini = close_pair);

static ssize_t read_some(char *data, size_t size)
{
    return transport->kind->read(transport, data, size, &failure);
}

static ssize_t write_some(const char *data, size_t size)
{
    return transport->kind->write(transport, data, size, &failure);
}

Test(transport, carries_bytes_both_ways)
{
    char data[8] = "";
    cr_assert_eq(write_some("ping", 4), 4);
    cr_assert_eq(read(ends[1], data, sizeof data), 4);
    cr_assert_eq(write(ends[1], "pong", 4), 4);
    cr_assert_eq(read_some(data, sizeof data), 4);
    cr_assert(memcmp(data, "pong", 4) == 0);
}

Test(transport, says_again_where_there_is_nothing_to_read)
{
    char data[8];
    cr_assert_eq(read_some(data, sizeof data), TRANSPORT_AGAIN);
}

Test(transport, says_again_where_nothing_more_is_taken)
{
    static char data[1 << 20];
    ssize_t count, total = 0;
    while ((count = write_some(data, sizeof data)) > 0)
        total += count;
    cr_assert_eq(count, TRANSPORT_AGAIN);
    cr_assert_gt(total, 0);
}

Test(transport, says_closed_once_the_peer_has_hung_up_and_all_was_read)
{
    char data[8];
    cr_assert_eq(write(ends[1], "last", 4), 4);
    close(ends[1]);
    cr_assert_eq(read_some(data, sizeof data), 4);
    cr_assert_eq(read_some(data, sizeof data), TRANSPORT_CLOSED);
    ends[1] = -1;
}

Test(transport, says_why_it_failed_and_raises_no_signal)
{
    close(ends[1]);
    ends[1] = -1;
    cr_assert_eq(write_some("x", 1), TRANSPORT_FAILED);
    cr_assert_eq(failure.error, WHIPPET_E_SYSTEM);
    cr_assert_not_null(strstr(failure.text, strerror(EPIPE)), "%s", failure.text);
}

Test(transport, closes_its_descriptor)
{
    transport_destroy(transport);
    transport = NULL;
    cr_assert_eq(fcntl(ends[0], F_GETFD), -1);
    transport_destroy(NULL);
}

static bool never(size_t size)
{
    (void)size;
    return false;
}

Test(transport, closes_the_descriptor_also_where_memory_is_short)
{
    int descriptor = dup(ends[1]);
    memory_permit = never;
    cr_assert_null(transport_plain_create(descriptor));
    cr_assert_eq(fcntl(descriptor, F_GETFD), -1);
}
