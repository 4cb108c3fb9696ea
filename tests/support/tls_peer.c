#include "tls_peer.h"
#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static void check(bool fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "tls_peer: %s\n", what);
    ERR_print_errors_fp(stderr);
    abort();
}

static SSL_CTX *make_context(const struct tls_peer_options *options)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    check(context != NULL, "no context");
    check(SSL_CTX_use_certificate(context, options->certificate->x509) == 1 &&
              SSL_CTX_use_PrivateKey(context, options->certificate->key) == 1,
          "the certificate can't be used");
    if (options->version_max != 0 && options->version_max < TLS1_2_VERSION)
        SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, options->version_max);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (options->client != NULL) {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        check(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), options->client->x509) == 1, "no store");
    }
    return context;
}

struct tls_peer *tls_peer_create(int descriptor, const struct tls_peer_options *options)
{
    struct tls_peer *peer = calloc(1, sizeof *peer);
    check(peer != NULL, "calloc");
    peer->descriptor = descriptor;
    peer->context = make_context(options);
    peer->ssl = SSL_new(peer->context);
    check(peer->ssl != NULL, "no stream");
    SSL_set_bio(peer->ssl, BIO_new_socket(descriptor, BIO_NOCLOSE), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(peer->ssl);
    return peer;
}

void tls_peer_destroy(struct tls_peer *peer)
{
    if (peer == NULL)
        return;
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->context);
    free(peer);
}

bool tls_peer_flush(struct tls_peer *peer)
{
    char *data;
    BIO *pending = SSL_get_wbio(peer->ssl);
    long size = BIO_get_mem_data(pending, &data);
    if (size <= 0)
        return false;
    ssize_t count = send(peer->descriptor, data, peer->trickles ? 1 : (size_t)size, MSG_NOSIGNAL);
    for (ssize_t left = count; left > 0;) {
        char ignored[4096];
        int taken = BIO_read(pending, ignored, left < 4096 ? (int)left : 4096);
        left -= taken;
    }
    return count > 0;
}

static ssize_t outcome(struct tls_peer *peer, int result)
{
    switch (SSL_get_error(peer->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: errno = EAGAIN; return -1;
    case SSL_ERROR_ZERO_RETURN: return 0;
    default: errno = EPROTO; return -1;
    }
}

ssize_t tls_peer_receive(struct tls_peer *peer, void *data, size_t size)
{
    size_t count = 0;
    ERR_clear_error();
    int result = SSL_read_ex(peer->ssl, data, size, &count);
    ssize_t received = result == 1 ? (ssize_t)count : outcome(peer, result);
    int error = errno;
    tls_peer_flush(peer);
    errno = error;
    return received;
}

ssize_t tls_peer_send(struct tls_peer *peer, const void *data, size_t size)
{
    size_t count = 0;
    char *waiting;
    tls_peer_flush(peer);
    if (BIO_get_mem_data(SSL_get_wbio(peer->ssl), &waiting) > 0) {
        errno = EAGAIN;
        return -1;
    }
    ERR_clear_error();
    int result = SSL_write_ex(peer->ssl, data, size, &count);
    ssize_t sent = result == 1 ? (ssize_t)count : outcome(peer, result);
    int error = errno;
    tls_peer_flush(peer);
    errno = error;
    return sent;
}

void tls_peer_say_goodbye(struct tls_peer *peer)
{
    ERR_clear_error();
    SSL_shutdown(peer->ssl);
    tls_peer_flush(peer);
}

bool tls_peer_is_open(const struct tls_peer *peer)
{
    return SSL_is_init_finished(peer->ssl) == 1;
}

const char *tls_peer_name_asked_for(const struct tls_peer *peer)
{
    return SSL_get_servername(peer->ssl, TLSEXT_NAMETYPE_host_name);
}
