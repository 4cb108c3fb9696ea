/* amqp:// and amqps:// URLs, as RabbitMQ's URI specification has them. */
#ifndef CONFIG_URL_H
#define CONFIG_URL_H

#include "arena.h"
#include <base/failure.h>
#include <config/config.h>

/* Takes the URL apart into `address`, whose texts the arena owns. 0, or an error with its text, which shows
 * nothing of the URL: what is wrong with it may well be its password. */
int url_parse(const char *url, struct config_arena *arena, struct broker_address *address,
              struct whippet_failure *failure);

/* The URL that stands in where nobody names one: that of AMQP_URL or RABBITMQ_URL in the environment, in that
 * order and unless empty, and then *variable is its name; else the default, and NULL. */
const char *url_stand_in(const char **variable);

#endif
