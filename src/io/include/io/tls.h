/* TLS to the broker, 1.2 and later, by OpenSSL. */
#ifndef IO_TLS_H
#define IO_TLS_H

#include <io/transport.h>

/* What is trusted, and what we show of ourselves. Strings are borrowed for the life of the struct tls; NULL:
 * not given. */
struct tls_options {
    const char *ca;                /* file of PEM certificates; NULL: those that the system trusts */
    const char *certificate;       /* file of PEM: ours, then those that lead to its CA; goes with `key` */
    const char *key;               /* file of PEM */
    const char *key_password_file; /* for an encrypted key */
    const char *server_name;       /* NULL: the host that is dialled */
    bool skips_verification;       /* takes any certificate: whoever answers may read and forge everything */
};

/* Which of the options a failure is about. */
enum tls_option {
    TLS_OPTION_NONE,
    TLS_OPTION_CA,
    TLS_OPTION_CERTIFICATE,
    TLS_OPTION_KEY,
    TLS_OPTION_KEY_PASSWORD_FILE,
};

struct tls; /* the options and what was read from their files; shared by connections */

/* Reads the files: blocks, so call it before the loop turns. NULL with the failure filled, which names file
 * and reason, and `*culprit` (may be NULL). */
struct tls *tls_create(const struct tls_options *options, enum tls_option *culprit,
                       struct whippet_failure *failure);
void tls_destroy(struct tls *tls); /* streams that stand are not touched; NULL is fine */

/* Reads the files anew, off the loop, for the handshakes to come. Suspends. 0; or an error with the failure
 * filled, and then what was read before stays in use. */
int tls_refresh(whippet_task *task, struct tls *tls, enum tls_option *culprit,
                struct whippet_failure *failure);

/* Shakes hands over the descriptor, which it takes over whatever the outcome. Suspends until that is done, at
 * most until the task's deadline. `host` is what was dialled: a name, or an address. NULL with the failure
 * filled: TIMEOUT, CANCELLED, MEMORY, or SYSTEM for a peer that can't be talked to, or trusted. */
struct transport *tls_open(whippet_task *task, struct tls *tls, int descriptor, const char *host,
                           struct whippet_failure *failure);

#endif
