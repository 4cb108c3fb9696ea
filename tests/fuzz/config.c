/* The configuration file, the broker's URL within it: either a configuration without errors, or errors that
 * can be printed. */
#include <config/config.h>

#include "fuzz.h"
#include <string.h>

static FILE *nowhere(void)
{
    static FILE *stream;
    if (stream == NULL)
        stream = fopen("/dev/null", "w");
    return stream;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_errors errors;
    char *text = malloc(size + 1);
    if (text == NULL)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    struct config *config = config_parse(text, "fuzz.json", &errors);
    FUZZ_PROMISE((config == NULL) == (errors.count > 0));
    if (config != NULL) {
        FUZZ_PROMISE(config->address_count > 0);
        config_errors_add(&errors, config, "queues[0].processor", "unknown processor \"%s\"", "x");
    }
    config_errors_print(&errors, "fuzz.json", nowhere());
    config_errors_destroy(&errors);
    config_destroy(config);
    free(text);
    return 0;
}
