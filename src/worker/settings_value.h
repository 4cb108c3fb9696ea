/* One option's value, read from JSON as the option's type says. */
#ifndef WORKER_SETTINGS_VALUE_H
#define WORKER_SETTINGS_VALUE_H

#include <base/failure.h>
#include <whippet/processor.h>

struct buffer;
struct cJSON;

/* Zeroed: the empty value of every type. */
struct setting_value {
    char *text;           /* STRING; owned */
    int64_t integer;      /* INTEGER */
    double number;        /* NUMBER, and DURATION in seconds */
    bool boolean;         /* BOOLEAN */
    uint64_t size;        /* SIZE, in bytes */
    const char **strings; /* STRINGS, and MAP as alternating names and values; NULL-terminated; owned */
    size_t count;         /* of strings */
};

/* 0; INVALID with the failure saying what was expected and what was found, for a person; MEMORY. `*value` is
 * zeroed, or whole, and is to be destroyed in any case. */
int setting_value_read(struct setting_value *value, enum whippet_option_type type, const struct cJSON *json,
                       struct whippet_failure *failure);

/* The same from an option's default_value, which must not be NULL. */
int setting_value_read_default(struct setting_value *value, const whippet_option *option,
                               struct whippet_failure *failure);

/* Appends it as bytes, and takes it from the front of such bytes again. False when memory is short, or they
 * make no sense; a value is to be destroyed in either case. */
bool setting_value_write(const struct setting_value *value, struct buffer *out);
bool setting_value_take(struct setting_value *value, whippet_bytes *in);

void setting_value_destroy(struct setting_value *value);

/* Whether a processor's declarations are sound (`options` as in its descriptor, may be NULL): known types, no
 * name twice, defaults of the right type. 0, or an error with the failure filled. */
int options_check(const whippet_option *options, struct whippet_failure *failure);

#endif
