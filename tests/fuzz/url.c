/* A broker's URL: taken apart, or refused with a text. What is shown of it in logs is a URL itself, of the
 * same broker, without the password. */
#include "../../src/config/url.h"
#include "fuzz.h"
#include <string.h>

static void parse_again(const struct broker_address *first)
{
    struct config_arena *arena = config_arena_create();
    struct broker_address again;
    struct whippet_failure failure;
    if (arena == NULL)
        abort();
    FUZZ_PROMISE(url_parse(first->display, arena, &again, &failure) == 0);
    FUZZ_PROMISE(strcmp(again.host, first->host) == 0 && again.port == first->port);
    FUZZ_PROMISE(strcmp(again.user, first->user) == 0 && strcmp(again.vhost, first->vhost) == 0);
    FUZZ_PROMISE(again.tls == first->tls && !again.has_password);
    FUZZ_PROMISE(strcmp(again.display, first->display) == 0);
    config_arena_destroy(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_arena *arena = config_arena_create();
    char *url = malloc(size + 1);
    struct broker_address address;
    struct whippet_failure failure = {0};
    if (arena == NULL || url == NULL)
        abort();
    if (size > 0)
        memcpy(url, data, size);
    url[size] = '\0';
    int error = url_parse(url, arena, &address, &failure);
    FUZZ_PROMISE(error == 0 || (error == failure.error && failure.text[0] != '\0'));
    if (error == 0) {
        FUZZ_PROMISE(address.host[0] != '\0' && address.port > 0 && address.user != NULL);
        FUZZ_PROMISE(address.password != NULL && address.vhost != NULL);
        parse_again(&address);
    }
    free(url);
    config_arena_destroy(arena);
    return 0;
}
