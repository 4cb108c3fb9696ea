#include "statement.h"
#include "identifier.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* --- Text that grows ------------------------------------------------------------------------------------*/

struct text {
    FILE *stream; /* NULL when memory is short */
    char *memory;
    size_t length;
};

static bool text_open(struct text *text)
{
    *text = (struct text){0};
    text->stream = open_memstream(&text->memory, &text->length);
    return text->stream != NULL;
}

/* The whole, or NULL when memory was short. */
static char *text_close(struct text *text)
{
    bool complete = ferror(text->stream) == 0;
    complete = fclose(text->stream) == 0 && complete;
    if (complete)
        return text->memory;
    free(text->memory);
    return NULL;
}

/* --- The inbox ------------------------------------------------------------------------------------------*/

static void write_enter(FILE *stream, const char *inbox, size_t first)
{
    fputs("INSERT INTO ", stream);
    identifier_write_table(stream, inbox);
    fprintf(stream, " (queue, id) VALUES ($%zu, $%zu) ON CONFLICT DO NOTHING", first, first + 1);
}

char *statement_enter(const char *inbox)
{
    struct text text;
    if (!text_open(&text))
        return NULL;
    write_enter(text.stream, inbox, 1);
    return text_close(&text);
}

char *statement_create_inbox(const char *inbox)
{
    struct text text;
    if (!text_open(&text))
        return NULL;
    fputs("CREATE TABLE IF NOT EXISTS ", text.stream);
    identifier_write_table(text.stream, inbox);
    fputs(" (queue text, id text, done_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (queue, id))",
          text.stream);
    return text_close(&text);
}

char *statement_quote(const char *table)
{
    struct text text;
    if (!text_open(&text))
        return NULL;
    identifier_write_table(text.stream, table);
    return text_close(&text);
}

/* --- Rows -----------------------------------------------------------------------------------------------*/

static bool is_conflict_column(const struct row *row, const char *column)
{
    for (size_t i = 0; row->conflict[i] != NULL; i++) {
        if (strcmp(row->conflict[i], column) == 0)
            return true;
    }
    return false;
}

static void write_columns(FILE *stream, const struct row *row)
{
    for (size_t i = 0; i < row->count; i++) {
        fputs(i > 0 ? ", " : "", stream);
        identifier_write(stream, row->sources[i].column);
    }
}

static void write_places(FILE *stream, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fprintf(stream, "%s$%zu", i > 0 ? ", " : "", i + 1);
}

/* DO UPDATE SET what was sent; DO NOTHING where that is the key and nothing else. */
static void write_conflict(FILE *stream, const struct row *row)
{
    bool sets = false;
    if (row->conflict[0] == NULL)
        return;
    fputs(" ON CONFLICT (", stream);
    for (size_t i = 0; row->conflict[i] != NULL; i++) {
        fputs(i > 0 ? ", " : "", stream);
        identifier_write(stream, row->conflict[i]);
    }
    fputs(") DO ", stream);
    for (size_t i = 0; i < row->count; i++) {
        const char *column = row->sources[i].column;
        if (is_conflict_column(row, column))
            continue;
        fputs(sets ? ", " : "UPDATE SET ", stream);
        identifier_write(stream, column);
        fputs(" = EXCLUDED.", stream);
        identifier_write(stream, column);
        sets = true;
    }
    fputs(sets ? "" : "NOTHING", stream);
}

char *statement_insert(const struct row *row, const char *inbox)
{
    struct text text;
    if (!text_open(&text))
        return NULL;
    FILE *stream = text.stream;
    if (inbox != NULL) {
        fputs("WITH inbox AS (", stream);
        write_enter(stream, inbox, row->count + 1);
        fputs(" RETURNING 1) ", stream);
    }
    fputs("INSERT INTO ", stream);
    identifier_write_table(stream, row->table);
    fputs(" (", stream);
    write_columns(stream, row);
    fputs(inbox != NULL ? ") SELECT " : ") VALUES (", stream);
    write_places(stream, row->count);
    fputs(inbox != NULL ? " FROM inbox" : ")", stream);
    write_conflict(stream, row);
    return text_close(&text);
}

char *statement_find(const struct row *row)
{
    struct text text;
    if (!text_open(&text))
        return NULL;
    fputs("SELECT 1 FROM ", text.stream);
    identifier_write_table(text.stream, row->table);
    for (size_t i = 0; i < row->count; i++) {
        fputs(i > 0 ? " AND " : " WHERE ", text.stream);
        identifier_write(text.stream, row->sources[i].column);
        fprintf(text.stream, " IS NOT DISTINCT FROM $%zu", i + 1);
    }
    fputs(" LIMIT 1", text.stream);
    return text_close(&text);
}
