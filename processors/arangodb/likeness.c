/* Goes through both documents with a list of what is left to compare, and not by recursion: JSON may be
 * nested deeper than a task's stack is. The members of an object are sorted, so that one with very many takes
 * no time to speak of. */
#include "likeness.h"
#include <stdlib.h>
#include <string.h>

/* Objects or arrays that stand at the same place. */
struct pair {
    whippet_json_value written;
    whippet_json_value found;
    enum likeness likeness;
    bool is_document; /* the whole, and no part of it */
};

struct comparison {
    whippet_task *task;
    struct pair *pairs; /* yet to be compared; owned */
    size_t count;
    size_t capacity;
    bool is_starved;
};

struct member {
    whippet_bytes name; /* escapes resolved */
    whippet_json_value value;
    size_t place; /* in its object */
};

struct members {
    struct member *list; /* sorted by name; of those with the same name, the last; owned */
    size_t count;
};

static bool starve(struct comparison *comparison)
{
    comparison->is_starved = true;
    return false;
}

/* --- Values ---------------------------------------------------------------------------------------------*/

static bool are_same_bytes(whippet_bytes one, whippet_bytes other)
{
    return one.len == other.len && (one.len == 0 || memcmp(one.data, other.data, one.len) == 0);
}

static bool are_same_texts(struct comparison *comparison, whippet_json_value one, whippet_json_value other)
{
    if (are_same_bytes(one.raw, other.raw))
        return true;
    whippet_bytes first = whippet_json_text(comparison->task, one);
    whippet_bytes second = whippet_json_text(comparison->task, other);
    if (first.data == NULL || second.data == NULL)
        return starve(comparison);
    return are_same_bytes(first, second);
}

static bool are_same_numbers(whippet_json_value one, whippet_json_value other)
{
    int64_t integers[2];
    double reals[2];
    if (are_same_bytes(one.raw, other.raw))
        return true;
    if (whippet_json_integer(one, &integers[0]) && whippet_json_integer(other, &integers[1]))
        return integers[0] == integers[1];
    return whippet_json_real(one, &reals[0]) && whippet_json_real(other, &reals[1]) && reals[0] == reals[1];
}

static bool put_off(struct comparison *comparison, struct pair pair)
{
    if (comparison->count == comparison->capacity) {
        size_t capacity = 2 * comparison->capacity + 16;
        struct pair *pairs = realloc(comparison->pairs, capacity * sizeof *pairs);
        if (pairs == NULL)
            return starve(comparison);
        comparison->pairs = pairs;
        comparison->capacity = capacity;
    }
    comparison->pairs[comparison->count++] = pair;
    return true;
}

/* Objects and arrays of the same kind are put off. */
static bool compare(struct comparison *comparison, struct pair pair)
{
    if (pair.written.kind != pair.found.kind)
        return false;
    switch (pair.written.kind) {
    case WHIPPET_JSON_OBJECT:
    case WHIPPET_JSON_ARRAY: return put_off(comparison, pair);
    case WHIPPET_JSON_STRING: return are_same_texts(comparison, pair.written, pair.found);
    case WHIPPET_JSON_NUMBER: return are_same_numbers(pair.written, pair.found);
    default: return are_same_bytes(pair.written.raw, pair.found.raw);
    }
}

/* --- Arrays ---------------------------------------------------------------------------------------------*/

/* An array is a value as a whole: nothing is merged into one. */
static bool compare_arrays(struct comparison *comparison, whippet_json_value written,
                           whippet_json_value found)
{
    struct pair pair = {.likeness = LIKENESS_EQUAL};
    while (whippet_json_next(&written, NULL, &pair.written)) {
        if (!whippet_json_next(&found, NULL, &pair.found) || !compare(comparison, pair))
            return false;
    }
    return !whippet_json_next(&found, NULL, &pair.found);
}

/* --- Objects --------------------------------------------------------------------------------------------*/

static int compare_names(whippet_bytes one, whippet_bytes other)
{
    size_t shorter = one.len < other.len ? one.len : other.len;
    int order = shorter > 0 ? memcmp(one.data, other.data, shorter) : 0;
    return order != 0 ? order : (one.len > other.len) - (one.len < other.len);
}

static int by_name_and_place(const void *one, const void *other)
{
    const struct member *first = one, *second = other;
    int order = compare_names(first->name, second->name);
    return order != 0 ? order : (first->place > second->place) - (first->place < second->place);
}

/* Of an object that is sorted. */
static void keep_last_of_each_name(struct members *members)
{
    size_t count = 0;
    for (size_t i = 0; i < members->count; i++) {
        bool is_another =
            count == 0 || compare_names(members->list[count - 1].name, members->list[i].name) != 0;
        members->list[is_another ? count++ : count - 1] = members->list[i];
    }
    members->count = count;
}

/* False when memory is short; the list is to be freed all the same. */
static bool list_members(struct comparison *comparison, whippet_json_value object, struct members *members)
{
    whippet_json_value name, value;
    size_t count = whippet_json_length(object);
    *members = (struct members){.list = malloc((count + 1) * sizeof *members->list)};
    if (members->list == NULL)
        return starve(comparison);
    while (whippet_json_next(&object, &name, &value)) {
        whippet_bytes text = whippet_json_text(comparison->task, name);
        if (text.data == NULL)
            return starve(comparison);
        members->list[members->count] = (struct member){text, value, members->count};
        members->count++;
    }
    qsort(members->list, members->count, sizeof *members->list, by_name_and_place);
    keep_last_of_each_name(members);
    return true;
}

/* What the server writes by itself, whatever was sent. */
static bool is_the_servers(const struct pair *pair, const struct member *member)
{
    static const char *const NAMES[] = {"_id", "_key", "_rev"};
    for (size_t i = 0; pair->is_document && i < sizeof NAMES / sizeof NAMES[0]; i++) {
        if (compare_names(member->name, (whippet_bytes){NAMES[i], strlen(NAMES[i])}) == 0)
            return true;
    }
    return false;
}

static bool may_be_more(const struct pair *pair, const struct member *member)
{
    bool is_special = pair->is_document && member->name.len > 0 && *(const char *)member->name.data == '_';
    return is_special || pair->likeness == LIKENESS_INCLUDES;
}

static bool compare_members(struct comparison *comparison, const struct pair *pair,
                            const struct members *written, const struct members *found)
{
    const struct member *other = found->list, *end = other + found->count;
    for (size_t i = 0; i < written->count; i++) {
        const struct member *member = &written->list[i];
        if (is_the_servers(pair, member))
            continue;
        for (; other < end && compare_names(other->name, member->name) < 0; other++) {
            if (!may_be_more(pair, other))
                return false;
        }
        if (other == end || compare_names(other->name, member->name) != 0 ||
            !compare(comparison, (struct pair){member->value, other->value, pair->likeness, false}))
            return false;
        other++;
    }
    while (other < end && may_be_more(pair, other))
        other++;
    return other == end;
}

static bool compare_objects(struct comparison *comparison, const struct pair *pair)
{
    struct members written = {0}, found = {0};
    bool is_like = list_members(comparison, pair->written, &written) &&
                   list_members(comparison, pair->found, &found) &&
                   compare_members(comparison, pair, &written, &found);
    free(written.list);
    free(found.list);
    return is_like;
}

/* --- Documents ------------------------------------------------------------------------------------------*/

bool likeness_holds(whippet_task *task, enum likeness likeness, whippet_json_value written,
                    whippet_json_value found, bool *is_starved)
{
    struct comparison comparison = {.task = task};
    bool is_like = compare(&comparison, (struct pair){written, found, likeness, true});
    while (is_like && comparison.count > 0) {
        struct pair pair = comparison.pairs[--comparison.count];
        is_like = pair.written.kind == WHIPPET_JSON_OBJECT
                      ? compare_objects(&comparison, &pair)
                      : compare_arrays(&comparison, pair.written, pair.found);
    }
    free(comparison.pairs);
    *is_starved = comparison.is_starved;
    return is_like;
}
