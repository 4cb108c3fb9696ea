#include "postgres_arguments.h"
#include <base/memory.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    NUMBER_SIZE = 32, /* "-9223372036854775808", "-2.2250738585072014e-308" */
};

enum {
    FORMAT_TEXT = 0,
    FORMAT_BINARY = 1,
};

static size_t text_size(const whippet_pg_parameter *parameter)
{
    switch (parameter->kind) {
    case WHIPPET_PG_TEXT: return parameter->bytes.len + 1;
    case WHIPPET_PG_INTEGER:
    case WHIPPET_PG_REAL: return NUMBER_SIZE;
    default: return 0;
    }
}

/* PostgreSQL has no NUL in texts, and libpq would cut there. */
static bool can_be_sent(const whippet_pg_parameter *parameter)
{
    switch (parameter->kind) {
    case WHIPPET_PG_TEXT:
        return parameter->bytes.len == 0 ||
               (parameter->bytes.len < INT32_MAX &&
                memchr(parameter->bytes.data, '\0', parameter->bytes.len) == NULL);
    case WHIPPET_PG_BINARY: return parameter->bytes.len < INT32_MAX;
    case WHIPPET_PG_NULL:
    case WHIPPET_PG_INTEGER:
    case WHIPPET_PG_REAL:
    case WHIPPET_PG_BOOLEAN: return true;
    }
    return false;
}

/* The value as libpq takes it; `room` is where it may be written. */
static const char *write_value(const whippet_pg_parameter *parameter, char *room)
{
    switch (parameter->kind) {
    case WHIPPET_PG_TEXT:
        if (parameter->bytes.len > 0)
            memcpy(room, parameter->bytes.data, parameter->bytes.len);
        room[parameter->bytes.len] = '\0';
        return room;
    case WHIPPET_PG_BINARY: return parameter->bytes.data;
    case WHIPPET_PG_INTEGER: snprintf(room, NUMBER_SIZE, "%" PRId64, parameter->integer); return room;
    case WHIPPET_PG_REAL: snprintf(room, NUMBER_SIZE, "%.17g", parameter->real); return room;
    case WHIPPET_PG_BOOLEAN: return parameter->boolean ? "true" : "false";
    default: return NULL;
    }
}

int postgres_arguments_make(const whippet_pg_parameter *parameters, size_t count,
                            struct postgres_statement *statement, void **memory, size_t *place)
{
    size_t size = count * (sizeof(char *) + 2 * sizeof(int));
    *memory = NULL;
    for (size_t i = 0; i < count; i++) {
        *place = i + 1;
        if (!can_be_sent(&parameters[i]))
            return WHIPPET_E_INVALID;
        size += text_size(&parameters[i]);
    }
    if (count == 0)
        return 0;
    const char **values = *memory = memory_allocate(size);
    if (values == NULL)
        return WHIPPET_E_MEMORY;
    int *lengths = (int *)(values + count), *formats = lengths + count;
    char *room = (char *)(formats + count);
    for (size_t i = 0; i < count; i++) {
        bool binary = parameters[i].kind == WHIPPET_PG_BINARY;
        values[i] = write_value(&parameters[i], room);
        lengths[i] = binary ? (int)parameters[i].bytes.len : 0;
        formats[i] = binary ? FORMAT_BINARY : FORMAT_TEXT;
        room += text_size(&parameters[i]);
    }
    statement->count = (int)count;
    statement->values = values;
    statement->lengths = lengths;
    statement->formats = formats;
    return 0;
}
