#include "try.h"
#include "commands.h"
#include "exit_codes.h"
#include "options.h"
#include <base/log.h>
#include <base/memory.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int complain(const char *text, int code)
{
    fprintf(stderr, "whippet try: %s\n", text);
    return code;
}

/* --- Settings -------------------------------------------------------------------------------------------*/

static const char settings_path[] = "queues[0].settings";

/* A whole configuration around the settings, so that they are read exactly as in a file: with ${...}, and
 * with the same complaints. They have a line of their own, the second. */
static char *configuration_around(const char *settings)
{
    static const char before[] = "{\"amqp\": {\"url\": \"amqp://localhost/\"}, \"queues\": [{\"name\": "
                                 "\"try\", \"processor\": \"try\", "
                                 "\"settings\":\n";
    static const char after[] = "\n}]}";
    size_t size = strlen(before) + strlen(settings) + sizeof after;
    char *text = memory_allocate(size);
    if (text != NULL)
        snprintf(text, size, "%s%s%s", before, settings, after);
    return text;
}

/* As if the settings stood alone. */
static void print_error(const struct config_error *error, bool many_lines)
{
    const char *path = error->path;
    if (strncmp(path, settings_path, strlen(settings_path)) == 0)
        path += strlen(settings_path);
    if (*path == '.')
        path++;
    fprintf(stderr, "whippet try: --settings: ");
    if (many_lines && error->line > 1)
        fprintf(stderr, "line %d: ", error->line - 1);
    fprintf(stderr, "%s%s%s\n", path, *path != '\0' ? ": " : "", error->text);
}

/* One value of JSON and nothing after it: not a text that only together with what is put around it is JSON.
 */
static bool is_one_value(const char *text)
{
    cJSON *json = cJSON_ParseWithOpts(text, NULL, true);
    cJSON_Delete(json);
    return json != NULL;
}

/* NULL after it has said what is wrong. */
static whippet_settings *read_settings(const struct plugin *plugin, const char *settings_text)
{
    struct config_errors errors = {0};
    whippet_settings *settings = NULL;
    char *text = configuration_around(settings_text);
    struct config *config = text != NULL ? config_parse(text, "--settings", &errors) : NULL;
    if (config != NULL && is_one_value(settings_text))
        settings = settings_check(plugin, config->queues[0].settings, settings_path, config, &errors);
    else if (text == NULL || config != NULL)
        complain(text == NULL ? "out of memory" : "--settings: expected one JSON object", EXIT_CONFIGURATION);
    for (size_t i = 0; i < errors.count; i++)
        print_error(&errors.items[i], strchr(settings_text, '\n') != NULL);
    config_errors_destroy(&errors);
    config_destroy(config);
    memory_free(text);
    return settings;
}

/* --- The command ----------------------------------------------------------------------------------------*/

/* The processor at work, or an exit code other than EXIT_DONE after it has said why not. */
static int open_processor(const struct try_request *request, struct processor *processor)
{
    struct whippet_failure failure;
    struct plugin *plugin =
        plugin_load(request->processor, request->folders.paths, request->folders.count, &failure);
    if (plugin == NULL)
        return complain(failure.text, EXIT_CONFIGURATION);
    whippet_settings *settings = read_settings(plugin, request->settings);
    if (settings != NULL) {
        if (processor_setup(processor, plugin, settings, &failure) == 0)
            return EXIT_DONE;
        fprintf(stderr, "whippet try: the processor %s does not start: %s\n", plugin->descriptor.name,
                failure.text);
        settings_destroy(settings);
    }
    plugin_unload(plugin);
    return EXIT_CONFIGURATION;
}

static int try_it(const struct try_request *request)
{
    struct processor processor;
    int code = open_processor(request, &processor);
    if (code != EXIT_DONE)
        return code;
    struct message *message = try_message_create(request);
    code = message != NULL ? try_attempts(request, &processor, message) : EXIT_FAILED;
    if (message != NULL)
        message_destroy(message);
    processor_teardown(&processor);
    return code;
}

int command_try(int argc, char **argv)
{
    struct try_request request;
    int code = try_request_read(&request, argc, argv);
    if (code == OPTIONS_END) {
        log_configure(STDERR_FILENO, request.verbose ? WHIPPET_DEBUG : WHIPPET_INFO, LOG_FORMAT_TEXT);
        code = try_it(&request);
    } else {
        code = code == OPTIONS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    try_request_destroy(&request);
    return code;
}
