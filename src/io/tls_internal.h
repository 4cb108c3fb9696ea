/* What the files of TLS share: tls_context.c (certificates and keys), tls_socket.c (the bytes on the wire),
 * tls_transport.c (handshake, reading, writing), tls_explain.c (what went wrong, in words). OpenSSL stays
 * within them. */
#ifndef IO_TLS_INTERNAL_H
#define IO_TLS_INTERNAL_H

#include <io/tls.h>
#include <openssl/ssl.h>
#include <stdint.h>

struct tls {
    struct tls_options options;
    SSL_CTX *context;           /* owned; each stream holds on to the one it began with */
    BIO_METHOD *socket_methods; /* owned, as is any that was made by tls_socket_methods */
};

/* --- tls_socket.c ---------------------------------------------------------------------------------------*/

enum {
    TLS_FIRST_BYTES = 8
};

/* The socket as OpenSSL sees it. */
struct tls_socket {
    int descriptor; /* borrowed */
    bool drained;   /* the last read brought less than it could have: none is tried before this is reset */
    bool ended;     /* the peer hung up */
    int error;      /* an errno that is the end of it; 0: none */
    uint8_t first[TLS_FIRST_BYTES]; /* what the peer said first */
    size_t first_size;
};

/* NULL when memory is short; freed with BIO_meth_free. */
BIO_METHOD *tls_socket_methods(void);

/* Over the socket, which must outlive it. NULL when memory is short. */
BIO *tls_socket_open(const BIO_METHOD *methods, struct tls_socket *socket);

/* --- tls_transport.c ------------------------------------------------------------------------------------*/

struct tls_transport {
    struct transport transport;
    SSL *ssl; /* owned */
    struct tls_socket socket;
    const char *name; /* whom the certificate must be for; borrowed, for the handshake only */
    X509 *refused;    /* the certificate that was not to be trusted; owned; NULL: none */
    bool is_open;     /* hands were shaken, and nothing has broken since */
};

/* For SSL_CTX_set_verify: keeps the certificate that is refused, which OpenSSL does not. */
int tls_note_refused(int accepted, X509_STORE_CTX *verification);

/* --- tls_explain.c --------------------------------------------------------------------------------------*/

/* Why the last call failed for good; to be called before any other of OpenSSL. */
void tls_explain_handshake(const struct tls_transport *transport, struct whippet_failure *failure);
void tls_explain_stream(const struct tls_transport *transport, struct whippet_failure *failure);

/* The oldest error of OpenSSL's queue, in its own words. */
const char *tls_error_words(void);

#endif
