#include "prepare.h"
#include "errors.h"
#include "expand.h"
#include "names.h"
#include <base/memory.h>
#include <math.h>
#include <string.h>

/* Any of the texts may be a secret: it goes where the arena's are, and the tree refers to it there. */
static void keep_in_arena(struct reader *reader, cJSON *node)
{
    size_t length = strlen(node->valuestring);
    char *copy = config_arena_copy(reader->arena, node->valuestring, length);
    if (copy == NULL) {
        errors_out_of_memory(reader->errors);
        return;
    }
    explicit_bzero(node->valuestring, length);
    cJSON_free(node->valuestring);
    node->valuestring = copy;
    node->type |= cJSON_IsReference;
}

static void expand_string(struct reader *reader, const struct place *place, cJSON *node)
{
    struct expansion expansion;
    struct whippet_failure failure;
    if (strchr(node->valuestring, '$') == NULL)
        return;
    int result = expand(node->valuestring, &expansion, &failure);
    if (result == WHIPPET_E_MEMORY) {
        errors_out_of_memory(reader->errors);
    } else if (result != 0) {
        reader_fault(reader, place, node, "%s", failure.text);
    } else {
        explicit_bzero(node->valuestring, strlen(node->valuestring));
        cJSON_free(node->valuestring);
        node->valuestring = expansion.text;
        if (expansion.is_expanded)
            node->type |= FLAG_EXPANDED;
    }
}

struct duplicate_search {
    struct reader *reader;
    const struct place *place; /* of the object */
};

/* Only the first is read. */
static void fault_duplicate(void *context, const struct name_entry *first, const struct name_entry *again)
{
    const struct duplicate_search *search = context;
    const struct document *document = &search->reader->arena->document;
    struct place place = {.outer = search->place, .key = again->name};
    cJSON *node = again->item;
    node->type |= FLAG_FAULTY;
    if (errors_are_full(search->reader->errors))
        return;
    char *outer = place_format(search->place);
    char *path = place_format(&place);
    if (outer == NULL || path == NULL)
        errors_out_of_memory(search->reader->errors);
    else
        errors_add(search->reader->errors, place_line_of_entry(document, outer, again->index), path,
                   "is given twice, first on line %d; keep one of them",
                   place_line_of_entry(document, outer, first->index));
    memory_free(outer);
    memory_free(path);
}

static void find_duplicate_keys(struct reader *reader, const struct place *place, cJSON *object)
{
    size_t count = (size_t)cJSON_GetArraySize(object), index = 0;
    if (count < 2)
        return;
    struct name_entry *entries = memory_allocate(count * sizeof *entries);
    if (entries == NULL) {
        errors_out_of_memory(reader->errors);
        return;
    }
    for (cJSON *child = object->child; child != NULL; child = child->next, index++)
        entries[index] = (struct name_entry){.name = child->string, .index = index, .item = child};
    struct duplicate_search search = {.reader = reader, .place = place};
    names_find_duplicates(entries, count, fault_duplicate, &search);
    memory_free(entries);
}

/* No deeper than the syntax check let the text be nested. */
static void prepare_node(struct reader *reader, const struct place *place, cJSON *node)
{
    if (cJSON_IsString(node)) {
        expand_string(reader, place, node);
        keep_in_arena(reader, node);
    } else if (cJSON_IsNumber(node) && !isfinite(node->valuedouble)) {
        reader_fault(reader, place, node, "the number is too large");
    } else if (cJSON_IsObject(node)) {
        find_duplicate_keys(reader, place, node);
    }
    size_t index = 0;
    for (cJSON *child = node->child; child != NULL; child = child->next, index++) {
        struct place inner = {.outer = place, .key = child->string, .index = index};
        /* Within what is there twice, a path would lead into the first. */
        if (!flag_is_faulty(child))
            prepare_node(reader, &inner, child);
    }
}

void prepare_tree(struct reader *reader)
{
    prepare_node(reader, NULL, reader->arena->document.root);
}
