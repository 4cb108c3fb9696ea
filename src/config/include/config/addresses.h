/* The broker's address for commands that take no configuration file. */
#ifndef CONFIG_ADDRESSES_H
#define CONFIG_ADDRESSES_H

#include <base/failure.h>
#include <config/config.h>

struct broker_address_list {
    struct broker_address *items;
    size_t count;
    struct config_arena *arena; /* owns the above */
};

/* From `url`; when that is NULL, from what stands in for it where nobody names a broker: AMQP_URL, then
 * RABBITMQ_URL, then the default. NULL with the failure filled, which shows nothing of the URL. */
struct broker_address_list *broker_addresses_find(const char *url, struct whippet_failure *failure);
void broker_addresses_destroy(struct broker_address_list *addresses);

#endif
