#include "settings_value.h"
#include <base/buffer.h>
#include <base/bytes.h>
#include <base/log.h>
#include <base/memory.h>
#include <cjson/cJSON.h>
#include <config/value.h>
#include <stdio.h>
#include <string.h>
#include <worker/plugin.h>

struct setting {
    const whippet_option *option; /* the plugin's, which outlives the settings */
    bool given;                   /* in the configuration */
    struct setting_value value;
};

struct whippet_settings {
    const char *processor; /* its name; the plugin's */
    size_t count;
    struct setting items[]; /* one for each declared option, in their order */
};

/* --- Checking -------------------------------------------------------------------------------------------*/

/* Where complaints go. */
struct checker {
    const struct plugin *plugin;
    const char *path;
    const struct config *config;
    struct config_errors *errors;
    bool failed; /* there was one */
};

static size_t option_count(const whippet_option *options)
{
    size_t count = 0;
    while (options != NULL && options[count].name != NULL)
        count++;
    return count;
}

static bool is_plain_key(const char *key)
{
    return *key != '\0' &&
           key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] == '\0';
}

/* An error about the member `key` of the settings. */
static void complain(struct checker *checker, const char *key, const char *text)
{
    bool plain = is_plain_key(key);
    size_t size = strlen(checker->path) + strlen(key) + sizeof "[\"\"]";
    char *path = memory_allocate(size);
    if (path != NULL)
        snprintf(path, size, "%s%s%s%s", checker->path, plain ? "." : "[\"", key, plain ? "" : "\"]");
    config_errors_add(checker->errors, checker->config, path != NULL ? path : checker->path, "%s", text);
    memory_free(path);
    checker->failed = true;
}

/* ", " between the names of all options, cut to `size`. */
static void list_options(const whippet_option *options, char *text, size_t size)
{
    size_t length = 0;
    text[0] = '\0';
    for (; options != NULL && options->name != NULL && length < size; options++)
        length +=
            (size_t)snprintf(text + length, size - length, "%s%s", length > 0 ? ", " : "", options->name);
}

static void complain_unknown(struct checker *checker, const char *key)
{
    const whippet_processor *descriptor = &checker->plugin->descriptor;
    const whippet_option *options = descriptor->options;
    char names[256];
    char text[512];
    const char *nearest = value_nearest_name(key, options, option_count(options), sizeof *options);
    list_options(options, names, sizeof names);
    if (nearest != NULL)
        snprintf(text, sizeof text, "the processor %s has no such option; did you mean \"%s\"?",
                 descriptor->name, nearest);
    else if (names[0] != '\0')
        snprintf(text, sizeof text, "the processor %s has no such option; it has: %s", descriptor->name,
                 names);
    else
        snprintf(text, sizeof text, "the processor %s has no options", descriptor->name);
    complain(checker, key, text);
}

static void complain_missing(struct checker *checker, const whippet_option *option)
{
    config_errors_add(checker->errors, checker->config, checker->path,
                      "the processor %s needs the option \"%s\": %s", checker->plugin->descriptor.name,
                      option->name, option->help != NULL ? option->help : "it has no default");
    checker->failed = true;
}

static bool is_declared(const whippet_option *options, const char *name)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (strcmp(options->name, name) == 0)
            return true;
    }
    return false;
}

static void check_names(struct checker *checker, const cJSON *json)
{
    const cJSON *member;
    cJSON_ArrayForEach(member, json)
    {
        if (!is_declared(checker->plugin->descriptor.options, member->string))
            complain_unknown(checker, member->string);
    }
}

static void check_option(struct checker *checker, struct setting *setting, const cJSON *json)
{
    const whippet_option *option = setting->option;
    struct whippet_failure failure;
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(json, option->name);
    setting->given = member != NULL;
    if (member == NULL && option->required) {
        complain_missing(checker, option);
        return;
    }
    int error = 0;
    if (member != NULL)
        error = setting_value_read(&setting->value, option->type, member, &failure);
    else if (option->default_value != NULL)
        error = setting_value_read_default(&setting->value, option, &failure);
    if (error != 0)
        complain(checker, option->name, failure.text);
}

/* All options, still without values; NULL when memory is short. */
static whippet_settings *settings_create(const whippet_processor *descriptor)
{
    size_t count = option_count(descriptor->options);
    whippet_settings *settings = memory_allocate_zeroed(sizeof *settings + count * sizeof settings->items[0]);
    if (settings == NULL)
        return NULL;
    settings->processor = descriptor->name;
    settings->count = count;
    for (size_t i = 0; i < count; i++)
        settings->items[i].option = &descriptor->options[i];
    return settings;
}

whippet_settings *settings_check(const struct plugin *plugin, const cJSON *json, const char *path,
                                 const struct config *config, struct config_errors *errors)
{
    struct checker checker = {.plugin = plugin, .path = path, .config = config, .errors = errors};
    if (json != NULL && !cJSON_IsObject(json)) {
        config_errors_add(errors, config, path, "expected an object with the options of the processor %s",
                          plugin->descriptor.name);
        return NULL;
    }
    whippet_settings *settings = settings_create(&plugin->descriptor);
    if (settings == NULL) {
        config_errors_add(errors, config, path, "out of memory");
        return NULL;
    }
    check_names(&checker, json);
    for (size_t i = 0; i < settings->count; i++)
        check_option(&checker, &settings->items[i], json);
    if (!checker.failed)
        return settings;
    settings_destroy(settings);
    return NULL;
}

void settings_destroy(whippet_settings *settings)
{
    if (settings == NULL)
        return;
    for (size_t i = 0; i < settings->count; i++)
        setting_value_destroy(&settings->items[i].value);
    memory_free(settings);
}

/* --- For another process --------------------------------------------------------------------------------*/

bool settings_write(const whippet_settings *settings, struct buffer *out)
{
    bool written = true;
    for (size_t i = 0; written && i < settings->count; i++) {
        const struct setting *setting = &settings->items[i];
        written = buffer_append(out, &setting->given, sizeof setting->given) &&
                  setting_value_write(&setting->value, out);
    }
    return written;
}

whippet_settings *settings_read(const struct plugin *plugin, whippet_bytes in)
{
    whippet_settings *settings = settings_create(&plugin->descriptor);
    bool read = settings != NULL;
    for (size_t i = 0; read && i < settings->count; i++) {
        struct setting *setting = &settings->items[i];
        read = bytes_take(&in, &setting->given, sizeof setting->given) &&
               setting_value_take(&setting->value, &in);
    }
    if (read && in.len == 0)
        return settings;
    settings_destroy(settings);
    return NULL;
}

/* --- Reading --------------------------------------------------------------------------------------------*/

static const struct setting *find(const whippet_settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->count; i++) {
        if (strcmp(settings->items[i].option->name, name) == 0)
            return &settings->items[i];
    }
    log_event(
        WHIPPET_ERROR, NULL,
        "the processor %s asks for its option \"%s\", which it does not declare: it gets an empty value",
        settings->processor, name);
    return NULL;
}

/* The value of an option that is of one of two types; the empty value, with an error in the log, for any
 * other. */
static const struct setting_value *value_of(const whippet_settings *settings, const char *name,
                                            enum whippet_option_type type,
                                            enum whippet_option_type other_type)
{
    static const struct setting_value empty;
    const struct setting *setting = find(settings, name);
    if (setting == NULL)
        return &empty;
    if (setting->option->type == type || setting->option->type == other_type)
        return &setting->value;
    log_event(WHIPPET_ERROR, NULL,
              "the processor %s asks for its option \"%s\" as another type than it declares: it gets an "
              "empty value",
              settings->processor, name);
    return &empty;
}

bool whippet_setting_given(const whippet_settings *settings, const char *name)
{
    const struct setting *setting = find(settings, name);
    return setting != NULL && setting->given;
}

const char *whippet_setting_string(const whippet_settings *settings, const char *name)
{
    const char *text = value_of(settings, name, WHIPPET_OPTION_STRING, WHIPPET_OPTION_STRING)->text;
    return text != NULL ? text : "";
}

int64_t whippet_setting_integer(const whippet_settings *settings, const char *name)
{
    return value_of(settings, name, WHIPPET_OPTION_INTEGER, WHIPPET_OPTION_INTEGER)->integer;
}

double whippet_setting_number(const whippet_settings *settings, const char *name)
{
    return value_of(settings, name, WHIPPET_OPTION_NUMBER, WHIPPET_OPTION_NUMBER)->number;
}

bool whippet_setting_boolean(const whippet_settings *settings, const char *name)
{
    return value_of(settings, name, WHIPPET_OPTION_BOOLEAN, WHIPPET_OPTION_BOOLEAN)->boolean;
}

double whippet_setting_duration(const whippet_settings *settings, const char *name)
{
    return value_of(settings, name, WHIPPET_OPTION_DURATION, WHIPPET_OPTION_DURATION)->number;
}

uint64_t whippet_setting_size(const whippet_settings *settings, const char *name)
{
    return value_of(settings, name, WHIPPET_OPTION_SIZE, WHIPPET_OPTION_SIZE)->size;
}

const char *const *whippet_setting_strings(const whippet_settings *settings, const char *name, size_t *count)
{
    static const char *const none[] = {NULL};
    const struct setting_value *value = value_of(settings, name, WHIPPET_OPTION_STRINGS, WHIPPET_OPTION_MAP);
    if (count != NULL)
        *count = value->count;
    return value->strings != NULL ? (const char *const *)value->strings : none;
}
