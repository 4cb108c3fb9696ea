#include "arena.h"
#include "url.h"
#include <base/memory.h>
#include <config/addresses.h>

static int fill(struct broker_address_list *addresses, const char *url, struct whippet_failure *failure)
{
    const char *variable = NULL;
    if (url == NULL)
        url = url_stand_in(&variable);
    addresses->count = urls_count(url);
    addresses->arena = config_arena_create();
    if (addresses->arena != NULL)
        addresses->items =
            config_arena_allocate(addresses->arena, addresses->count * sizeof *addresses->items);
    if (addresses->items == NULL)
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    int error = urls_parse(url, addresses->arena, addresses->items, failure);
    if (error != 0 && variable != NULL)
        failure_set(failure, error, "the environment variable %s: %s", variable, failure->text);
    return error;
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
