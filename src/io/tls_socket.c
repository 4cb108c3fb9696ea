/* The socket as OpenSSL sees it. OpenSSL's own stops at nothing to find out that there is nothing more to
 * read: one system call for each read in vain. This one knows from a short read that the socket is empty,
 * lest it costs as much as the reading itself, raises no SIGPIPE, and remembers what the peer said first. */
#include "tls_internal.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static void remember_first(struct tls_socket *socket, const char *data, size_t size)
{
    size_t room = TLS_FIRST_BYTES - socket->first_size;
    size_t count = size < room ? size : room;
    if (count == 0)
        return;
    memcpy(socket->first + socket->first_size, data, count);
    socket->first_size += count;
}

static bool is_transient(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static int socket_read(BIO *bio, char *data, int size)
{
    struct tls_socket *socket = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (size <= 0)
        return 0;
    ssize_t count = socket->drained ? -1 : recv(socket->descriptor, data, (size_t)size, 0);
    if (count > 0) {
        socket->drained = count < size;
        remember_first(socket, data, (size_t)count);
        return (int)count;
    }
    if (count == 0) {
        socket->ended = true;
    } else if (socket->drained || is_transient(errno)) {
        socket->drained = true;
        BIO_set_retry_read(bio);
    } else {
        socket->error = errno;
    }
    return (int)count;
}

static int socket_write(BIO *bio, const char *data, int size)
{
    struct tls_socket *socket = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t count = send(socket->descriptor, data, (size_t)size, MSG_NOSIGNAL);
    if (count >= 0)
        return (int)count;
    if (is_transient(errno))
        BIO_set_retry_write(bio);
    else
        socket->error = errno;
    return -1;
}

static long socket_control(BIO *bio, int command, long number, void *pointer)
{
    const struct tls_socket *socket = BIO_get_data(bio);
    (void)number, (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_EOF: return socket->ended;
    default: return 0;
    }
}

BIO_METHOD *tls_socket_methods(void)
{
    BIO_METHOD *methods = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket of whippet");
    if (methods == NULL)
        return NULL;
    if (BIO_meth_set_read(methods, socket_read) == 1 && BIO_meth_set_write(methods, socket_write) == 1 &&
        BIO_meth_set_ctrl(methods, socket_control) == 1)
        return methods;
    BIO_meth_free(methods);
    return NULL;
}

BIO *tls_socket_open(const BIO_METHOD *methods, struct tls_socket *socket)
{
    BIO *bio = BIO_new(methods);
    if (bio == NULL)
        return NULL;
    BIO_set_data(bio, socket);
    BIO_set_init(bio, 1);
    return bio;
}
