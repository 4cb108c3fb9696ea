/* Where a pool connects to: what the url and the environment say, in the form that libpq takes. */
#ifndef CLIENTS_POSTGRES_TARGET_H
#define CLIENTS_POSTGRES_TARGET_H

#include "postgres_hosts.h"
#include "postgres_library.h"
#include <whippet/postgres.h>

struct postgres_target; /* does not change; threads may share it */

/* NULL with the failure filled, which never shows a password. */
struct postgres_target *postgres_target_create(const struct postgres_library *library,
                                               const whippet_pg_options *options,
                                               struct whippet_failure *failure);
void postgres_target_destroy(struct postgres_target *target); /* NULL is fine */

/* Its hosts, for people. */
const char *postgres_target_place(const struct postgres_target *target);

/* Seconds that the url, or the environment, leaves all of its hosts together; 0 when it does not say. */
double postgres_target_connect_timeout(const struct postgres_target *target);

/* What PQconnectStartParams takes: names and values, ending with NULL. */
struct postgres_parameters {
    const char **keywords;
    const char **values;
    struct hosts hosts; /* owned; the values show these lists */
};

/* Has the hosts' names looked up, so that libpq, which would block, need not. Suspends. 0, and the parameters
 * are the caller's, for postgres_parameters_destroy; else the error, with the failure filled: none of the
 * names has an address, or as resolve. */
int postgres_target_resolve(whippet_task *task, const struct postgres_target *target,
                            struct postgres_parameters *parameters, struct whippet_failure *failure);
void postgres_parameters_destroy(struct postgres_parameters *parameters);

#endif
