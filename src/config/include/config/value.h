/* Single values of the configuration, as people may write them; also for processors' settings. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;

/* Whether the string came out of ${…}. Such a string may stand for a number, a boolean, a duration or a size,
 * as the environment holds nothing but text; the functions below see to that. */
bool value_is_expanded(const struct cJSON *value);

/* Each is false, and leaves the target alone, when the value is of another kind. */
bool value_read_number(const struct cJSON *value, double *number);
bool value_read_whole(const struct cJSON *value,
                      int64_t *number); /* at most 2^53 either way, as JSON carries no more */
bool value_read_boolean(const struct cJSON *value, bool *boolean);
bool value_read_duration(const struct cJSON *value, double *seconds); /* "3s", or a number of seconds */
bool value_read_size(const struct cJSON *value, uint64_t *bytes);     /* "16MiB", or a number of bytes */

enum {
    VALUE_TEXT_SIZE = 192
};

/* What the value is, to stand behind "found": `true`, `a list`, `"3 parsecs"`. Long strings are cut; URLs are
 * not shown, as they may hold a password. `text` has VALUE_TEXT_SIZE bytes. */
void value_describe(const struct cJSON *value, char *text);

/* What the value is without what it says: `a number`, `a list`. This is what is shown where a text belongs,
 * which may be a password that somebody wrote without its quotes. Static. */
const char *value_kind(const struct cJSON *value);

/* Of `count` names the one that `name` was most likely meant to be; NULL when none is near. The names are the
 * first member, a const char *, of entries of `size` bytes each. */
const char *value_nearest_name(const char *name, const void *entries, size_t count, size_t size);

#endif
