/* A broker's URL, or several with commas between them: taken apart, or refused with a text. What is shown of
 * one in logs is a URL itself, of the same broker, without the password. */
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

static void check_address(const struct broker_address *address)
{
    FUZZ_PROMISE(address->host[0] != '\0' && address->port > 0 && address->user != NULL);
    FUZZ_PROMISE(address->password != NULL && address->vhost != NULL);
    parse_again(address);
}

static void check_error(int error, const struct whippet_failure *failure)
{
    FUZZ_PROMISE(error == 0 || (error == failure->error && failure->text[0] != '\0'));
}

static void parse_one(const char *url, struct config_arena *arena)
{
    struct broker_address address;
    struct whippet_failure failure = {0};
    int error = url_parse(url, arena, &address, &failure);
    check_error(error, &failure);
    if (error == 0)
        check_address(&address);
}

/* A text that is one URL is the same as a list. */
static void parse_list(const char *text, struct config_arena *arena)
{
    struct whippet_failure failure = {0}, of_one = {0};
    struct broker_address one;
    size_t count = urls_count(text);
    FUZZ_PROMISE(count > 0 && count <= strlen(text) + 1);
    struct broker_address *addresses = calloc(count, sizeof *addresses);
    if (addresses == NULL)
        abort();
    int error = urls_parse(text, arena, addresses, &failure);
    check_error(error, &failure);
    for (size_t i = 0; error == 0 && i < count; i++)
        check_address(&addresses[i]);
    if (count == 1)
        FUZZ_PROMISE(url_parse(text, arena, &one, &of_one) == error &&
                     strcmp(of_one.text, failure.text) == 0);
    free(addresses);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_arena *arena = config_arena_create();
    char *text = malloc(size + 1);
    if (arena == NULL || text == NULL)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    parse_one(text, arena);
    parse_list(text, arena);
    free(text);
    config_arena_destroy(arena);
    return 0;
}
