#include "pairs.h"
#include <base/memory.h>
#include <string.h>

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* In place; false for a '%' without two digits, and for a NUL. */
static bool decode(char *text)
{
    char *out = text;
    for (; *text != '\0'; text++, out++) {
        *out = *text;
        if (*text != '%')
            continue;
        int high = hex_digit(text[1]), low = high >= 0 ? hex_digit(text[2]) : -1;
        if (low < 0 || (high | low) == 0)
            return false;
        *out = (char)(high << 4 | low);
        text += 2;
    }
    *out = '\0';
    return true;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t", text[length - 1]) != NULL)
        text[--length] = '\0';
    return text;
}

static bool read_pair(char *member, struct trace_pair *pair)
{
    char *sign = strchr(member, '=');
    if (sign == NULL)
        return false;
    *sign = '\0';
    char *name = trim(member), *value = trim(sign + 1);
    *pair = (struct trace_pair){.name = name, .value = value};
    return *name != '\0' && decode(name) && decode(value);
}

static size_t count_commas(const char *text)
{
    size_t count = 0;
    while ((text = strchr(text, ',')) != NULL) {
        text++;
        count++;
    }
    return count;
}

int trace_pairs_read(struct trace_pairs *pairs, const char *list)
{
    *pairs = (struct trace_pairs){0};
    if (list == NULL)
        return 0;
    pairs->storage = memory_copy_text(list);
    pairs->items = memory_allocate((count_commas(list) + 1) * sizeof *pairs->items);
    int error = pairs->storage != NULL && pairs->items != NULL ? 0 : WHIPPET_E_MEMORY;
    char *rest = pairs->storage;
    while (error == 0 && rest != NULL) {
        char *member = trim(strsep(&rest, ","));
        if (*member == '\0')
            continue;
        if (read_pair(member, &pairs->items[pairs->count]))
            pairs->count++;
        else
            error = WHIPPET_E_INVALID;
    }
    if (error != 0)
        trace_pairs_destroy(pairs);
    return error;
}

void trace_pairs_destroy(struct trace_pairs *pairs)
{
    memory_free(pairs->items);
    memory_free(pairs->storage);
    *pairs = (struct trace_pairs){0};
}

const char *trace_pairs_find(const struct trace_pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (strcmp(pairs->items[i].name, name) == 0)
            return pairs->items[i].value;
    return NULL;
}
