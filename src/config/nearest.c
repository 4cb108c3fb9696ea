#include <config/value.h>
#include <stddef.h>
#include <string.h>

enum {
    LONGEST_NAME = 40
};

/* Case and the choice between - and _ do not count. */
static char fold(char character)
{
    if (character >= 'A' && character <= 'Z')
        return (char)(character - 'A' + 'a');
    if (character == '-')
        return '_';
    return character;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many characters must be added, removed, replaced, or swapped with their neighbour, to make one of the
 * other (optimal string alignment). Neither may be longer than LONGEST_NAME. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][LONGEST_NAME + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    size_t b_length = strlen(b);
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t replaced = above[j - 1] + (fold(a[i - 1]) != fold(b[j - 1]) ? 1 : 0);
            row[j] = least(replaced, least(above[j], row[j - 1]) + 1);
            bool swapped =
                i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]);
            if (swapped)
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return row[b_length];
}

const char *value_nearest_name(const char *name, const void *entries, size_t count, size_t size)
{
    const char *nearest = NULL;
    size_t length = strlen(name);
    if (length > LONGEST_NAME)
        return NULL;
    /* One slip, and one more for each four characters; never so many that nothing of the name is left. */
    size_t distance = length < 3 ? 1 : 2 + length / 4;
    for (size_t i = 0; i < count; i++) {
        const char *known = *(const char *const *)(const void *)((const char *)entries + i * size);
        if (known == NULL || strlen(known) > LONGEST_NAME)
            continue;
        size_t found = edit_distance(name, known);
        if (found < distance) {
            distance = found;
            nearest = known;
        }
    }
    return nearest;
}
