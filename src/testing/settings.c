/* Settings, read and checked as those in a configuration. */
#include "settings.h"
#include <base/json.h>
#include <base/memory.h>
#include <stdio.h>
#include <string.h>

static const char PATH[] = "queues[0].settings";

/* A whole configuration around the settings, which have a line of their own, the second. */
static char *configuration_around(const char *settings)
{
    static const char before[] = "{\"amqp\": {\"url\": \"amqp://localhost/\"}, \"queues\": [{\"name\": "
                                 "\"test\", \"processor\": \"test\", "
                                 "\"settings\":\n";
    static const char after[] = "\n}]}";
    size_t size = strlen(before) + strlen(settings) + sizeof after;
    char *text = memory_allocate(size);
    if (text != NULL)
        snprintf(text, size, "%s%s%s", before, settings, after);
    return text;
}

/* The errors as if the settings stood alone, a line each; NULL when memory is short. */
static char *describe(const struct config_errors *errors)
{
    size_t size = 1, length = 0;
    for (size_t i = 0; i < errors->count; i++)
        size += strlen(errors->items[i].path) + strlen(errors->items[i].text) + 4;
    char *text = memory_allocate_zeroed(size);
    for (size_t i = 0; text != NULL && i < errors->count; i++) {
        const char *path = errors->items[i].path;
        path += strncmp(path, PATH, strlen(PATH)) == 0 ? strlen(PATH) : 0;
        path += *path == '.' ? 1 : 0;
        length += (size_t)snprintf(text + length, size - length, "%s%s%s%s", i > 0 ? "\n" : "", path,
                                   *path != '\0' ? ": " : "", errors->items[i].text);
    }
    return text;
}

/* NULL with the complaints. */
static whippet_settings *check_text(const struct plugin *plugin, const char *json, char **complaints)
{
    struct json_problem problem;
    if (!json_check((whippet_bytes){json, strlen(json)}, &problem)) {
        *complaints = memory_copy_text("the settings are not one value of JSON");
        return NULL;
    }
    struct config_errors errors = {0};
    whippet_settings *settings = NULL;
    char *text = configuration_around(json);
    struct config *config = text != NULL ? config_parse(text, "settings", &errors) : NULL;
    if (config != NULL)
        settings = settings_check(plugin, config->queues[0].settings, PATH, config, &errors);
    if (errors.count > 0)
        *complaints = describe(&errors);
    config_errors_destroy(&errors);
    config_destroy(config);
    memory_free(text);
    return settings;
}

int settings_set_up(struct processor *processor, const whippet_processor *descriptor, const char *settings,
                    char **complaints)
{
    struct whippet_failure failure;
    if (descriptor == NULL) {
        *complaints = memory_copy_text("which processor? The descriptor is NULL");
        return WHIPPET_E_INVALID;
    }
    struct plugin *plugin = plugin_adopt(descriptor, &failure);
    if (plugin == NULL) {
        *complaints = memory_copy_text(failure.text);
        return failure.error;
    }
    whippet_settings *checked = check_text(plugin, settings != NULL ? settings : "{}", complaints);
    if (checked != NULL && processor_setup(processor, plugin, checked, &failure) == 0)
        return 0;
    if (checked != NULL)
        *complaints = memory_copy_text(failure.text);
    settings_destroy(checked);
    plugin_unload(plugin);
    return WHIPPET_E_INVALID;
}
