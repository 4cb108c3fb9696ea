#include "random_table.h"
#include "peer.h"
#include <stdio.h>
#include <string.h>

static const char value_types[] = "VtbBsuIilLfdDTSxAF";

static void random_bytes(struct wire *wire, uint64_t *seed, size_t count)
{
    for (size_t i = 0; i < count; i++)
        wire_octet(wire, (unsigned)peer_random_below(seed, 256));
}

static void random_value(struct wire *wire, uint64_t *seed, const char *name, int levels)
{
    size_t choices = strlen(value_types) - (levels > 1 ? 0 : 2);
    char type = value_types[peer_random_below(seed, choices)];
    wire_entry(wire, name, type);
    switch (type) {
    case 'V': break;
    case 't': wire_octet(wire, (unsigned)peer_random_below(seed, 2)); break;
    case 'b':
    case 'B': random_bytes(wire, seed, 1); break;
    case 's':
    case 'u': random_bytes(wire, seed, 2); break;
    case 'I':
    case 'i':
    case 'f': random_bytes(wire, seed, 4); break;
    case 'D': random_bytes(wire, seed, 5); break;
    case 'l':
    case 'L':
    case 'd':
    case 'T': random_bytes(wire, seed, 8); break;
    default: {
        size_t begun = wire_begin_long(wire);
        if (type == 'F')
            random_table_entries(wire, seed, levels - 1);
        else if (type == 'A')
            for (size_t i = peer_random_below(seed, 5); i > 0; i--)
                random_value(wire, seed, NULL, levels - 1);
        else
            random_bytes(wire, seed, peer_random_below(seed, 40));
        wire_end_long(wire, begun);
        break;
    }
    }
}

void random_table_entries(struct wire *wire, uint64_t *seed, int levels)
{
    for (size_t i = peer_random_below(seed, 6); i > 0; i--) {
        char name[16];
        snprintf(name, sizeof name, "%.*s", (int)peer_random_below(seed, 13), "header-names");
        random_value(wire, seed, name, levels);
    }
}

static bool reference_entries(const uint8_t **at, const uint8_t *end, bool named, int level, int *deepest);

/* One value with its type letter. */
static bool reference_value(const uint8_t **at, const uint8_t *end, int level, int *deepest)
{
    static const signed char sizes[] = {0, 1, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8, 5, 8, 4, 4, 4, 4};
    const char *found = *at < end && **at != '\0' ? strchr(value_types, **at) : NULL;
    if (found == NULL)
        return false;
    size_t size = (size_t)sizes[found - value_types];
    ++*at;
    if ((size_t)(end - *at) < size)
        return false;
    const uint8_t *value = *at;
    *at += size;
    if (strchr("SxAF", *found) == NULL)
        return true;
    size_t length = (size_t)value[0] << 24 | (size_t)value[1] << 16 | (size_t)value[2] << 8 | value[3];
    if ((size_t)(end - *at) < length)
        return false;
    const uint8_t *inner = *at;
    *at += length;
    return strchr("Sx", *found) != NULL || reference_entries(&inner, *at, *found == 'F', level + 1, deepest);
}

static bool reference_entries(const uint8_t **at, const uint8_t *end, bool named, int level, int *deepest)
{
    if (level > *deepest)
        *deepest = level;
    while (*at < end) {
        if (named) {
            size_t name = **at;
            if ((size_t)(end - *at) < 1 + name)
                return false;
            *at += 1 + name;
        }
        if (!reference_value(at, end, level, deepest))
            return false;
    }
    return true;
}

bool reference_table_sound(const uint8_t *entries, size_t size, int *deepest)
{
    *deepest = 0;
    return reference_entries(&entries, entries + size, true, 1, deepest);
}
