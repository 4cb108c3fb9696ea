#include "queue.h"
#include "errors.h"
#include "limits.h"
#include "names.h"
#include <base/memory.h>
#include <config/retry.h>
#include <config/value.h>
#include <stdio.h>
#include <string.h>

enum {
    MOST_QUEUES = 65535, /* a channel each */
    MOST_PREFETCH = 65535,
    MOST_QUORUM_PREFETCH = 2000,
    MOST_PROCESSES = 256,
    MOST_CRASHES = 1000,
    DEFAULT_CONCURRENCY = 64,
    LARGEST_MESSAGE = 512 << 20, /* bytes; RabbitMQ takes no larger ones */
};

#define DEFAULT_MAX_DELAY 300.0              /* seconds */
#define MOST_EXACT_WHOLE  9007199254740992.0 /* 2^53: beyond it a JSON number loses digits */

static const struct choice declares[] = {
    {"if-missing", QUEUE_DECLARE_IF_MISSING},
    {"passive", QUEUE_DECLARE_PASSIVE},
    {"create", QUEUE_DECLARE_CREATE},
};

static const struct choice types[] = {
    {"quorum", QUEUE_TYPE_QUORUM},
    {"classic", QUEUE_TYPE_CLASSIC},
    {"stream", QUEUE_TYPE_STREAM},
};

static const struct choice backoffs[] = {
    {"constant", WHIPPET_BACKOFF_CONSTANT},
    {"exponential", WHIPPET_BACKOFF_EXPONENTIAL},
};

static const struct choice runs[] = {
    {"loop", RUN_LOOP},
    {"thread", RUN_THREAD},
    {"process", RUN_PROCESS},
};

static const struct choice vias[] = {
    {"memory", RETRY_VIA_MEMORY},
    {"broker", RETRY_VIA_BROKER},
};

static const struct choice failures[] = {
    {"dead-letter", ON_FAILURE_DEAD_LETTER},
    {"discard", ON_FAILURE_DISCARD},
};

static key_read read_arguments, read_queue_arguments, read_consume_arguments, read_bindings,
    read_exchange_type;

#define RETRY(member) offsetof(struct queue_config, retry.member)

static const struct key retry_keys[] = {
    KEY("attempts", key_read_unsigned, RETRY(attempts), .lowest = 1, .highest = RETRY_ATTEMPTS_MAX),
    KEY("delay", key_read_duration, RETRY(delay), .lowest = 0, .highest = LONGEST_TIME),
    KEY("backoff", key_read_choice, RETRY(backoff), KEY_CHOICES(backoffs)),
    KEY("max_delay", key_read_duration, RETRY(max_delay), .lowest = 0, .highest = LONGEST_TIME),
    KEY("jitter", key_read_number, RETRY(jitter), .lowest = 0, .highest = 1),
    KEY("via", key_read_choice, offsetof(struct queue_config, retry_via), KEY_CHOICES(vias)),
};

static const struct key binding_keys[] = {
    KEY("exchange", key_read_string, offsetof(struct binding_config, exchange), .is_required = true,
        .lowest = 1, .highest = LONGEST_NAME),
    KEY("exchange_type", read_exchange_type, offsetof(struct binding_config, exchange_type)),
    KEY("routing_key", key_read_string, offsetof(struct binding_config, routing_key),
        .highest = LONGEST_NAME),
    KEY("arguments", read_arguments, offsetof(struct binding_config, arguments)),
};

#define QUEUE(member) offsetof(struct queue_config, member)

static const struct key queue_keys[] = {
    KEY("name", key_read_string, QUEUE(name), .is_required = true, .lowest = 1, .highest = LONGEST_NAME),
    KEY("processor", key_read_string, QUEUE(processor), .is_required = true, .lowest = 1,
        .highest = LONGEST_TEXT),
    KEY("settings", key_read_object, QUEUE(settings)),
    KEY("declare", key_read_choice, QUEUE(declare), KEY_CHOICES(declares)),
    KEY("type", key_read_choice, QUEUE(type), KEY_CHOICES(types)),
    KEY("arguments", read_queue_arguments, QUEUE(arguments)),
    KEY("bindings", read_bindings, 0),
    KEY("concurrency", key_read_unsigned, QUEUE(concurrency), .lowest = 1, .highest = MOST_PREFETCH),
    KEY("prefetch", key_read_unsigned, QUEUE(prefetch), .lowest = 1, .highest = MOST_PREFETCH),
    KEY("priority", key_read_signed, QUEUE(priority), .lowest = INT32_MIN, .highest = INT32_MAX),
    KEY("exclusive", key_read_boolean, QUEUE(exclusive)),
    KEY("consume_arguments", read_consume_arguments, QUEUE(consume_arguments)),
    KEY("timeout", key_read_duration, QUEUE(timeout), .lowest = SHORTEST_TIME, .highest = LONGEST_TIME),
    KEY("retry", key_read_section, 0, KEY_SECTION(retry_keys)),
    KEY("on_failure", key_read_choice, QUEUE(on_failure), KEY_CHOICES(failures)),
    KEY("dead_letter", key_read_string, QUEUE(dead_letter), .lowest = 1, .highest = LONGEST_NAME),
    KEY("max_message_size", key_read_size, QUEUE(max_message_size), .lowest = 1, .highest = LARGEST_MESSAGE),
    KEY("run", key_read_choice, QUEUE(run), KEY_CHOICES(runs)),
    KEY("processes", key_read_unsigned, QUEUE(processes), .lowest = 1, .highest = MOST_PROCESSES),
    KEY("max_crashes", key_read_unsigned, QUEUE(max_crashes), .lowest = 1, .highest = MOST_CRASHES),
};

static const struct queue_config queue_defaults = {
    .processes = 1,
    .timeout = 300,
    .retry = WHIPPET_RETRY_DEFAULT,
    .max_message_size = 16 << 20,
    .max_crashes = 3,
};

static const struct binding_config binding_defaults = {.routing_key = ""};

/* What AMQP's tables cannot carry as it is written. */
static void check_arguments(struct reader *reader, const struct place *place, cJSON *node)
{
    size_t index = 0;
    if (cJSON_IsNumber(node) &&
        (node->valuedouble > MOST_EXACT_WHOLE || node->valuedouble < -MOST_EXACT_WHOLE))
        reader_fault(reader, place, node, "a number beyond 2^53, of which JSON loses digits");
    for (cJSON *child = node->child; child != NULL; child = child->next, index++) {
        struct place inner = {.outer = place, .key = child->string, .index = index};
        if (child->string != NULL && strlen(child->string) > LONGEST_NAME)
            reader_fault(reader, &inner, child, "a name of more than %d bytes, which AMQP does not have",
                         LONGEST_NAME);
        check_arguments(reader, &inner, child);
    }
}

static void read_arguments(struct reader *reader, const struct place *place, cJSON *value,
                           const struct key *key, void *target)
{
    key_read_object(reader, place, value, key, target);
    if (cJSON_IsObject(value))
        check_arguments(reader, place, value);
}

/* What came out of ${…} and stands for a number, true or false becomes one: nothing says which type an
 * argument has. A queue's two that name something are texts whatever they look like. */
static void settle_types(cJSON *node)
{
    static const char *const texts[] = {"x-dead-letter-exchange", "x-dead-letter-routing-key"};
    double number;
    bool boolean;
    for (size_t i = 0; i < COUNT(texts); i++)
        if (node->string != NULL && strcmp(node->string, texts[i]) == 0)
            return;
    if (value_is_expanded(node) && value_read_number(node, &number)) {
        flag_change_kind(node, cJSON_Number);
        cJSON_SetNumberHelper(node, number);
    } else if (value_is_expanded(node) && value_read_boolean(node, &boolean)) {
        flag_change_kind(node, boolean ? cJSON_True : cJSON_False);
    }
    for (cJSON *child = node->child; child != NULL; child = child->next)
        settle_types(child);
}

static void read_typed_arguments(struct reader *reader, const struct place *place, cJSON *value,
                                 const struct key *key, void *target)
{
    if (cJSON_IsObject(value))
        settle_types(value);
    read_arguments(reader, place, value, key, target);
}

/* An argument that has a key of its own would contradict it. */
static void refuse_argument(struct reader *reader, const struct place *place, const cJSON *arguments,
                            const char *name, const char *key)
{
    if (cJSON_IsObject(arguments) && reader_has(arguments, name))
        reader_fault_key(reader, place, arguments, name, "is given by the key \"%s\" of the queue; use that",
                         key);
}

static void read_queue_arguments(struct reader *reader, const struct place *place, cJSON *value,
                                 const struct key *key, void *target)
{
    read_typed_arguments(reader, place, value, key, target);
    refuse_argument(reader, place, value, "x-queue-type", "type");
}

static void read_consume_arguments(struct reader *reader, const struct place *place, cJSON *value,
                                   const struct key *key, void *target)
{
    read_typed_arguments(reader, place, value, key, target);
    refuse_argument(reader, place, value, "x-priority", "priority");
}

/* One that RabbitMQ brings, or one of a plugin of its. */
static void read_exchange_type(struct reader *reader, const struct place *place, cJSON *value,
                               const struct key *key, void *target)
{
    static const char *const known[] = {"direct", "fanout", "topic", "headers"};
    (void)key;
    const char *type = cJSON_IsString(value) ? value->valuestring : "";
    bool is_known = strncmp(type, "x-", 2) == 0 && strlen(type) > 2 && strlen(type) <= LONGEST_NAME;
    for (size_t i = 0; i < COUNT(known); i++)
        is_known = is_known || strcmp(type, known[i]) == 0;
    if (is_known)
        *(const char **)target = type;
    else
        reader_expected(reader, place, value,
                        "\"direct\", \"fanout\", \"topic\", \"headers\" or a plugin's type such as "
                        "\"x-consistent-hash\"");
}

static void read_bindings(struct reader *reader, const struct place *place, cJSON *value,
                          const struct key *key, void *target)
{
    struct queue_config *queue = target;
    (void)key;
    if (!cJSON_IsArray(value)) {
        reader_expected(reader, place, value, "a list of bindings");
        return;
    }
    queue->bindings = reader_allocate(reader, (size_t)cJSON_GetArraySize(value), sizeof *queue->bindings);
    if (queue->bindings == NULL)
        return;
    for (cJSON *item = value->child; item != NULL; item = item->next) {
        struct place inner = {.outer = place, .index = queue->binding_count};
        struct binding_config *binding = &queue->bindings[queue->binding_count++];
        *binding = binding_defaults;
        if (cJSON_IsObject(item))
            reader_read_object(reader, &inner, item, binding_keys, COUNT(binding_keys), binding);
        else
            reader_expected(reader, &inner, item, "an object with an \"exchange\"");
    }
}

static bool is_reserved(const char *name)
{
    return strncmp(name, "amq.", 4) == 0;
}

static void check_name(struct reader *reader, const struct place *place, const cJSON *object,
                       const struct queue_config *queue)
{
    if (queue->name != NULL && is_reserved(queue->name) && queue->declare != QUEUE_DECLARE_PASSIVE &&
        reader_is_sound(object, "declare"))
        reader_fault_key(
            reader, place, object, "name",
            "RabbitMQ keeps names that begin with \"amq.\" to itself; take another, or set \"declare\": "
            "\"passive\" if the queue exists");
}

static void settle_prefetch(struct reader *reader, const struct place *place, const cJSON *object,
                            struct queue_config *queue)
{
    bool has_prefetch = reader_has(object, "prefetch");
    bool has_concurrency = reader_has(object, "concurrency");
    if (!reader_is_sound(object, "prefetch") || !reader_is_sound(object, "concurrency"))
        return;
    if (!has_concurrency)
        queue->concurrency =
            has_prefetch && queue->prefetch < DEFAULT_CONCURRENCY ? queue->prefetch : DEFAULT_CONCURRENCY;
    if (!has_prefetch)
        queue->prefetch = queue->concurrency;
    if (queue->concurrency > queue->prefetch)
        reader_fault_key(reader, place, object, "concurrency",
                         "%u can never be reached with a prefetch of %u; raise prefetch or lower concurrency",
                         queue->concurrency, queue->prefetch);
    if (queue->type == QUEUE_TYPE_QUORUM && queue->prefetch > MOST_QUORUM_PREFETCH &&
        reader_is_sound(object, "type"))
        reader_fault_key(
            reader, place, object, has_prefetch ? "prefetch" : "concurrency",
            "a quorum queue takes a prefetch of at most %d, found %u%s; lower it, or set \"type\": "
            "\"classic\" if the queue is one",
            MOST_QUORUM_PREFETCH, queue->prefetch, has_prefetch ? "" : " (it follows concurrency)");
}

static void check_exclusive(struct reader *reader, const struct place *place, const cJSON *object,
                            const struct queue_config *queue)
{
    if (queue->exclusive && queue->type == QUEUE_TYPE_QUORUM && reader_is_sound(object, "type"))
        reader_fault_key(
            reader, place, object, "exclusive",
            "a quorum queue has no exclusive consumers; set \"type\": \"classic\", or the queue argument "
            "\"x-single-active-consumer\": true instead");
}

static void settle_retry(struct reader *reader, const struct place *place, const cJSON *object,
                         whippet_retry_policy *retry)
{
    const cJSON *section = cJSON_GetObjectItemCaseSensitive(object, "retry");
    struct place inner = {.outer = place, .key = "retry"};
    if (retry->backoff != WHIPPET_BACKOFF_EXPONENTIAL || retry->delay <= retry->max_delay)
        return;
    if (!reader_has(section, "max_delay"))
        retry->max_delay = retry->delay;
    else if (reader_is_sound(section, "max_delay") && reader_is_sound(section, "delay"))
        reader_fault_key(reader, &inner, section, "max_delay",
                         "is less than the delay that it grows from; raise it or lower delay");
}

static void name_dead_letter(struct reader *reader, const struct place *place, const cJSON *object,
                             struct queue_config *queue)
{
    static const char suffix[] = ".dead";
    size_t length = strlen(queue->name) + sizeof suffix;
    if (length - 1 > LONGEST_NAME) {
        reader_fault_key(reader, place, object, "dead_letter",
                         "\"<name>%s\" is longer than %d bytes; name a dead-letter queue here", suffix,
                         LONGEST_NAME);
        return;
    }
    char *name = reader_allocate(reader, length, 1);
    if (name != NULL)
        snprintf(name, length, "%s%s", queue->name, suffix);
    queue->dead_letter = name;
}

static void settle_dead_letter(struct reader *reader, const struct place *place, const cJSON *object,
                               struct queue_config *queue)
{
    if (queue->on_failure == ON_FAILURE_DISCARD)
        queue->dead_letter = NULL;
    else if (queue->name == NULL || !reader_is_sound(object, "dead_letter"))
        return;
    else if (queue->dead_letter == NULL)
        name_dead_letter(reader, place, object, queue);
    else if (strcmp(queue->dead_letter, queue->name) == 0)
        reader_fault_key(reader, place, object, "dead_letter",
                         "is the queue itself, so that what fails would come back for ever; name another");
    else if (is_reserved(queue->dead_letter))
        reader_fault_key(reader, place, object, "dead_letter",
                         "RabbitMQ keeps names that begin with \"amq.\" to itself; take another");
}

static void check_processes(struct reader *reader, const struct place *place, const cJSON *object,
                            const struct queue_config *queue)
{
    bool other = queue->run == RUN_LOOP || queue->run == RUN_THREAD;
    if (reader_has(object, "processes") && other && reader_is_sound(object, "run"))
        reader_fault_key(reader, place, object, "processes",
                         "is for \"run\": \"process\"; set that, or leave this out");
    else if (queue->processes > queue->concurrency && reader_is_sound(object, "processes") &&
             reader_is_sound(object, "concurrency") && queue->concurrency > 0)
        reader_fault_key(reader, place, object, "processes",
                         "%u of them can't share a concurrency of %u; raise concurrency or lower processes",
                         queue->processes, queue->concurrency);
}

static void read_queue(struct reader *reader, const struct place *place, cJSON *object,
                       struct queue_config *queue)
{
    *queue = queue_defaults;
    if (!cJSON_IsObject(object)) {
        reader_expected(reader, place, object, "an object with \"name\" and \"processor\"");
        return;
    }
    reader_read_object(reader, place, object, queue_keys, COUNT(queue_keys), queue);
    check_name(reader, place, object, queue);
    settle_prefetch(reader, place, object, queue);
    check_exclusive(reader, place, object, queue);
    check_processes(reader, place, object, queue);
    settle_retry(reader, place, object, &queue->retry);
    settle_dead_letter(reader, place, object, queue);
}

static void note_lines(struct reader *reader, const struct place *place, const struct config *config)
{
    int *lines = reader_find_lines(reader, place, config->queue_count);
    for (size_t i = 0; lines != NULL && i < config->queue_count; i++)
        config->queues[i].line = lines[i];
    memory_free(lines);
}

struct queue_search {
    struct reader *reader;
    const struct place *place; /* of the list */
};

static void fault_duplicate(void *context, const struct name_entry *first, const struct name_entry *again)
{
    const struct queue_search *search = context;
    const struct queue_config *queue = first->item;
    struct place outer = {.outer = search->place, .index = again->index};
    struct place place = {.outer = &outer, .key = "name"};
    reader_fault(
        search->reader, &place, NULL,
        "\"%s\" is consumed by queues[%zu] already, on line %d; give that one more concurrency instead",
        again->name, first->index, queue->line);
}

static void find_duplicate_names(struct reader *reader, const struct place *place,
                                 const struct config *config)
{
    struct name_entry *entries = memory_allocate(config->queue_count * sizeof *entries);
    size_t count = 0;
    if (entries == NULL) {
        errors_out_of_memory(reader->errors);
        return;
    }
    for (size_t i = 0; i < config->queue_count; i++) {
        struct queue_config *queue = &config->queues[i];
        if (queue->name != NULL)
            entries[count++] = (struct name_entry){.name = queue->name, .index = i, .item = queue};
    }
    struct queue_search search = {.reader = reader, .place = place};
    names_find_duplicates(entries, count, fault_duplicate, &search);
    memory_free(entries);
}

void key_read_queues(struct reader *reader, const struct place *place, cJSON *value, const struct key *key,
                     void *target)
{
    struct config *config = target;
    size_t count = (size_t)cJSON_GetArraySize(value);
    (void)key;
    if (!cJSON_IsArray(value) || count == 0) {
        reader_expected(reader, place, value, "a list such as " QUEUES_EXAMPLE);
        return;
    }
    if (count > MOST_QUEUES) {
        reader_fault(reader, place, value, "expected at most %d queues, found %zu", MOST_QUEUES, count);
        return;
    }
    config->queue_count = 0; /* the key may stand twice */
    config->queues = reader_allocate(reader, count, sizeof *config->queues);
    if (config->queues == NULL)
        return;
    for (cJSON *item = value->child; item != NULL; item = item->next) {
        struct place inner = {.outer = place, .index = config->queue_count};
        read_queue(reader, &inner, item, &config->queues[config->queue_count++]);
    }
    note_lines(reader, place, config);
    find_duplicate_names(reader, place, config);
}
