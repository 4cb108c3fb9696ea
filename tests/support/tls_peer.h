/* The server's side of TLS over a socket that does not block, in the test's own thread. Reading does what the
 * handshake needs. Nothing here takes memory through <base/memory.h>. */
#ifndef SUPPORT_TLS_PEER_H
#define SUPPORT_TLS_PEER_H

#include "certificate.h"
#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/types.h>

struct tls_peer_options {
    const struct certificate *certificate;
    int version_max; /* TLS1_2_VERSION …; 0: the newest. Below 1.2, its ciphers are had at any level */
    const struct certificate
        *client; /* the CA of clients, which must show a certificate; NULL: none is asked for */
};

struct tls_peer {
    int descriptor; /* borrowed */
    SSL_CTX *context;
    SSL *ssl;
    bool trickles; /* sends one byte a call */
};

struct tls_peer *tls_peer_create(int descriptor, const struct tls_peer_options *options);
void tls_peer_destroy(struct tls_peer *peer); /* says nothing to the other side; NULL is fine */

/* As recv and send: -1 with EAGAIN where there is nothing to be had, -1 with EPROTO once TLS is broken. */
ssize_t tls_peer_receive(struct tls_peer *peer, void *data, size_t size);
ssize_t tls_peer_send(struct tls_peer *peer, const void *data, size_t size);

/* Sends what was not taken yet; true when any of it went. */
bool tls_peer_flush(struct tls_peer *peer);

/* Says goodbye (close_notify). */
void tls_peer_say_goodbye(struct tls_peer *peer);

bool tls_peer_is_open(const struct tls_peer *peer); /* the handshake is over */

/* The name that the client asked for; NULL: none. */
const char *tls_peer_name_asked_for(const struct tls_peer *peer);

#endif
