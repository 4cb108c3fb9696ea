#include "log_line.h"
#include <base/bytes.h>
#include <base/clock.h>
#include <base/utf8.h>

static const char hex_digits[] = "0123456789abcdef";
static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* The end of a line that grows. Callers keep to the limits that LOG_LINE_SIZE adds up. */
struct writer {
    char *at;
};

static void put_char(struct writer *writer, char character)
{
    *writer->at++ = character;
}

static void put_bytes(struct writer *writer, const void *data, size_t length)
{
    memcpy(writer->at, data, length);
    writer->at += length;
}

static void put_text(struct writer *writer, const char *text)
{
    put_bytes(writer, text, strlen(text));
}

static void put_unsigned(struct writer *writer, uint64_t number)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count > 0)
        put_char(writer, digits[--count]);
}

/* To the microsecond, without needless zeros: "0.25", "3". */
static void put_seconds(struct writer *writer, double seconds)
{
    enum {
        PER_SECOND = 1000000
    };
    if (!(seconds > 0))
        seconds = 0;
    uint64_t microseconds = seconds < 1e12 ? (uint64_t)(seconds * PER_SECOND + 0.5) : (uint64_t)1e18;
    put_unsigned(writer, microseconds / PER_SECOND);
    unsigned fraction = (unsigned)(microseconds % PER_SECOND);
    if (fraction > 0)
        put_char(writer, '.');
    for (unsigned unit = PER_SECOND / 10; fraction > 0; unit /= 10) {
        put_char(writer, (char)('0' + fraction / unit));
        fraction %= unit;
    }
}

/* C0, DEL, and the C1 controls, which a terminal obeys as well: U+0080 to U+009F. */
static bool is_control(const uint8_t *at, size_t sequence)
{
    return (sequence == 1 && (at[0] < 0x20 || at[0] == 0x7f)) ||
           (sequence == 2 && at[0] == 0xc2 && at[1] < 0xa0);
}

static char short_escape(uint8_t byte)
{
    switch (byte) {
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    default: return '\0';
    }
}

static void put_control(struct writer *writer, const uint8_t *at, size_t sequence)
{
    uint8_t code = at[sequence - 1];
    put_char(writer, '\\');
    if (short_escape(code) != '\0') {
        put_char(writer, short_escape(code));
        return;
    }
    put_text(writer, "u00");
    put_char(writer, hex_digits[code >> 4]);
    put_char(writer, hex_digits[code & 0xf]);
}

/* What is printed in place of a byte that is not UTF-8: JSON must stay valid, people want to see the byte. */
static void put_invalid(struct writer *writer, uint8_t byte, enum log_format format)
{
    if (format == LOG_FORMAT_JSON) {
        put_text(writer, replacement);
        return;
    }
    put_text(writer, "\\x");
    put_char(writer, hex_digits[byte >> 4]);
    put_char(writer, hex_digits[byte & 0xf]);
}

/* Nothing in `text` can end the line, steer a terminal or, where `quoted`, end the string it stands in. */
static void put_escaped(struct writer *writer, whippet_bytes text, size_t limit, enum log_format format,
                        bool quoted)
{
    size_t length = utf8_cut(text.data, text.len, limit);
    const uint8_t *at = text.data;
    const uint8_t *end = at + length;
    while (at < end) {
        size_t sequence = utf8_sequence(at, (size_t)(end - at));
        if (sequence == 0) {
            put_invalid(writer, *at++, format);
            continue;
        }
        if (is_control(at, sequence)) {
            put_control(writer, at, sequence);
        } else {
            if (quoted && (*at == '"' || *at == '\\'))
                put_char(writer, '\\');
            put_bytes(writer, at, sequence);
        }
        at += sequence;
    }
    if (length < text.len)
        put_text(writer, "…");
}

static void put_quoted(struct writer *writer, whippet_bytes text, size_t limit, enum log_format format)
{
    put_char(writer, '"');
    put_escaped(writer, text, limit, format, true);
    put_char(writer, '"');
}

/* Whether a value can stand after "name=" as it is, without being taken for the next field. */
static bool is_one_word(whippet_bytes value)
{
    const uint8_t *bytes = value.data;
    for (size_t i = 0; i < value.len; i++) {
        if (bytes[i] <= ' ' || bytes[i] == '"' || bytes[i] == '=')
            return false;
    }
    return value.len > 0;
}

/* " name=value"; nothing for an absent value. */
static void put_text_field(struct writer *writer, const char *name, whippet_bytes value)
{
    if (value.data == NULL)
        return;
    put_char(writer, ' ');
    put_text(writer, name);
    put_char(writer, '=');
    if (is_one_word(value))
        put_escaped(writer, value, LOG_FIELD_LIMIT, LOG_FORMAT_TEXT, false);
    else
        put_quoted(writer, value, LOG_FIELD_LIMIT, LOG_FORMAT_TEXT);
}

/* " orders[log]", or what there is of it. */
static void put_text_source(struct writer *writer, const struct log_fields *fields)
{
    if (fields->queue == NULL && fields->processor == NULL)
        return;
    put_char(writer, ' ');
    if (fields->queue != NULL)
        put_escaped(writer, bytes_of_text(fields->queue), LOG_FIELD_LIMIT, LOG_FORMAT_TEXT, false);
    if (fields->processor != NULL) {
        put_char(writer, '[');
        put_escaped(writer, bytes_of_text(fields->processor), LOG_FIELD_LIMIT, LOG_FORMAT_TEXT, false);
        put_char(writer, ']');
    }
}

static void put_text_line(struct writer *writer, enum whippet_log_level level, double wall,
                          const struct log_fields *fields, whippet_bytes message)
{
    static const char *const names[] = {"debug", "info ", "warn ", "error"};
    clock_format(wall, writer->at);
    writer->at += strlen(writer->at);
    put_char(writer, ' ');
    put_text(writer, names[level]);
    put_text_source(writer, fields);
    put_text_field(writer, "connection", bytes_of_text(fields->connection));
    put_text_field(writer, "message-id", fields->message_id);
    if (fields->attempt > 0) {
        put_text(writer, " attempt=");
        put_unsigned(writer, fields->attempt);
    }
    if (fields->has_duration) {
        put_text(writer, " duration=");
        put_seconds(writer, fields->duration);
        put_char(writer, 's');
    }
    put_text_field(writer, "outcome", bytes_of_text(fields->outcome));
    put_char(writer, ' ');
    put_escaped(writer, message, LOG_MESSAGE_LIMIT, LOG_FORMAT_TEXT, false);
    if (fields->error != NULL) {
        put_text(writer, ": ");
        put_escaped(writer, bytes_of_text(fields->error), LOG_ERROR_LIMIT, LOG_FORMAT_TEXT, false);
    }
}

/* ,"name":"value"; nothing for an absent value. */
static void put_json_field(struct writer *writer, const char *name, whippet_bytes value, size_t limit)
{
    if (value.data == NULL)
        return;
    put_text(writer, ",\"");
    put_text(writer, name);
    put_text(writer, "\":");
    put_quoted(writer, value, limit, LOG_FORMAT_JSON);
}

static void put_json_line(struct writer *writer, enum whippet_log_level level, double wall,
                          const struct log_fields *fields, whippet_bytes message)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    put_text(writer, "{\"time\":\"");
    clock_format(wall, writer->at);
    writer->at += strlen(writer->at);
    put_text(writer, "\",\"level\":\"");
    put_text(writer, names[level]);
    put_text(writer, "\",\"message\":");
    put_quoted(writer, message, LOG_MESSAGE_LIMIT, LOG_FORMAT_JSON);
    put_json_field(writer, "queue", bytes_of_text(fields->queue), LOG_FIELD_LIMIT);
    put_json_field(writer, "processor", bytes_of_text(fields->processor), LOG_FIELD_LIMIT);
    put_json_field(writer, "message_id", fields->message_id, LOG_FIELD_LIMIT);
    if (fields->attempt > 0) {
        put_text(writer, ",\"attempt\":");
        put_unsigned(writer, fields->attempt);
    }
    if (fields->has_duration) {
        put_text(writer, ",\"duration\":");
        put_seconds(writer, fields->duration);
    }
    put_json_field(writer, "outcome", bytes_of_text(fields->outcome), LOG_FIELD_LIMIT);
    put_json_field(writer, "connection", bytes_of_text(fields->connection), LOG_FIELD_LIMIT);
    put_json_field(writer, "error", bytes_of_text(fields->error), LOG_ERROR_LIMIT);
    put_char(writer, '}');
}

size_t log_line_format(char *line, enum log_format format, enum whippet_log_level level, double wall,
                       const struct log_fields *fields, whippet_bytes message)
{
    static const struct log_fields none;
    struct writer writer = {.at = line};
    if (format == LOG_FORMAT_JSON)
        put_json_line(&writer, level, wall, fields != NULL ? fields : &none, message);
    else
        put_text_line(&writer, level, wall, fields != NULL ? fields : &none, message);
    put_char(&writer, '\n');
    return (size_t)(writer.at - line);
}
