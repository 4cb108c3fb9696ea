#include "json.h"

static void write_members(struct json *json, whippet_value table)
{
    whippet_bytes name;
    whippet_value value;
    json_open(json, '{');
    while (whippet_value_next(&table, &name, &value)) {
        json_name(json, name);
        json_value(json, value);
    }
    json_close(json, '}');
}

static void write_items(struct json *json, whippet_value array)
{
    whippet_value value;
    json_open(json, '[');
    while (whippet_value_next(&array, NULL, &value))
        json_value(json, value);
    json_close(json, ']');
}

/* Recursive: whippet hands out no headers that are nested deeply. */
void json_value(struct json *json, whippet_value value)
{
    switch (value.kind) {
    case WHIPPET_VALUE_ABSENT:
    case WHIPPET_VALUE_NULL: json_null(json); break;
    case WHIPPET_VALUE_BOOLEAN: json_boolean(json, value.boolean); break;
    case WHIPPET_VALUE_INTEGER: json_integer(json, value.integer); break;
    case WHIPPET_VALUE_REAL: json_real(json, value.real); break;
    case WHIPPET_VALUE_DECIMAL: json_decimal(json, value.decimal.unscaled, value.decimal.scale); break;
    case WHIPPET_VALUE_TEXT: json_text(json, value.bytes); break;
    case WHIPPET_VALUE_BINARY: json_base64(json, value.bytes); break;
    case WHIPPET_VALUE_TIMESTAMP: json_timestamp(json, value.timestamp); break;
    case WHIPPET_VALUE_ARRAY: write_items(json, value); break;
    case WHIPPET_VALUE_TABLE: write_members(json, value); break;
    }
}
