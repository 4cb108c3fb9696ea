#include "arena.h"
#include <cjson/cJSON.h>
#include <config/difference.h>
#include <stdio.h>
#include <string.h>

enum {
    LONGEST_PATH = 128,
    DEEPEST = 3 /* "amqp.tls.ca" */
};

struct comparison {
    difference_found *found;
    void *owner;
    int depth; /* how far objects are looked into; below that they differ as a whole */
};

/* What is not there, null and the empty object mean the same wherever an object may stand. */
static bool says_nothing(const cJSON *value)
{
    return value == NULL || cJSON_IsNull(value) || (cJSON_IsObject(value) && value->child == NULL);
}

static bool is_same(const cJSON *before, const cJSON *after)
{
    if (says_nothing(before) || says_nothing(after))
        return says_nothing(before) && says_nothing(after);
    return cJSON_Compare(before, after, true) != 0;
}

static bool is_object_or_missing(const cJSON *value)
{
    return value == NULL || cJSON_IsObject(value);
}

static void compare_objects(const struct comparison *comparison, const char *outer, const cJSON *before,
                            const cJSON *after);

static void compare_key(const struct comparison *comparison, const char *outer, const char *key,
                        const cJSON *before, const cJSON *after)
{
    char path[LONGEST_PATH];
    if (is_same(before, after) || (*outer == '\0' && strcmp(key, "queues") == 0))
        return;
    snprintf(path, sizeof path, "%s%s%s", outer, *outer != '\0' ? "." : "", key);
    struct comparison inner = *comparison;
    if (--inner.depth > 0 && is_object_or_missing(before) && is_object_or_missing(after))
        compare_objects(&inner, path, before, after);
    else
        comparison->found(comparison->owner, path);
}

/* Each key of the one, then those that only the other has. */
static void compare_objects(const struct comparison *comparison, const char *outer, const cJSON *before,
                            const cJSON *after)
{
    const cJSON *member;
    cJSON_ArrayForEach(member, before) compare_key(comparison, outer, member->string, member,
                                                   cJSON_GetObjectItemCaseSensitive(after, member->string));
    cJSON_ArrayForEach(member, after)
    {
        if (cJSON_GetObjectItemCaseSensitive(before, member->string) == NULL)
            compare_key(comparison, outer, member->string, NULL, member);
    }
}

static const cJSON *root_of(const struct config *config)
{
    return config->arena->document.root;
}

static const cJSON *queue_of(const struct config *config, size_t index)
{
    return cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(root_of(config), "queues"), (int)index);
}

void config_differences(const struct config *before, const struct config *after, difference_found *found,
                        void *owner)
{
    struct comparison comparison = {.found = found, .owner = owner, .depth = DEEPEST};
    compare_objects(&comparison, "", root_of(before), root_of(after));
}

void config_queue_differences(const struct config *before, size_t before_index, const struct config *after,
                              size_t after_index, difference_found *found, void *owner)
{
    struct comparison comparison = {.found = found, .owner = owner, .depth = 1};
    compare_objects(&comparison, "", queue_of(before, before_index), queue_of(after, after_index));
}
