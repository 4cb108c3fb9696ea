/* A stream through TLS: the handshake as an await, reading and writing without blocking. */
#include "tls_internal.h"
#include <arpa/inet.h>
#include <async/loop.h>
#include <base/memory.h>
#include <math.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

static struct tls_transport *self_of(struct transport *transport)
{
    return (struct tls_transport *)transport;
}

/* --- Reading and writing --------------------------------------------------------------------------------*/

/* What the call that returned `result` comes to; a stream that failed is not open any more. */
static ssize_t status_of(struct tls_transport *self, int result, struct whippet_failure *failure)
{
    switch (SSL_get_error(self->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return TRANSPORT_AGAIN;
    case SSL_ERROR_ZERO_RETURN: return TRANSPORT_CLOSED;
    default: break;
    }
    tls_explain_stream(self, failure);
    self->is_open = false;
    return TRANSPORT_FAILED;
}

/* Takes record after record until `size` bytes are there or the socket is empty. */
static ssize_t stream_read(struct transport *transport, void *data, size_t size,
                           struct whippet_failure *failure)
{
    struct tls_transport *self = self_of(transport);
    size_t total = 0;
    ssize_t status = TRANSPORT_AGAIN;
    self->socket.drained = false;
    transport->reading_awaits_writable = false;
    while (total < size) {
        size_t count = 0;
        ERR_clear_error();
        int result = SSL_read_ex(self->ssl, (char *)data + total, size - total, &count);
        if (result != 1) {
            transport->reading_awaits_writable = SSL_want_write(self->ssl);
            status = status_of(self, result, failure);
            break;
        }
        total += count;
    }
    /* Records that OpenSSL has taken from the socket already, and the end, show in no readiness. */
    transport->has_more = total == size ? SSL_has_pending(self->ssl) == 1 : status != TRANSPORT_AGAIN;
    return total > 0 ? (ssize_t)total : status;
}

/* Sends one record, of at most 16 KiB. One that the socket took in part only is the first to go at the next
 * call, which must bring the same bytes again, or more. */
static ssize_t stream_write(struct transport *transport, const void *data, size_t size,
                            struct whippet_failure *failure)
{
    struct tls_transport *self = self_of(transport);
    size_t count = 0;
    self->socket.drained = false;
    transport->writing_awaits_readable = false;
    ERR_clear_error();
    int result = SSL_write_ex(self->ssl, data, size, &count);
    if (result == 1)
        return (ssize_t)count;
    transport->writing_awaits_readable = SSL_want_read(self->ssl);
    ssize_t status = status_of(self, result, failure);
    if (status == TRANSPORT_CLOSED) {
        failure_set(failure, WHIPPET_E_CLOSED, "the broker has closed the connection");
        return TRANSPORT_FAILED;
    }
    return status;
}

/* Says goodbye (close_notify) as far as the socket takes it at once. */
static void stream_destroy(struct transport *transport)
{
    struct tls_transport *self = self_of(transport);
    if (self->is_open) {
        ERR_clear_error();
        SSL_shutdown(self->ssl);
    }
    SSL_free(self->ssl);
    X509_free(self->refused);
    ERR_clear_error();
    close(transport->descriptor);
    memory_free(self);
}

/* --- Creation -------------------------------------------------------------------------------------------*/

static bool is_address(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* The certificate must be for `name`. Only names are told to the broker (RFC 6066, section 3). */
static bool expect_name(SSL *ssl, const char *name)
{
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_address(name))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

int tls_note_refused(int accepted, X509_STORE_CTX *verification)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_transport *self = SSL_get_app_data(ssl);
    X509 *certificate = X509_STORE_CTX_get0_cert(verification);
    if (accepted == 0 && self->refused == NULL && X509_up_ref(certificate) == 1)
        self->refused = certificate;
    return accepted;
}

static bool prepare(struct tls_transport *self, const struct tls *tls)
{
    self->ssl = SSL_new(tls->context);
    if (self->ssl == NULL)
        return false;
    BIO *bio = tls_socket_open(tls->socket_methods, &self->socket);
    if (bio == NULL)
        return false;
    SSL_set_bio(self->ssl, bio, bio);
    SSL_set_connect_state(self->ssl);
    SSL_set_app_data(self->ssl, self);
    return expect_name(self->ssl, self->name);
}

static struct tls_transport *create(const struct tls *tls, int descriptor, const char *host)
{
    static const struct transport_kind TLS = {
        .read = stream_read, .write = stream_write, .destroy = stream_destroy};
    struct tls_transport *self = memory_allocate_zeroed(sizeof *self);
    if (self == NULL) {
        close(descriptor);
        return NULL;
    }
    self->transport = (struct transport){.kind = &TLS, .descriptor = descriptor};
    self->socket.descriptor = descriptor;
    self->name = tls->options.server_name != NULL ? tls->options.server_name : host;
    if (prepare(self, tls))
        return self;
    transport_destroy(&self->transport);
    return NULL;
}

/* --- The handshake --------------------------------------------------------------------------------------*/

/* It runs on the loop's own stack, as nobody knows how much of one it takes, and the task waits for its end.
 */
struct handshake {
    struct tls_transport *transport;
    struct watch *watch;
    struct waiter done;
    struct whippet_failure *failure;
};

static void handshake_end(struct handshake *handshake, int error)
{
    watch_set(handshake->watch, 0);
    waiter_wake(&handshake->done, error);
}

static void handshake_go_on(void *owner, int events)
{
    struct handshake *handshake = owner;
    struct tls_transport *transport = handshake->transport;
    (void)events;
    transport->socket.drained = false;
    ERR_clear_error();
    int result = SSL_do_handshake(transport->ssl);
    switch (SSL_get_error(transport->ssl, result)) {
    case SSL_ERROR_NONE: handshake_end(handshake, 0); break;
    case SSL_ERROR_WANT_READ: watch_set(handshake->watch, WHIPPET_READABLE); break;
    case SSL_ERROR_WANT_WRITE: watch_set(handshake->watch, WHIPPET_WRITABLE); break;
    default:
        tls_explain_handshake(transport, handshake->failure);
        handshake_end(handshake, handshake->failure->error);
        break;
    }
}

static int shake_hands(whippet_task *task, struct tls_transport *transport, struct whippet_failure *failure)
{
    struct handshake handshake = {.transport = transport, .failure = failure};
    waiter_init(&handshake.done);
    handshake.watch =
        watch_create(loop_of_task(task), transport->transport.descriptor, handshake_go_on, &handshake);
    if (handshake.watch == NULL)
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory for the TLS handshake");
    failure->error = 0;
    watch_set(handshake.watch, WHIPPET_WRITABLE);
    int error = waiter_wait(task, &handshake.done, INFINITY, "shaking hands by TLS");
    watch_destroy(handshake.watch);
    if (error == WHIPPET_E_TIMEOUT)
        failure_set(failure, error,
                    "connected, but the broker did not finish the TLS handshake in time; is it a TLS port?");
    else if (error != 0 && failure->error == 0)
        failure_set(failure, error, "the TLS handshake: %s", whippet_error_text(error));
    return error;
}

struct transport *tls_open(whippet_task *task, struct tls *tls, int descriptor, const char *host,
                           struct whippet_failure *failure)
{
    struct tls_transport *self = create(tls, descriptor, host);
    if (self == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory for TLS");
        return NULL;
    }
    if (shake_hands(task, self, failure) != 0) {
        transport_destroy(&self->transport);
        return NULL;
    }
    self->is_open = true;
    self->name = NULL;
    return &self->transport;
}
