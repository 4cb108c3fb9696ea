#include "place.h"
#include <base/buffer.h>
#include <base/memory.h>
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_plain(const char *key)
{
    return *key != '\0' && strpbrk(key, ".[]\"\\ ") == NULL;
}

static bool append_text(struct buffer *buffer, const char *text)
{
    return buffer_append(buffer, text, strlen(text));
}

static bool append_quoted(struct buffer *buffer, const char *key)
{
    if (!append_text(buffer, "[\""))
        return false;
    for (; *key != '\0'; key++) {
        if (strchr("\"\\", *key) != NULL && !append_text(buffer, "\\"))
            return false;
        if (!buffer_append(buffer, key, 1))
            return false;
    }
    return append_text(buffer, "\"]");
}

static bool append_place(struct buffer *buffer, const struct place *place)
{
    if (place == NULL)
        return true;
    if (!append_place(buffer, place->outer))
        return false;
    if (place->key == NULL) {
        char index[32];
        snprintf(index, sizeof index, "[%zu]", place->index);
        return append_text(buffer, index);
    }
    if (!is_plain(place->key))
        return append_quoted(buffer, place->key);
    if (place->outer != NULL && !append_text(buffer, "."))
        return false;
    return append_text(buffer, place->key);
}

char *place_format(const struct place *place)
{
    struct buffer buffer;
    buffer_init(&buffer);
    char *text = NULL;
    if (append_place(&buffer, place))
        text = memory_copy_span(buffer_begin(&buffer), buffer_length(&buffer));
    buffer_destroy(&buffer);
    return text;
}

/* One step of a path in text form. */
struct step {
    bool is_index;
    size_t index;
    const char *key; /* where it is quoted, with its backslashes */
    size_t length;
    bool is_quoted;
};

static const char *read_quoted_step(const char *path, struct step *step)
{
    step->key = path;
    step->is_quoted = true;
    while (*path != '\0' && *path != '"')
        path += *path == '\\' && path[1] != '\0' ? 2 : 1;
    step->length = (size_t)(path - step->key);
    return *path == '"' && path[1] == ']' ? path + 2 : NULL;
}

static const char *read_index_step(const char *path, struct step *step)
{
    step->is_index = true;
    const char *digits = path;
    for (; *path >= '0' && *path <= '9' && path - digits < 9; path++)
        step->index = step->index * 10 + (size_t)(*path - '0');
    return path > digits && *path == ']' ? path + 1 : NULL;
}

/* Behind the step, or NULL at the end and where the path makes no sense. */
static const char *read_step(const char *path, struct step *step)
{
    *step = (struct step){0};
    if (*path == '[')
        return path[1] == '"' ? read_quoted_step(path + 2, step) : read_index_step(path + 1, step);
    if (*path == '.')
        path++;
    step->key = path;
    step->length = strcspn(path, ".[");
    return step->length > 0 ? path + step->length : NULL;
}

static bool step_names(const struct step *step, const char *name)
{
    const char *at = step->key;
    const char *end = at + step->length;
    for (; at < end; at++, name++) {
        if (step->is_quoted && *at == '\\' && at + 1 < end)
            at++;
        if (*at != *name)
            return false;
    }
    return *name == '\0';
}

/* The number of the child that the step leads to; false when there is none. */
static bool find_child(const cJSON *node, const struct step *step, size_t *index)
{
    *index = 0;
    if (step->is_index ? !cJSON_IsArray(node) : !cJSON_IsObject(node))
        return false;
    for (const cJSON *child = node->child; child != NULL; child = child->next, ++*index) {
        if (step->is_index ? *index == step->index : step_names(step, child->string))
            return true;
    }
    return false;
}

/* What follows walks text that is known to be valid JSON and to end with a NUL. */

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

static const char *skip_string(const char *at)
{
    for (at++; *at != '"'; at++) {
        if (*at == '\\')
            at++;
    }
    return at + 1;
}

static const char *skip_value(const char *at)
{
    size_t depth = 0;
    if (*at != '"' && *at != '{' && *at != '[')
        return at + strcspn(at, ",]} \t\r\n");
    do {
        at += strcspn(at, "\"{}[]");
        if (*at == '"') {
            at = skip_string(at);
            continue;
        }
        if (*at == '{' || *at == '[')
            depth++;
        else
            depth--;
        at++;
    } while (depth > 0);
    return at;
}

/* Where in the text an entry of an object or a list stands. */
struct entry {
    const char *begin; /* its key, or in a list its value */
    const char *value;
};

static struct entry entry_at(const char *begin, bool is_object)
{
    struct entry entry = {.begin = begin, .value = begin};
    if (is_object)
        entry.value = skip_space(skip_space(skip_string(begin)) + 1);
    return entry;
}

/* The first entry of the object or list that `container` begins; there must be one. */
static struct entry first_entry(const char *container)
{
    return entry_at(skip_space(container + 1), *container == '{');
}

static struct entry next_entry(struct entry entry)
{
    bool is_object = entry.begin != entry.value;
    return entry_at(skip_space(skip_space(skip_value(entry.value)) + 1), is_object);
}

static struct entry find_entry(const char *container, size_t index)
{
    struct entry entry = first_entry(container);
    while (index-- > 0)
        entry = next_entry(entry);
    return entry;
}

/* Follows the path as far as it leads. */
static struct entry find_path(const struct document *document, const char *path, const cJSON **node)
{
    const char *begin = skip_space(document->text);
    struct entry entry = {.begin = begin, .value = begin};
    struct step step;
    size_t index;
    *node = document->root;
    while ((path = read_step(path, &step)) != NULL && find_child(*node, &step, &index)) {
        entry = find_entry(entry.value, index);
        *node = cJSON_GetArrayItem(*node, (int)index);
    }
    return entry;
}

/* How many lines end between the two. */
static int count_lines(const char *from, const char *to)
{
    int count = 0;
    while ((from = memchr(from, '\n', (size_t)(to - from))) != NULL) {
        from++;
        count++;
    }
    return count;
}

int place_line(const struct document *document, const char *path)
{
    const cJSON *node;
    return 1 + count_lines(document->text, find_path(document, path, &node).begin);
}

int place_line_of_entry(const struct document *document, const char *path, size_t index)
{
    const cJSON *node;
    struct entry entry = find_path(document, path, &node);
    if (cJSON_GetArrayItem(node, (int)index) != NULL)
        entry = find_entry(entry.value, index);
    return 1 + count_lines(document->text, entry.begin);
}

void place_lines_of_entries(const struct document *document, const char *path, int *lines)
{
    const cJSON *node;
    struct entry entry = find_path(document, path, &node);
    size_t count = (size_t)cJSON_GetArraySize(node);
    const char *counted = document->text;
    int line = 1;
    for (size_t i = 0; i < count; i++) {
        entry = i == 0 ? first_entry(entry.value) : next_entry(entry);
        line += count_lines(counted, entry.begin);
        counted = entry.begin;
        lines[i] = line;
    }
}
