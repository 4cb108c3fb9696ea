/* The broker's nodes as connections take them: addresses, with the password file and what TLS needs. */
#ifndef WORKER_BROKERS_H
#define WORKER_BROKERS_H

#include <config/config.h>
#include <io/connection.h>

struct brokers {
    struct endpoint *endpoints; /* owned */
    size_t count;
    struct tls *tls;             /* owned; NULL where no endpoint asks for it */
    const struct config *config; /* a reference; NULL: made of addresses alone */
};

/* Those of the configuration, to which it keeps a reference. Reads certificates and keys, and looks whether
 * the password file can be read: blocks. NULL when anything is wrong, with all of it in `errors`. */
struct brokers *brokers_create(const struct config *config, struct config_errors *errors);

/* Where brokers are, and who we are to them. All of it is borrowed. */
struct broker_access {
    const struct broker_address *addresses;
    size_t count;
    const char *password_file; /* in place of the addresses' own passwords; NULL: none */
    struct tls_config tls;     /* for those addresses that are amqps:// */
};

bool broker_access_is_tls(const struct broker_access *access); /* any of them */

/* The same without a configuration; the password file is first looked at when it is needed. NULL with the
 * failure filled, and `*culprit` the option that it is about. */
struct brokers *brokers_of_access(const struct broker_access *access, enum tls_option *culprit,
                                  struct whippet_failure *failure);
void brokers_destroy(struct brokers *brokers); /* after the connections; NULL is fine */

/* Reads certificates and keys anew, for the handshakes to come, and says in the log what came of it: what
 * can't be used changes nothing. Password files are read at each handshake anyway. Suspends. 0, or an error.
 */
int brokers_refresh(whippet_task *task, struct brokers *brokers);

#endif
