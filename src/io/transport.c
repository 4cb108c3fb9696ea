/* Plain TCP. */
#include <base/memory.h>
#include <errno.h>
#include <io/transport.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t status_of_errno(const char *what, struct whippet_failure *failure)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return TRANSPORT_AGAIN;
    failure_set(failure, WHIPPET_E_SYSTEM, "%s: %s", what, strerror(errno));
    return TRANSPORT_FAILED;
}

static ssize_t plain_read(struct transport *transport, void *data, size_t size,
                          struct whippet_failure *failure)
{
    ssize_t count = recv(transport->descriptor, data, size, 0);
    return count >= 0 ? count : status_of_errno("reading from the broker", failure);
}

static ssize_t plain_write(struct transport *transport, const void *data, size_t size,
                           struct whippet_failure *failure)
{
    ssize_t count = send(transport->descriptor, data, size, MSG_NOSIGNAL);
    return count >= 0 ? count : status_of_errno("writing to the broker", failure);
}

static void plain_destroy(struct transport *transport)
{
    close(transport->descriptor);
    memory_free(transport);
}

struct transport *transport_plain_create(int descriptor)
{
    static const struct transport_kind PLAIN = {
        .read = plain_read, .write = plain_write, .destroy = plain_destroy};
    struct transport *transport = memory_allocate(sizeof *transport);
    if (transport == NULL) {
        close(descriptor);
        return NULL;
    }
    *transport = (struct transport){.kind = &PLAIN, .descriptor = descriptor};
    return transport;
}
