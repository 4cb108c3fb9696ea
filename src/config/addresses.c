#include "arena.h"
#include "url.h"
#include <base/memory.h>
#include <config/addresses.h>
#include <stdlib.h>

static const char DEFAULT_URL[] = "amqp://guest:guest@localhost:5672/";

static const char *url_from_environment(void)
{
    static const char *const NAMES[] = {"AMQP_URL", "RABBITMQ_URL"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        const char *value = getenv(NAMES[i]);
        if (value != NULL && *value != '\0')
            return value;
    }
    return DEFAULT_URL;
}

static int fill(struct broker_address_list *addresses, const char *url, struct whippet_failure *failure)
{
    addresses->arena = config_arena_create();
    if (addresses->arena == NULL)
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    addresses->items = config_arena_allocate(addresses->arena, sizeof *addresses->items);
    if (addresses->items == NULL)
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    addresses->count = 1;
    return url_parse(url != NULL ? url : url_from_environment(), addresses->arena, addresses->items, failure);
}

struct broker_address_list *broker_addresses_find(const char *url, struct whippet_failure *failure)
{
    struct broker_address_list *addresses = memory_allocate_zeroed(sizeof *addresses);
    if (addresses == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        return NULL;
    }
    if (fill(addresses, url, failure) == 0)
        return addresses;
    broker_addresses_destroy(addresses);
    return NULL;
}

void broker_addresses_destroy(struct broker_address_list *addresses)
{
    if (addresses == NULL)
        return;
    config_arena_destroy(addresses->arena);
    memory_free(addresses);
}
