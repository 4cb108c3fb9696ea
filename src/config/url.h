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

/* How many URLs the text holds: commas separate them, each of which the next URL follows. A comma elsewhere,
 * as within a password, belongs to its URL; safe is %2C. */
size_t urls_count(const char *text);

/* The same for all of them, into as many addresses; the failure tells which of several it is about. */
int urls_parse(const char *text, struct config_arena *arena, struct broker_address *addresses,
               struct whippet_failure *failure);

/* The URLs that stand in where nobody names one: that of AMQP_URL or RABBITMQ_URL in the environment, in that
 * order and unless empty, and then *variable is its name; else the default, and NULL. */
const char *url_stand_in(const char **variable);

#endif
