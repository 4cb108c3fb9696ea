#include "metrics_writer.h"
#include <base/utf8.h>
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

static void put_name(struct metrics *metrics, const char *suffix, const char *labels, const char *extra)
{
    bool labelled = labels[0] != '\0' || extra != NULL;
    text_put(metrics->text, metrics->family);
    text_put(metrics->text, suffix);
    if (labelled)
        text_put(metrics->text, "{");
    text_put(metrics->text, labels);
    if (labels[0] != '\0' && extra != NULL)
        text_put(metrics->text, ",");
    if (extra != NULL)
        text_put(metrics->text, extra);
    text_put(metrics->text, labelled ? "} " : " ");
}

void metrics_unsigned(struct metrics *metrics, const char *suffix, const char *labels, const char *extra,
                      uint64_t value)
{
    put_name(metrics, suffix, labels, extra);
    text_put_unsigned(metrics->text, value);
    text_put(metrics->text, "\n");
}

void metrics_double(struct metrics *metrics, const char *suffix, const char *labels, const char *extra,
                    double value)
{
    put_name(metrics, suffix, labels, extra);
    text_put_double(metrics->text, value);
    text_put(metrics->text, "\n");
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
