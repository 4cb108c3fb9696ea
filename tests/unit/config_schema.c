/* docs/whippet.schema.json and docs/configuration.md against the parser. */
#include "config_testing.h"
#include <cjson/cJSON.h>

static cJSON *schema;

/* A file of docs/; freed by the caller. */
static char *read_document(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, WHIPPET_DOCS "/%s", name);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "cannot open %s", path);
    char *text = calloc(1, 1 << 20);
    cr_assert_gt(fread(text, 1, (1 << 20) - 1, file), 0);
    fclose(file);
    return text;
}

static void setup(void)
{
    forget_environment();
    char *text = read_document("whippet.schema.json");
    schema = cJSON_Parse(text);
    cr_assert_not_null(schema, "the schema is not JSON");
    free(text);
}

static void teardown(void)
{
    cJSON_Delete(schema);
}

TestSuite(schema, .init = setup, .fini = teardown);

/* What the parser says are the keys of the object in `text` that has the key "zzz". */
static void known_keys(const char *text, char *keys, size_t size)
{
    static const char before[] = "the keys here are ";
    struct config_errors errors;
    cr_assert_null(config_parse(text, TEST_FILE, &errors));
    const char *found = NULL;
    for (size_t i = 0; i < errors.count && found == NULL; i++)
        found = strstr(errors.items[i].text, before);
    cr_assert_not_null(found, "no keys for %s: %s", text, errors.items[0].text);
    snprintf(keys, size, "%s", found + strlen(before));
    config_errors_destroy(&errors);
}

/* The object's part of the schema: the root, or one of $defs; `inner` is a property of it, or NULL. */
static const cJSON *find_object(const char *definition, const char *inner)
{
    const cJSON *object = schema;
    if (definition != NULL)
        object = cJSON_GetObjectItem(cJSON_GetObjectItem(schema, "$defs"), definition);
    if (inner != NULL)
        object = cJSON_GetObjectItem(cJSON_GetObjectItem(object, "properties"), inner);
    cr_assert_not_null(object, "the schema has no %s", definition);
    return object;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "c, a, b" → "a b c" */
static void sort_names(char *text)
{
    char *names[64], copy[2000];
    size_t count = 0;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *name = strtok(copy, ", "); name != NULL; name = strtok(NULL, ", "))
        names[count++] = name;
    qsort(names, count, sizeof names[0], compare_names);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        strcat(strcat(text, names[i]), " ");
}

static void assert_same_keys(const char *definition, const char *inner, const char *text)
{
    char in_parser[2000], in_schema[2000] = "";
    const cJSON *object = find_object(definition, inner);
    const cJSON *property;
    known_keys(text, in_parser, sizeof in_parser);
    cJSON_ArrayForEach(property, cJSON_GetObjectItem(object, "properties"))
        strcat(strcat(in_schema, property->string), ", ");
    sort_names(in_parser);
    sort_names(in_schema);
    cr_assert_str_eq(in_schema, in_parser, "the schema has %s, the parser %s", in_schema, in_parser);
    cr_assert(cJSON_IsFalse(cJSON_GetObjectItem(object, "additionalProperties")), "%s takes unknown keys",
              text);
}

Test(schema, has_the_keys_that_the_parser_has)
{
    assert_same_keys(NULL, NULL, WITH_KEYS("\"zzz\": 1"));
    assert_same_keys("amqp", NULL, WITH_KEYS("\"amqp\": { \"zzz\": 1 }"));
    assert_same_keys("admin", NULL, WITH_KEYS("\"admin\": { \"zzz\": 1 }"));
    assert_same_keys("management", NULL, WITH_KEYS("\"management\": { \"zzz\": 1 }"));
    assert_same_keys("amqp", "reconnect", WITH_KEYS("\"amqp\": { \"reconnect\": { \"zzz\": 1 } }"));
    assert_same_keys("tls", NULL, WITH_KEYS("\"amqp\": { \"tls\": { \"zzz\": 1 } }"));
    assert_same_keys("queue", NULL, WITH_QUEUE_KEYS("\"zzz\": 1"));
    assert_same_keys("retry", NULL, WITH_QUEUE_KEYS("\"retry\": { \"zzz\": 1 }"));
    assert_same_keys("binding", NULL, WITH_QUEUE_KEYS("\"bindings\": [{ \"exchange\": \"x\", \"zzz\": 1 }]"));
    assert_same_keys("log", NULL, WITH_KEYS("\"log\": { \"zzz\": 1 }"));
}

/* Writes "name": default for each property that has one. */
static void write_defaults(const cJSON *object, char *text)
{
    const cJSON *property;
    text[0] = '\0';
    cJSON_ArrayForEach(property, cJSON_GetObjectItem(object, "properties"))
    {
        const cJSON *value = cJSON_GetObjectItem(property, "default");
        if (value == NULL)
            continue;
        char *printed = cJSON_PrintUnformatted(value);
        sprintf(text + strlen(text), "%s\"%s\": %s", text[0] != '\0' ? ", " : "", property->string, printed);
        cJSON_free(printed);
    }
}

static void assert_same_queue(const struct queue_config *a, const struct queue_config *b)
{
    cr_assert_eq(a->declare, b->declare);
    cr_assert_eq(a->type, b->type);
    cr_assert_eq(a->concurrency, b->concurrency);
    cr_assert_eq(a->prefetch, b->prefetch);
    cr_assert_eq(a->priority, b->priority);
    cr_assert_eq(a->exclusive, b->exclusive);
    cr_assert_eq(a->run, b->run);
    cr_assert_eq(a->processes, b->processes);
    cr_assert_eq(a->timeout, b->timeout);
    cr_assert_eq(a->retry.attempts, b->retry.attempts);
    cr_assert_eq(a->retry.delay, b->retry.delay);
    cr_assert_eq(a->retry.backoff, b->retry.backoff);
    cr_assert_eq(a->retry.max_delay, b->retry.max_delay);
    cr_assert_eq(a->retry.jitter, b->retry.jitter);
    cr_assert_eq(a->on_failure, b->on_failure);
    cr_assert_eq(a->max_message_size, b->max_message_size);
    cr_assert_eq(a->max_crashes, b->max_crashes);
    cr_assert_str_eq(a->bindings[0].routing_key, b->bindings[0].routing_key);
}

static void assert_same_config(const struct config *a, const struct config *b)
{
    cr_assert_str_eq(a->addresses[0].display, b->addresses[0].display);
    cr_assert_eq(a->heartbeat, b->heartbeat);
    cr_assert_eq(a->connect_timeout, b->connect_timeout);
    cr_assert_eq(a->reconnect_min, b->reconnect_min);
    cr_assert_eq(a->reconnect_max, b->reconnect_max);
    cr_assert_eq(a->threads, b->threads);
    cr_assert_eq(a->stack_size, b->stack_size);
    cr_assert_eq(a->shutdown_timeout, b->shutdown_timeout);
    cr_assert_str_eq(a->admin_listen.host, b->admin_listen.host);
    cr_assert_eq(a->admin_listen.port, b->admin_listen.port);
    cr_assert_eq(a->stall_limit, b->stall_limit);
    cr_assert_eq(a->management.interval, b->management.interval);
    cr_assert_eq(a->log_level, b->log_level);
    cr_assert_eq(a->log_format, b->log_format);
    assert_same_queue(&a->queues[0], &b->queues[0]);
}

Test(schema, has_the_defaults_that_the_parser_has)
{
    static char root[1000], amqp[1000], reconnect[1000], queue[1000], retry[1000], binding[1000], log[1000],
        admin[1000], management[1000], text[10000];
    write_defaults(find_object(NULL, NULL), root);
    write_defaults(find_object("amqp", NULL), amqp);
    write_defaults(find_object("amqp", "reconnect"), reconnect);
    write_defaults(find_object("queue", NULL), queue);
    write_defaults(find_object("retry", NULL), retry);
    write_defaults(find_object("binding", NULL), binding);
    write_defaults(find_object("log", NULL), log);
    write_defaults(find_object("admin", NULL), admin);
    write_defaults(find_object("management", NULL), management);
    snprintf(
        text, sizeof text,
        "{ %s, \"amqp\": { %s, \"reconnect\": { %s } }, \"log\": { %s }, \"admin\": { %s }, \"management\": "
        "{ %s }, \"queues\": [{ "
        "\"name\": "
        "\"orders\", "
        "\"processor\": \"log\", %s, \"retry\": { %s }, \"bindings\": [{ \"exchange\": \"x\", %s }] }] }",
        root, amqp, reconnect, log, admin, management, queue, retry, binding);
    struct config *given = parse(text);
    struct config *defaults = parse(WITH_QUEUE_KEYS("\"bindings\": [{ \"exchange\": \"x\" }]"));
    assert_same_config(given, defaults);
    config_destroy(given);
    config_destroy(defaults);
}

/* Each ```json block of the page is a whole configuration. */
Test(schema, the_examples_of_the_documentation_are_right)
{
    static const char fence[] = "```json\n";
    char *page = read_document("configuration.md");
    unsigned count = 0;
    setenv("DB_PASSWORD", "x", 1);
    for (char *block = strstr(page, fence); block != NULL; block = strstr(block, fence)) {
        block += strlen(fence);
        char *end = strstr(block, "```");
        cr_assert_not_null(end);
        *end = '\0';
        config_destroy(parse(block));
        block = end + 1;
        count++;
    }
    cr_assert_gt(count, 1, "%u examples", count);
    free(page);
}

/* Every key has a row in one of the tables: | `key` | … */
Test(schema, every_key_is_documented)
{
    static const struct {
        const char *definition, *inner, *prefix;
    } objects[] = {
        {NULL, NULL, ""},           {"amqp", NULL, "amqp."},
        {"queue", NULL, ""},        {"amqp", "reconnect", "amqp.reconnect."},
        {"tls", NULL, "amqp.tls."}, {"retry", NULL, "retry."},
        {"log", NULL, "log."},      {"admin", NULL, "admin."},
        {"binding", NULL, ""},      {"management", NULL, "management."},
    };
    char *page = read_document("configuration.md");
    for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++) {
        const cJSON *property;
        const cJSON *object = find_object(objects[i].definition, objects[i].inner);
        cJSON_ArrayForEach(property, cJSON_GetObjectItem(object, "properties"))
        {
            char row[200];
            bool is_section =
                cJSON_GetObjectItem(property, "properties") != NULL ||
                strcmp(property->string, "amqp") == 0 || strcmp(property->string, "queues") == 0 ||
                strcmp(property->string, "tls") == 0 || strcmp(property->string, "retry") == 0 ||
                strcmp(property->string, "admin") == 0 || strcmp(property->string, "management") == 0 ||
                strcmp(property->string, "log") == 0;
            snprintf(row, sizeof row, "\n| `%s%s` |", objects[i].prefix, property->string);
            cr_assert(is_section || strstr(page, row) != NULL, "docs/configuration.md has no row%s", row);
        }
    }
    free(page);
}
