/* RabbitMQ's management API (https://www.rabbitmq.com/docs/management#http-api): for what AMQP does not tell.
 */
#ifndef CMD_MANAGEMENT_H
#define CMD_MANAGEMENT_H

#include <base/failure.h>
#include <io/connection.h>

struct cJSON;

/* Where it is, and as whom to ask. */
struct management {
    const char *url; /* "http://host:15672", with or without user and password */
    const struct endpoint
        *endpoint; /* whose user, password and virtual host are used where the URL names none */
};

/* GETs `path`, which begins with a slash and may hold one %s, for the virtual host. Blocks, for ten seconds
 * at most. NULL with the failure, which says what to do: REFUSED without permission, INVALID where something
 * else answers, UNAVAILABLE where nothing does. */
struct cJSON *management_get(const struct management *management, const char *path,
                             struct whippet_failure *failure);

#endif
