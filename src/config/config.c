#include "errors.h"
#include "feasible.h"
#include "limits.h"
#include "listen.h"
#include "prepare.h"
#include "queue.h"
#include "reader.h"
#include "url.h"
#include <config/value.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_RECONNECT_MIN    0.5     /* seconds */
#define DEFAULT_RECONNECT_MAX    30.0    /* seconds */
#define DEFAULT_CONSUMER_TIMEOUT 1800.0  /* seconds; RabbitMQ's own since 3.8.17 */
#define SHORTEST_ROUND           0.1     /* seconds */
#define LONGEST_ROUND            300.0   /* seconds; an alert looks back over 10 minutes */
#define LONGEST_HEARTBEAT        65535.0 /* seconds; 16 bits of AMQP */

enum {
    SMALLEST_STACK = 32 << 10, /* bytes */
    LARGEST_STACK = 64 << 20,  /* bytes */
    MOST_THREADS = 256,
    SHORTEST_STALL = 2, /* seconds: blocked loops are noticed within as much */
};

static const struct choice levels[] = {
    {"debug", WHIPPET_DEBUG},  {"info", WHIPPET_INFO},   {"warning", WHIPPET_WARNING},
    {"warn", WHIPPET_WARNING}, {"error", WHIPPET_ERROR},
};

static const struct choice formats[] = {
    {"auto", CONFIG_LOG_AUTO},
    {"text", CONFIG_LOG_TEXT},
    {"json", CONFIG_LOG_JSON},
};

static key_read read_urls, read_heartbeat, read_stack_size, read_folders, read_listen, read_stall_limit,
    read_management_url;

#define CONFIG(member) offsetof(struct config, member)

static const struct key reconnect_keys[] = {
    KEY("min", key_read_duration, CONFIG(reconnect_min), .lowest = SHORTEST_TIME, .highest = LONGEST_TIME),
    KEY("max", key_read_duration, CONFIG(reconnect_max), .lowest = SHORTEST_TIME, .highest = LONGEST_TIME),
};

static const struct key tls_keys[] = {
    KEY("ca", key_read_string, CONFIG(tls.ca), .lowest = 1, .highest = LONGEST_TEXT),
    KEY("cert", key_read_string, CONFIG(tls.cert), .lowest = 1, .highest = LONGEST_TEXT),
    KEY("key", key_read_string, CONFIG(tls.key), .lowest = 1, .highest = LONGEST_TEXT),
    KEY("key_password_file", key_read_string, CONFIG(tls.key_password_file), .lowest = 1,
        .highest = LONGEST_TEXT),
    KEY("verify", key_read_boolean, CONFIG(tls.verify)),
    KEY("server_name", key_read_string, CONFIG(tls.server_name), .lowest = 1, .highest = LONGEST_HOST),
};

static const struct key amqp_keys[] = {
    KEY("url", read_urls, 0),
    KEY("heartbeat", read_heartbeat, CONFIG(heartbeat), .lowest = 0, .highest = LONGEST_HEARTBEAT),
    KEY("connect_timeout", key_read_duration, CONFIG(connect_timeout), .lowest = SHORTEST_TIME,
        .highest = LONGEST_TIME),
    KEY("reconnect", key_read_section, 0, KEY_SECTION(reconnect_keys)),
    KEY("consumer_timeout", key_read_duration, CONFIG(consumer_timeout), .lowest = 0,
        .highest = LONGEST_TIME),
    KEY("password_file", key_read_string, CONFIG(password_file), .lowest = 1, .highest = LONGEST_TEXT),
    KEY("tls", key_read_section, 0, KEY_SECTION(tls_keys)),
};

static const struct key log_keys[] = {
    KEY("level", key_read_choice, CONFIG(log_level), KEY_CHOICES(levels)),
    KEY("format", key_read_choice, CONFIG(log_format), KEY_CHOICES(formats)),
};

static const struct key admin_keys[] = {
    KEY("listen", read_listen, CONFIG(admin_listen)),
};

static const struct key management_keys[] = {
    KEY("url", read_management_url, CONFIG(management.url), .lowest = 1, .highest = LONGEST_TEXT),
    KEY("user", key_read_string, CONFIG(management.user), .lowest = 1, .highest = LONGEST_TEXT),
    KEY("password", key_read_string, CONFIG(management.password), .lowest = 0, .highest = LONGEST_TEXT),
    KEY("password_file", key_read_string, CONFIG(management.password_file), .lowest = 1,
        .highest = LONGEST_TEXT),
    KEY("interval", key_read_duration, CONFIG(management.interval), .lowest = SHORTEST_ROUND,
        .highest = LONGEST_ROUND),
};

static const struct key root_keys[] = {
    KEY("amqp", key_read_section, 0, KEY_SECTION(amqp_keys)),
    KEY("queues", key_read_queues, 0),
    KEY("processor_path", read_folders, 0),
    KEY("max_tasks", key_read_unsigned, CONFIG(max_tasks), .lowest = 1, .highest = UINT32_MAX),
    KEY("threads", key_read_unsigned, CONFIG(threads), .lowest = 1, .highest = MOST_THREADS),
    KEY("stack_size", read_stack_size, CONFIG(stack_size), .lowest = SMALLEST_STACK,
        .highest = LARGEST_STACK),
    KEY("shutdown_timeout", key_read_duration, CONFIG(shutdown_timeout), .lowest = SHORTEST_TIME,
        .highest = LONGEST_TIME),
    KEY("state_dir", key_read_string, CONFIG(state_dir), .lowest = 1, .highest = LONGEST_TEXT),
    KEY("stall_limit", read_stall_limit, CONFIG(stall_limit), .lowest = SHORTEST_STALL,
        .highest = LONGEST_TIME),
    KEY("admin", key_read_section, 0, KEY_SECTION(admin_keys)),
    KEY("management", key_read_section, 0, KEY_SECTION(management_keys)),
    KEY("log", key_read_section, 0, KEY_SECTION(log_keys)),
    KEY("$schema", key_read_ignored, 0),
};

static const struct config defaults = {
    .heartbeat = 20,
    .connect_timeout = 10,
    .tls = {.verify = true},
    .reconnect_min = DEFAULT_RECONNECT_MIN,
    .reconnect_max = DEFAULT_RECONNECT_MAX,
    .threads = 4,
    .consumer_timeout = DEFAULT_CONSUMER_TIMEOUT,
    .stack_size = 256 << 10,
    .shutdown_timeout = 25,
    .admin_listen = {.host = "127.0.0.1", .port = 9464},
    .management = {.interval = 10},
    .stall_limit = 30,
    .log_level = WHIPPET_INFO,
    .log_format = CONFIG_LOG_AUTO,
};

/* What is given as one URL, or as a list of them. */
static size_t count_urls(const cJSON *value)
{
    size_t count = 0;
    const cJSON *item;
    if (cJSON_IsString(value))
        return urls_count(value->valuestring);
    if (cJSON_IsArray(value))
        cJSON_ArrayForEach(item, value) count += cJSON_IsString(item) ? urls_count(item->valuestring) : 1;
    return count;
}

/* One text, which may hold several, into the next free addresses. */
static void read_url(struct reader *reader, const struct place *place, cJSON *value, struct config *config)
{
    struct whippet_failure failure;
    if (!cJSON_IsString(value)) {
        reader_fault(reader, place, value, "expected a URL, found %s", value_kind(value));
        return;
    }
    if (flag_is_faulty(value))
        return;
    int result =
        urls_parse(value->valuestring, reader->arena, &config->addresses[config->address_count], &failure);
    if (result == WHIPPET_E_MEMORY)
        errors_out_of_memory(reader->errors);
    else if (result != 0)
        reader_fault(reader, place, value, "%s", failure.text);
    else
        config->address_count += urls_count(value->valuestring);
}

static void read_urls(struct reader *reader, const struct place *place, cJSON *value, const struct key *key,
                      void *target)
{
    struct config *config = target;
    size_t count = count_urls(value), index = 0;
    (void)key;
    if (count == 0) {
        reader_fault(reader, place, value, "expected a URL or a list of them, found %s", value_kind(value));
        return;
    }
    config->addresses = reader_allocate(reader, count, sizeof *config->addresses);
    if (config->addresses == NULL)
        return;
    if (cJSON_IsString(value))
        read_url(reader, place, value, config);
    for (cJSON *item = value->child; item != NULL; item = item->next, index++) {
        struct place inner = {.outer = place, .index = index};
        read_url(reader, &inner, item, config);
    }
}

static void read_heartbeat(struct reader *reader, const struct place *place, cJSON *value,
                           const struct key *key, void *target)
{
    double seconds = -1;
    key_read_duration(reader, place, value, key, &seconds);
    if (seconds >= 0 && seconds != floor(seconds))
        reader_expected(reader, place, value, "whole seconds, as AMQP has no other heartbeats");
    else if (seconds >= 0)
        *(double *)target = seconds;
}

static void read_stack_size(struct reader *reader, const struct place *place, cJSON *value,
                            const struct key *key, void *target)
{
    uint64_t bytes = 0;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    key_read_size(reader, place, value, key, &bytes);
    if (bytes % page != 0)
        reader_fault(reader, place, value, "expected a multiple of the page size, %u bytes", (unsigned)page);
    else if (bytes > 0)
        *(uint64_t *)target = bytes;
}

static void read_listen(struct reader *reader, const struct place *place, cJSON *value, const struct key *key,
                        void *target)
{
    struct whippet_failure failure;
    (void)key;
    if (!cJSON_IsString(value)) {
        reader_expected(reader, place, value, "an address and a port such as \"127.0.0.1:9464\", or \"off\"");
        return;
    }
    int result = listen_parse(value->valuestring, reader->arena, target, &failure);
    if (result == WHIPPET_E_MEMORY)
        errors_out_of_memory(reader->errors);
    else if (result != 0)
        reader_fault(reader, place, value, "%s", failure.text);
}

/* What is found is not shown: it may hold a password. */
static void read_management_url(struct reader *reader, const struct place *place, cJSON *value,
                                const struct key *key, void *target)
{
    const char *text = cJSON_GetStringValue(value);
    const char *host = text == NULL                        ? NULL
                       : strncmp(text, "http://", 7) == 0  ? text + 7
                       : strncmp(text, "https://", 8) == 0 ? text + 8
                                                           : NULL;
    if (host == NULL || *host == '\0' || strpbrk(text, "?# \t\r\n") != NULL)
        reader_fault(reader, place, value,
                     "expected the URL of RabbitMQ's management API, such as \"http://rabbitmq:15672\"");
    else
        key_read_string(reader, place, value, key, target);
}

/* Who names one user names him once. */
static void settle_management(struct reader *reader, const cJSON *section, const struct config *config)
{
    static const struct place place = {.key = "management"};
    static const char *const KEYS[] = {"user", "password", "password_file"};
    const struct management_config *management = &config->management;
    for (size_t i = 0; i < COUNT(KEYS); i++) {
        if (!reader_has(section, KEYS[i]))
            continue;
        if (!reader_has(section, "url"))
            reader_fault_key(reader, &place, section, KEYS[i], "goes with management.url, which is missing");
        else if (management->url != NULL && strchr(management->url, '@') != NULL)
            reader_fault_key(reader, &place, section, KEYS[i],
                             "and the URL both say as whom to ask; leave one of them out");
    }
    if (reader_has(section, "password") && reader_has(section, "password_file"))
        reader_fault_key(reader, &place, section, "password_file",
                         "and password both give the password; leave one of them out");
}

static void read_stall_limit(struct reader *reader, const struct place *place, cJSON *value,
                             const struct key *key, void *target)
{
    if (cJSON_IsString(value) && strcmp(value->valuestring, "off") == 0)
        *(double *)target = INFINITY;
    else
        key_read_duration(reader, place, value, key, target);
}

static void read_folders(struct reader *reader, const struct place *place, cJSON *value,
                         const struct key *key, void *target)
{
    static const struct key folder = {.lowest = 1, .highest = LONGEST_TEXT};
    struct config *config = target;
    size_t count = cJSON_IsArray(value)    ? (size_t)cJSON_GetArraySize(value)
                   : cJSON_IsString(value) ? 1
                                           : 0,
           index = 0;
    (void)key;
    if (count == 0) {
        reader_expected(reader, place, value, "a folder or a list of them");
        return;
    }
    const char **folders = reader_allocate(reader, count, sizeof *folders);
    if (folders == NULL)
        return;
    if (cJSON_IsString(value))
        key_read_string(reader, place, value, &folder, &folders[0]);
    for (cJSON *item = value->child; item != NULL; item = item->next, index++) {
        struct place inner = {.outer = place, .index = index};
        if (!flag_is_faulty(item))
            key_read_string(reader, &inner, item, &folder, &folders[index]);
    }
    config->processor_path = folders;
    config->processor_path_count = count;
}

/* Where the file names no broker. */
static void settle_addresses(struct reader *reader, const cJSON *amqp, struct config *config)
{
    struct whippet_failure failure;
    const char *variable;
    if (reader_has(amqp, "url"))
        return;
    const char *url = url_stand_in(&variable);
    size_t count = urls_count(url);
    config->addresses = reader_allocate(reader, count, sizeof *config->addresses);
    if (config->addresses == NULL)
        return;
    int result = urls_parse(url, reader->arena, config->addresses, &failure);
    if (result == WHIPPET_E_MEMORY)
        errors_out_of_memory(reader->errors);
    else if (result != 0)
        errors_add(reader->errors, 0, "", "the environment variable %s, which stands in for amqp.url: %s",
                   variable, failure.text);
    else
        config->address_count = count;
}

static bool any_address_is_tls(const struct config *config)
{
    for (size_t i = 0; i < config->address_count; i++)
        if (config->addresses[i].tls)
            return true;
    return false;
}

/* A certificate and its key go together; and what is said of TLS must not be said in vain. */
static void settle_tls(struct reader *reader, const cJSON *amqp, const struct config *config)
{
    static const struct place outer = {.key = "amqp"};
    struct place place = {.outer = &outer, .key = "tls"};
    const cJSON *section = cJSON_GetObjectItemCaseSensitive(amqp, "tls");
    if (!cJSON_IsObject(section) || section->child == NULL)
        return;
    if (reader_has(section, "cert") && !reader_has(section, "key"))
        reader_fault_key(reader, &place, section, "key",
                         "is missing; a certificate takes the file with its private key");
    else if (reader_has(section, "key") && !reader_has(section, "cert"))
        reader_fault_key(reader, &place, section, "cert",
                         "is missing; a key takes the file with its certificate");
    if (reader_has(section, "key_password_file") && !reader_has(section, "key"))
        reader_fault_key(reader, &place, section, "key_password_file", "has no key that it could open");
    if (config->address_count > 0 && !any_address_is_tls(config))
        reader_fault_key(
            reader, &outer, amqp, "tls",
            "is given, but no address of the broker is an amqps:// one: nothing would be encrypted; "
            "write amqps:// in amqp.url (or AMQP_URL), or remove this");
}

static void settle_reconnect(struct reader *reader, const cJSON *amqp, struct config *config)
{
    static const struct place outer = {.key = "amqp"};
    struct place place = {.outer = &outer, .key = "reconnect"};
    const cJSON *section = cJSON_GetObjectItemCaseSensitive(amqp, "reconnect");
    if (config->reconnect_min <= config->reconnect_max)
        return;
    if (!reader_has(section, "max"))
        config->reconnect_max = config->reconnect_min;
    else if (!reader_has(section, "min"))
        config->reconnect_min = config->reconnect_max;
    else if (reader_is_sound(section, "min") && reader_is_sound(section, "max"))
        reader_fault_key(reader, &place, section, "max", "is less than min; raise it or lower min");
}

static void settle_log_level(struct reader *reader, const cJSON *log, struct config *config)
{
    const char *level = getenv("LOG_LEVEL");
    if (reader_has(log, "level") || level == NULL || *level == '\0')
        return;
    if (!log_level_parse(level, &config->log_level))
        errors_add(
            reader->errors, 0, "",
            "the environment variable LOG_LEVEL: expected debug, info, warning or error, found \"%.40s\"",
            level);
}

static void read_root(struct reader *reader, struct config *config)
{
    const cJSON *root = reader->arena->document.root;
    static const struct place queues = {.key = "queues"};
    reader_read_object(reader, NULL, root, root_keys, COUNT(root_keys), config);
    if (!reader_has(root, "queues"))
        reader_fault(reader, &queues, NULL, "is missing; name at least one: \"queues\": " QUEUES_EXAMPLE);
    settle_addresses(reader, cJSON_GetObjectItemCaseSensitive(root, "amqp"), config);
    settle_tls(reader, cJSON_GetObjectItemCaseSensitive(root, "amqp"), config);
    settle_reconnect(reader, cJSON_GetObjectItemCaseSensitive(root, "amqp"), config);
    settle_management(reader, cJSON_GetObjectItemCaseSensitive(root, "management"), config);
    settle_log_level(reader, cJSON_GetObjectItemCaseSensitive(root, "log"), config);
    check_feasible(reader, config);
}

/* Of an arena whose document was read. */
static struct config *read_config(struct config_arena *arena, const char *file, struct config_errors *errors)
{
    struct reader reader = {.arena = arena, .errors = errors};
    struct config *config = reader_allocate(&reader, 1, sizeof *config);
    if (config == NULL || !document_parse(&arena->document, errors))
        return NULL;
    *config = defaults;
    config->arena = arena;
    config->file = reader_copy(&reader, file);
    prepare_tree(&reader);
    read_root(&reader, config);
    return config;
}

/* From `text`, or where that is NULL from the file; with errors, where it could be read at all. */
static struct config *open_config(const char *text, const char *file, struct config_errors *errors)
{
    struct config_arena *arena = config_arena_create();
    if (arena == NULL) {
        errors_out_of_memory(errors);
        return NULL;
    }
    bool opened = text != NULL ? document_copy(&arena->document, text, errors)
                               : document_read(&arena->document, file, errors);
    struct config *config = opened ? read_config(arena, file, errors) : NULL;
    if (config == NULL)
        config_arena_destroy(arena);
    return config;
}

const char *config_default_file(void)
{
    bool is_missing = access(CONFIG_LOCAL_FILE, F_OK) != 0 && errno == ENOENT;
    return is_missing ? CONFIG_INSTALLED_FILE : CONFIG_LOCAL_FILE;
}

struct config *config_load_faulty(const char *file, struct config_errors *errors)
{
    *errors = (struct config_errors){0};
    if (file != NULL)
        return open_config(NULL, file, errors);
    file = config_default_file();
    if (access(file, F_OK) != 0 && errno == ENOENT) {
        errors_add(errors, 0, "",
                   "there is no configuration: neither %s in this folder nor %s exists; name one with -c",
                   CONFIG_LOCAL_FILE, CONFIG_INSTALLED_FILE);
        return NULL;
    }
    return open_config(NULL, file, errors);
}

static struct config *sound(struct config *config, const struct config_errors *errors)
{
    if (errors->count == 0)
        return config;
    config_destroy(config);
    return NULL;
}

struct config *config_load(const char *file, struct config_errors *errors)
{
    return sound(config_load_faulty(file, errors), errors);
}

struct config *config_parse(const char *text, const char *file, struct config_errors *errors)
{
    *errors = (struct config_errors){0};
    return sound(open_config(text, file, errors), errors);
}

const struct config *config_retain(const struct config *config)
{
    config->arena->references++;
    return config;
}

void config_destroy(const struct config *config)
{
    if (config != NULL && --config->arena->references == 0)
        config_arena_destroy(config->arena);
}
