/* Reading objects into structs by a table of their keys. */
#ifndef CONFIG_READER_H
#define CONFIG_READER_H

#include "arena.h"
#include "flags.h"
#include "place.h"
#include <config/config.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader {
    struct config_arena *arena; /* takes what is read; its document is what is read from */
    struct config_errors *errors;
};

struct key;

/* Reads `value`, which is found at `place`, into `target`; leaves the target alone where the value is wrong,
 * and says so with reader_fault. */
typedef void key_read(struct reader *reader, const struct place *place, cJSON *value, const struct key *key,
                      void *target);

/* One of the words that a key may take. */
struct choice {
    const char *name;
    int value;
};

struct key {
    const char *name;
    key_read *read; /* NULL: this version does not have the key yet */
    size_t offset;  /* of what is read, in the struct that its object is read into */
    bool is_required;
    double lowest; /* a number, seconds, or bytes; of a string, its length in bytes */
    double highest;
    const struct choice *choices; /* for key_read_choice */
    size_t choice_count;
    const struct key *keys; /* for key_read_section */
    size_t key_count;
};

/* What a configuration is at least, in error messages. */
#define QUEUES_EXAMPLE "[ { \"name\": \"orders\", \"processor\": \"log\" } ]"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define KEY(its_name, its_read, its_offset, ...)                                                             \
    {                                                                                                        \
        .name = (its_name), .read = (its_read), .offset = (its_offset), __VA_ARGS__                          \
    }
#define KEY_LATER(its_name)                                                                                  \
    {                                                                                                        \
        .name = (its_name)                                                                                   \
    }
#define KEY_CHOICES(array) .choices = (array), .choice_count = COUNT(array)
#define KEY_SECTION(array) .keys = (array), .key_count = COUNT(array)

/* What reads which type of target. */
key_read key_read_string;   /* const char *, of lowest to highest bytes */
key_read key_read_duration; /* double, seconds */
key_read key_read_number;   /* double */
key_read key_read_unsigned; /* unsigned */
key_read key_read_signed;   /* int */
key_read key_read_boolean;  /* bool */
key_read key_read_size;     /* uint64_t, bytes */
key_read key_read_choice;   /* an enum */
key_read key_read_object;   /* const struct cJSON *: any object, as it is */
key_read key_read_section;  /* an object with keys of its own, into the same struct */
key_read key_read_ignored;  /* nothing: a string that is for others */

/* Reads each known key of `object` into `target`, and finds fault with the unknown and the missing. */
void reader_read_object(struct reader *reader, const struct place *place, const cJSON *object,
                        const struct key *keys, size_t key_count, void *target);

/* Says what is wrong at `place`, and marks `value` (NULL: nothing to mark) as faulty. */
void reader_fault(struct reader *reader, const struct place *place, cJSON *value, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* "expected <what>, found <value>", the same. */
void reader_expected(struct reader *reader, const struct place *place, cJSON *value, const char *what);

/* What is said of one key of an object, whether the key is there or not. */
void reader_fault_key(struct reader *reader, const struct place *place, const cJSON *object, const char *key,
                      const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The lines of the `count` entries of the list at `place`, freed with memory_free; NULL when memory is short,
 * which is noted. */
int *reader_find_lines(struct reader *reader, const struct place *place, size_t count);

/* Zeroed; NULL when memory is short, which is noted. */
void *reader_allocate(struct reader *reader, size_t count, size_t size);

/* Whether the object has the key at all, and whether nothing was said against its value (or it is not there).
 */
bool reader_has(const cJSON *object, const char *key);
bool reader_is_sound(const cJSON *object, const char *key);

/* A copy that the configuration owns; NULL when memory is short, which is noted. */
char *reader_copy(struct reader *reader, const char *text);

#endif
