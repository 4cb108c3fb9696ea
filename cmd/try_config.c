/* A whole configuration around what the command line says, so that all of it is read exactly as in a file:
 * with
 * ${...}, and with the same complaints. */
#include "try.h"
#include <base/bytes.h>
#include <base/memory.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

static const char settings_path[] = "queues[0].settings";

/* --- Writing --------------------------------------------------------------------------------------------*/

/* False when memory is short, as all that write. */
static bool put(struct buffer *out, const char *text)
{
    return buffer_append(out, text, strlen(text));
}

/* A string whose "${" is meant as it stands. */
static bool put_string(struct buffer *out, const char *text)
{
    cJSON *string = cJSON_CreateString(text);
    char *quoted = string != NULL ? cJSON_PrintUnformatted(string) : NULL;
    bool done = quoted != NULL;
    for (const char *at = quoted; done && *at != '\0'; at++)
        done = (at[0] != '$' || at[1] != '{' || put(out, "$")) && buffer_append(out, at, 1);
    cJSON_free(quoted);
    cJSON_Delete(string);
    return done;
}

static bool put_member(struct buffer *out, const char *name, const char *text)
{
    return put(out, ",\"") && put(out, name) && put(out, "\":") && put_string(out, text);
}

static bool put_folders(struct buffer *out, const struct folders *folders)
{
    bool done = put(out, ",\"processor_path\":[");
    for (size_t i = 0; done && i < folders->count; i++)
        done = put(out, i > 0 ? "," : "") && put_string(out, folders->paths[i]);
    return done && put(out, "]");
}

/* The settings have lines of their own, from the second on. */
static bool put_queue(struct buffer *out, const struct try_request *request)
{
    char rest[100];
    snprintf(rest, sizeof rest, ",\"timeout\":%.9f,\"retry\":{\"attempts\":%d,\"delay\":0}", request->timeout,
             TRY_ATTEMPTS);
    return put(out, ",\"queues\":[{\"name\":") && put_string(out, request->queue) &&
           put_member(out, "processor", request->processor) &&
           (request->run == NULL || put_member(out, "run", request->run)) && put(out, rest) &&
           put(out, ",\"settings\":\n") && put(out, request->settings) && put(out, "\n}]");
}

static char *write_configuration(const struct try_request *request)
{
    struct buffer out;
    buffer_init(&out);
    bool written = put(&out, "{\"amqp\":{\"url\":\"amqp://localhost/\",\"consumer_timeout\":0},"
                             "\"log\":{\"format\":\"text\",\"level\":") &&
                   put_string(&out, request->verbose ? "debug" : "info") && put(&out, "}") &&
                   put_folders(&out, &request->folders) && put_queue(&out, request) && put(&out, "}");
    char *text = written ? memory_copy_span(buffer_begin(&out), buffer_length(&out)) : NULL;
    buffer_destroy(&out);
    return text;
}

/* --- Complaints -----------------------------------------------------------------------------------------*/

/* One value of JSON and nothing after it: not a text that only together with what is put around it is JSON.
 */
static bool is_one_value(const char *text)
{
    cJSON *json = cJSON_ParseWithOpts(text, NULL, true);
    cJSON_Delete(json);
    return json != NULL;
}

/* What the other options have put there: the option's name, "" where the error says it all; NULL for all
 * else, which can only come of the settings. */
static const char *option_of(const char *path)
{
    static const struct {
        const char *path, *option;
    } places[] = {
        {"queues[0].name", "--queue: "},      {"queues[0].processor", ""},    {"queues[0].run", "--run: "},
        {"queues[0].timeout", "--timeout: "}, {"processor_path", "--path: "},
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (strncmp(path, places[i].path, strlen(places[i].path)) == 0)
            return places[i].option;
    }
    return NULL;
}

static void print_settings_error(const struct config_error *error, bool many_lines)
{
    const char *path = error->path;
    size_t length = strlen(settings_path);
    fprintf(stderr, "whippet try: --settings: ");
    if (many_lines && error->line > 1)
        fprintf(stderr, "line %d: ", error->line - 1);
    path += strncmp(path, settings_path, length) == 0 ? length : 0;
    path += *path == '.' ? 1 : 0;
    fprintf(stderr, "%s%s%s\n", path, *path != '\0' ? ": " : "", error->text);
}

void try_errors_print(const struct try_request *request, const struct config_errors *errors)
{
    bool many_lines = strchr(request->settings, '\n') != NULL, is_sound = is_one_value(request->settings);
    for (size_t i = 0; i < errors->count; i++) {
        const struct config_error *error = &errors->items[i];
        const char *option = is_sound ? option_of(error->path) : NULL;
        if (option != NULL)
            fprintf(stderr, "whippet try: %s%s\n", option, error->text);
        else
            print_settings_error(error, many_lines);
    }
}

/* --- The configuration ----------------------------------------------------------------------------------*/

static struct config *refuse(const char *text)
{
    fprintf(stderr, "whippet try: %s\n", text);
    return NULL;
}

struct config *try_config_make(const struct try_request *request)
{
    struct config_errors errors = {0};
    char *text = write_configuration(request);
    if (text == NULL)
        return refuse("out of memory");
    struct config *config = config_parse(text, "--settings", &errors);
    memory_free(text);
    if (config != NULL && !is_one_value(request->settings)) {
        config_destroy(config);
        config = refuse("--settings: expected one JSON object");
    }
    try_errors_print(request, &errors);
    config_errors_destroy(&errors);
    return config;
}
