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

/* Those at the addresses, which are borrowed, with the system's CA certificates. NULL with the failure
 * filled. */
struct brokers *brokers_of_addresses(const struct broker_address *addresses, size_t count,
                                     struct whippet_failure *failure);
void brokers_destroy(struct brokers *brokers); /* after the connections; NULL is fine */

/* Reads certificates and keys anew, for the handshakes to come, and says in the log what came of it: what
 * can't be used changes nothing. Password files are read at each handshake anyway. Suspends. 0, or an error.
 */
int brokers_refresh(whippet_task *task, struct brokers *brokers);

#endif
