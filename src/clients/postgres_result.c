#include "postgres_result.h"
#include <base/failure.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <whippet/task.h>

static const whippet_pg_result OUT_OF_MEMORY = {.error = "out of memory"};

/* --- Rows -----------------------------------------------------------------------------------------------*/

/* Copies come one behind the other from one piece of memory. */
struct copier {
    const struct postgres_library *library;
    PGresult *from;
    char *at; /* where the next text goes */
};

static whippet_bytes copy(struct copier *copier, const char *text, size_t length)
{
    whippet_bytes copied = {.data = copier->at, .len = length};
    memcpy(copier->at, text, length);
    copier->at[length] = '\0';
    copier->at += length + 1;
    return copied;
}

static size_t texts_size(const struct postgres_library *library, PGresult *from, int rows, int columns)
{
    size_t size = 0;
    for (int column = 0; column < columns; column++)
        size += strlen(library->fname(from, column)) + 1;
    for (int row = 0; row < rows; row++) {
        for (int column = 0; column < columns; column++)
            size += (size_t)library->getlength(from, row, column) + 1;
    }
    return size;
}

static void copy_cells(struct copier *copier, whippet_pg_result *result)
{
    const struct postgres_library *library = copier->library;
    whippet_bytes *cell = result->cells;
    for (size_t column = 0; column < result->columns; column++) {
        const char *name = library->fname(copier->from, (int)column);
        result->names[column] = copy(copier, name, strlen(name)).data;
    }
    for (int row = 0; row < (int)result->rows; row++) {
        for (int column = 0; column < (int)result->columns; column++, cell++) {
            if (!library->getisnull(copier->from, row, column))
                *cell = copy(copier, library->getvalue(copier->from, row, column),
                             (size_t)library->getlength(copier->from, row, column));
        }
    }
}

static const whippet_pg_result *copy_rows(whippet_task *task, const struct postgres_library *library,
                                          PGresult *from)
{
    int rows = library->ntuples(from), columns = library->nfields(from);
    size_t names_size = (size_t)columns * sizeof(char *);
    size_t cells_size = (size_t)rows * (size_t)columns * sizeof(whippet_bytes);
    size_t size = sizeof(whippet_pg_result) + names_size + cells_size;
    whippet_pg_result *result = whippet_alloc(task, size + texts_size(library, from, rows, columns));
    if (result == NULL)
        return &OUT_OF_MEMORY;
    char *memory = (char *)(result + 1);
    *result = (whippet_pg_result){.rows = (size_t)rows, .columns = (size_t)columns, .error = ""};
    result->cells = (void *)memory;
    result->names = (void *)(memory + cells_size);
    result->affected = strtoull(library->cmdTuples(from), NULL, 10);
    copy_cells(&(struct copier){.library = library, .from = from, .at = memory + cells_size + names_size},
               result);
    return result;
}

/* --- Errors ---------------------------------------------------------------------------------------------*/

void postgres_text_join_lines(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (!isspace((unsigned char)*from))
            *to++ = *from;
        else if (to > text && to[-1] != ' ')
            *to++ = ' ';
    }
    if (to > text && to[-1] == ' ')
        to--;
    *to = '\0';
}

static char *copy_text(whippet_task *task, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copied = whippet_alloc(task, size);
    return copied != NULL ? memcpy(copied, text, size) : NULL;
}

/* False when memory is short. */
static bool copy_parts(whippet_task *task, const struct postgres_library *library, const PGresult *from,
                       whippet_pg_result *result)
{
    for (size_t i = 0; POSTGRES_PARTS[i] != '\0'; i++) {
        const char *part = library->resultErrorField(from, POSTGRES_PARTS[i]);
        result->parts[i] = part != NULL ? copy_text(task, part) : "";
        if (result->parts[i] == NULL)
            return false;
    }
    return true;
}

/* What a person gets to read of a server's error. False when memory is short. */
static bool compose_error(whippet_task *task, whippet_pg_result *result)
{
    const char *message = whippet_pg_error_field(result, WHIPPET_PG_MESSAGE);
    const char *detail = whippet_pg_error_field(result, WHIPPET_PG_DETAIL);
    const char *hint = whippet_pg_error_field(result, WHIPPET_PG_HINT);
    static const char format[] = "%s%s%s%s%s (SQLSTATE %s)";
    size_t size = strlen(message) + strlen(detail) + strlen(hint) + sizeof format + sizeof result->sqlstate;
    char *text = whippet_alloc(task, size);
    if (text == NULL)
        return false;
    snprintf(text, size, format, message, *detail != '\0' ? ": " : "", detail, *hint != '\0' ? "; " : "",
             hint, result->sqlstate);
    postgres_text_join_lines(text);
    result->error = text;
    return true;
}

/* libpq's own error, such as a connection that broke. */
static const whippet_pg_result *fail_by_library(whippet_task *task, const char *message)
{
    whippet_pg_result *result = whippet_alloc(task, sizeof *result);
    char *text = copy_text(task, message);
    if (result == NULL || text == NULL)
        return &OUT_OF_MEMORY;
    postgres_text_join_lines(text);
    *result = (whippet_pg_result){.error = *text != '\0' ? text : "the connection broke"};
    return result;
}

static const whippet_pg_result *copy_error(whippet_task *task, const struct postgres_library *library,
                                           const PGresult *from)
{
    const char *sqlstate = library->resultErrorField(from, PG_DIAG_SQLSTATE);
    if (sqlstate == NULL)
        return fail_by_library(task, library->resultErrorMessage(from));
    whippet_pg_result *result = whippet_alloc(task, sizeof *result);
    if (result == NULL)
        return &OUT_OF_MEMORY;
    snprintf(result->sqlstate, sizeof result->sqlstate, "%s", sqlstate);
    return copy_parts(task, library, from, result) && compose_error(task, result) ? result : &OUT_OF_MEMORY;
}

const whippet_pg_result *postgres_result_copy(whippet_task *task, const struct postgres_library *library,
                                              PGresult *result)
{
    switch (library->resultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY: return copy_rows(task, library, result);
    default: return copy_error(task, library, result);
    }
}

const whippet_pg_result *postgres_result_fail(whippet_task *task, const char *sqlstate, const char *format,
                                              ...)
{
    char text[FAILURE_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    whippet_pg_result *result = whippet_alloc(task, sizeof *result);
    char *copied = copy_text(task, text);
    if (result == NULL || copied == NULL)
        return &OUT_OF_MEMORY;
    *result = (whippet_pg_result){.error = copied};
    snprintf(result->sqlstate, sizeof result->sqlstate, "%s", sqlstate);
    return result;
}

const whippet_pg_result *postgres_result_doubt(whippet_task *task, const whippet_pg_result *error)
{
    whippet_pg_result *result = whippet_alloc(task, sizeof *result);
    if (result == NULL)
        return &OUT_OF_MEMORY;
    *result = *error;
    result->is_doubtful = true;
    return result;
}
