#include "metrics_writer.h"
#include <base/utf8.h>
#include <stdio.h>
#include <string.h>

static bool is_counter(const char *type)
{
    return strcmp(type, "counter") == 0;
}

static void put_metadata(struct metrics *metrics, const char *what, const char *name, const char *type,
                         const char *value)
{
    text_put(metrics->text, what);
    text_put(metrics->text, name);
    /* OpenMetrics counts the suffix as the sample's; the older format, as part of the name. */
    if (metrics->format == METRICS_PROMETHEUS && is_counter(type))
        text_put(metrics->text, "_total");
    text_put(metrics->text, " ");
    text_put(metrics->text, value);
    text_put(metrics->text, "\n");
}

void metrics_begin(struct metrics *metrics, const char *name, const char *type, const char *help)
{
    metrics->family = name;
    put_metadata(metrics, "# HELP ", name, type, help);
    put_metadata(metrics, "# TYPE ", name, type, type);
}

/* --- Samples --------------------------------------------------------------------------------------------
 *
 * A page of many queues is thousands of them: each is written with one reservation, without printf. */

/* Begins a line with room for a value of VALUE_MAX characters: where that goes, or NULL when memory is short.
 */
static char *begin_sample(struct metrics *metrics, const char *suffix, const char *labels, const char *extra)
{
    enum {
        VALUE_MAX = 48,
        PUNCTUATION = 8
    };
    size_t name = strlen(metrics->family) + strlen(suffix);
    size_t pairs = strlen(labels) + (extra != NULL ? strlen(extra) : 0);
    char *at = text_reserve(metrics->text, name + pairs + VALUE_MAX + PUNCTUATION);
    if (at == NULL)
        return NULL;
    at = stpcpy(stpcpy(at, metrics->family), suffix);
    if (pairs > 0) {
        *at++ = '{';
        at = stpcpy(at, labels);
        if (labels[0] != '\0' && extra != NULL)
            *at++ = ',';
        at = extra != NULL ? stpcpy(at, extra) : at;
        *at++ = '}';
    }
    *at++ = ' ';
    return at;
}

static void end_sample(struct metrics *metrics, char *at)
{
    *at++ = '\n';
    text_commit(metrics->text, at);
}

void metrics_unsigned(struct metrics *metrics, const char *suffix, const char *labels, const char *extra,
                      uint64_t value)
{
    char *at = begin_sample(metrics, suffix, labels, extra);
    if (at != NULL)
        end_sample(metrics, digits_put(at, value));
}

/* Nine digits behind the point, without the zeros at their end. */
static char *put_fraction(char *at, unsigned nanoseconds)
{
    enum {
        DIGITS = 9
    };
    if (nanoseconds == 0)
        return at;
    *at++ = '.';
    for (int i = DIGITS - 1; i >= 0; i--, nanoseconds /= 10)
        at[i] = (char)('0' + nanoseconds % 10);
    at += DIGITS;
    while (at[-1] == '0')
        at--;
    return at;
}

void metrics_seconds(struct metrics *metrics, const char *suffix, const char *labels, const char *extra,
                     uint64_t nanoseconds)
{
    enum {
        SECOND = 1000000000
    };
    char *at = begin_sample(metrics, suffix, labels, extra);
    if (at == NULL)
        return;
    at = digits_put(at, nanoseconds / SECOND);
    end_sample(metrics, put_fraction(at, (unsigned)(nanoseconds % SECOND)));
}

void metrics_double(struct metrics *metrics, const char *suffix, const char *labels, const char *extra,
                    double value)
{
    char *at = begin_sample(metrics, suffix, labels, extra);
    if (at == NULL)
        return;
    text_commit(metrics->text, at);
    text_put_double(metrics->text, value);
    text_put(metrics->text, "\n");
}

struct pair pair_of(const char *name, const char *value)
{
    struct pair pair;
    snprintf(pair.text, sizeof pair.text, "%s=\"%s\"", name, value);
    return pair;
}

void metrics_end(struct metrics *metrics)
{
    if (metrics->format == METRICS_OPENMETRICS)
        text_put(metrics->text, "# EOF\n");
}

static void put_escaped(struct text *labels, const char *value)
{
    size_t left = strlen(value);
    while (left > 0) {
        char piece[5] = {0};
        size_t length = utf8_sequence(value, left);
        memcpy(piece, value, length);
        if (length == 0)
            text_put(labels, "\xef\xbf\xbd");
        else if (*value == '\n')
            text_put(labels, "\\n");
        else if (*value == '"' || *value == '\\')
            text_put(labels, *value == '"' ? "\\\"" : "\\\\");
        else
            text_put(labels, piece);
        length = length == 0 ? 1 : length;
        value += length;
        left -= length;
    }
}

void label_append(struct text *labels, const char *name, const char *value)
{
    size_t length = buffer_length(&labels->buffer);
    if (length > 0 && buffer_begin(&labels->buffer)[length - 1] != '\0')
        text_put(labels, ",");
    text_put(labels, name);
    text_put(labels, "=\"");
    put_escaped(labels, value);
    text_put(labels, "\"");
}
