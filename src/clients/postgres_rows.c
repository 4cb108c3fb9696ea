/* Reading a result. */
#include "postgres_rows.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <whippet/task.h>

/* --- Rows -----------------------------------------------------------------------------------------------*/

size_t whippet_pg_rows(const whippet_pg_result *result)
{
    return result != NULL ? result->rows : 0;
}

size_t whippet_pg_columns(const whippet_pg_result *result)
{
    return result != NULL ? result->columns : 0;
}

uint64_t whippet_pg_affected(const whippet_pg_result *result)
{
    return result != NULL ? result->affected : 0;
}

size_t whippet_pg_column(const whippet_pg_result *result, const char *name)
{
    size_t columns = whippet_pg_columns(result), column = 0;
    while (column < columns && strcmp(result->names[column], name) != 0)
        column++;
    return column;
}

const char *whippet_pg_column_name(const whippet_pg_result *result, size_t column)
{
    return column < whippet_pg_columns(result) ? result->names[column] : NULL;
}

/* --- Values ---------------------------------------------------------------------------------------------*/

whippet_bytes whippet_pg_bytes(const whippet_pg_result *result, size_t row, size_t column)
{
    if (row >= whippet_pg_rows(result) || column >= whippet_pg_columns(result))
        return (whippet_bytes){0};
    return result->cells[row * result->columns + column];
}

const char *whippet_pg_text(const whippet_pg_result *result, size_t row, size_t column)
{
    return whippet_pg_bytes(result, row, column).data;
}

bool whippet_pg_integer(const whippet_pg_result *result, size_t row, size_t column, int64_t *out)
{
    const char *text = whippet_pg_text(result, row, column);
    char *end;
    if (text == NULL)
        return false;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0)
        return false;
    *out = value;
    return true;
}

bool whippet_pg_real(const whippet_pg_result *result, size_t row, size_t column, double *out)
{
    const char *text = whippet_pg_text(result, row, column);
    char *end;
    if (text == NULL)
        return false;
    double value = strtod(text, &end);
    if (end == text || *end != '\0')
        return false;
    *out = value;
    return true;
}

bool whippet_pg_boolean(const whippet_pg_result *result, size_t row, size_t column, bool *out)
{
    whippet_bytes text = whippet_pg_bytes(result, row, column);
    const char *letter = text.data;
    if (text.len != 1 || (*letter != 't' && *letter != 'f'))
        return false;
    *out = *letter == 't';
    return true;
}

/* -1 for what is none. */
static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* The server writes a bytea as "\x" and two digits for each byte (its setting bytea_output). */
whippet_bytes whippet_pg_binary(whippet_task *task, const whippet_pg_result *result, size_t row,
                                size_t column)
{
    whippet_bytes text = whippet_pg_bytes(result, row, column);
    const char *digits = text.data;
    if (text.len < 2 || digits[0] != '\\' || digits[1] != 'x' || text.len % 2 != 0)
        return (whippet_bytes){0};
    size_t length = text.len / 2 - 1;
    unsigned char *bytes = whippet_alloc(task, length);
    for (size_t i = 0; bytes != NULL && i < length; i++) {
        int high = hex_digit(digits[2 * i + 2]), low = hex_digit(digits[2 * i + 3]);
        if (high < 0 || low < 0)
            return (whippet_bytes){0};
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    return (whippet_bytes){.data = bytes, .len = bytes != NULL ? length : 0};
}

/* --- Errors ---------------------------------------------------------------------------------------------*/

const char *whippet_pg_error(const whippet_pg_result *result)
{
    return result != NULL ? result->error : "";
}

const char *whippet_pg_sqlstate(const whippet_pg_result *result)
{
    return result != NULL ? result->sqlstate : "";
}

bool whippet_pg_refuses_data(const whippet_pg_result *result)
{
    const char *sqlstate = whippet_pg_sqlstate(result);
    if (result != NULL && result->is_doubtful)
        return false;
    return strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "23", 2) == 0 ||
           strncmp(sqlstate, "44", 2) == 0 || strcmp(sqlstate, "P0001") == 0;
}

const char *whippet_pg_error_field(const whippet_pg_result *result, enum whippet_pg_field field)
{
    static const char PARTS[] = POSTGRES_PARTS;
    const char *code = field != '\0' ? strchr(PARTS, (char)field) : NULL;
    const char *text = result != NULL && code != NULL ? result->parts[code - PARTS] : NULL;
    return text != NULL ? text : "";
}
