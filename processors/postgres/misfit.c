/* Which value it is that the server does not want. */
#include "attempt.h"
#include <stdlib.h>
#include <string.h>

/* Whether a value is longer than the column $2 of the table $1 takes: the lengths that a type has in brackets
 * are looked at when the row is made, and the error does not name the column then. Blanks at the end don't
 * count. Typmods are as format_type() reads them; what is cast must depend on the row, or it would be cast
 * beforehand, whatever the column's type. */
static const char too_long[] =
    "SELECT CASE WHEN atttypmod < 0 THEN false"
    " WHEN atttypid IN ('varchar'::regtype, 'bpchar'::regtype)"
    "  THEN length(rtrim($3::text, ' ')) > atttypmod - 4"
    " WHEN atttypid = 'bit'::regtype THEN length($3::text) <> atttypmod"
    " WHEN atttypid = 'varbit'::regtype THEN length($3::text) > atttypmod"
    " WHEN atttypid = 'numeric'::regtype"
    "  THEN abs(round((CASE atttypid WHEN 'numeric'::regtype THEN $3::text END)::numeric, "
    "((atttypmod - 4 & 2047) # 1024) - 1024))"
    "   >= 10::numeric ^ ((atttypmod - 4 >> 16 & 65535) - (((atttypmod - 4 & 2047) # 1024) - 1024))"
    " ELSE false END FROM pg_attribute WHERE attrelid = $1::regclass AND attname = $2";

static bool is_too_long(const struct attempt *attempt, size_t place)
{
    const struct settings *settings = attempt->settings;
    const whippet_pg_parameter parameters[] = {
        whippet_pg_text_parameter(settings->quoted_table),
        whippet_pg_text_parameter(settings->write.sources[place].column),
        attempt->parameters[place],
    };
    const whippet_pg_result *result;
    bool answer = false;
    if (whippet_pg_query(attempt->task, settings->pg, too_long, parameters, 3, &result) == 0)
        whippet_pg_boolean(result, 0, 0, &answer);
    return answer;
}

/* What could not be read as its type at all is named in the context: "unnamed portal parameter $3". Whatever
 * language that is in, the number stands behind the only dollar sign. */
static size_t place_in_context(const whippet_pg_result *result, size_t count)
{
    const char *dollar = strchr(whippet_pg_error_field(result, WHIPPET_PG_CONTEXT), '$');
    unsigned long number = dollar != NULL ? strtoul(dollar + 1, NULL, 10) : 0;
    return number >= 1 && number <= count ? number - 1 : count;
}

static size_t place_of_column(const struct query *write, const char *column)
{
    size_t i = 0;
    while (i < write->count && strcmp(write->sources[i].column, column) != 0)
        i++;
    return i;
}

size_t attempt_find_misfit(const struct attempt *attempt, const whippet_pg_result *result)
{
    const struct settings *settings = attempt->settings;
    const struct query *write = &settings->write;
    const char *column = whippet_pg_error_field(result, WHIPPET_PG_COLUMN);
    bool is_data = strncmp(whippet_pg_sqlstate(result), "22", 2) == 0;
    size_t place = is_data ? place_in_context(result, write->count) : write->count;
    if (place < write->count || settings->table == NULL)
        return place;
    if (*column != '\0')
        return place_of_column(write, column);
    for (place = 0; is_data && place < write->count; place++) {
        if (is_too_long(attempt, place))
            return place;
    }
    return write->count;
}
