#include "pointer.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool pointer_check(const char *option, const char *key, whippet_failure *failure)
{
    if (strlen(key) <= POINTER_LENGTH_MOST)
        return true;
    whippet_fail(failure, "%s: the key \"%.20s…\" is longer than %d bytes", option, key, POINTER_LENGTH_MOST);
    return false;
}

/* Takes the next name from a pointer into `name`, with ~1 for a slash and ~0 for a tilde resolved. */
static const char *take_name(const char *pointer, char *name)
{
    for (pointer++; *pointer != '\0' && *pointer != '/'; pointer++) {
        bool escaped = pointer[0] == '~' && (pointer[1] == '0' || pointer[1] == '1');
        *name++ = *pointer;
        if (escaped)
            name[-1] = *++pointer == '1' ? '/' : '~';
    }
    *name = '\0';
    return pointer;
}

/* Digits without a leading zero. */
static bool parse_index(const char *name, size_t *index)
{
    if (*name == '\0' || strspn(name, "0123456789") != strlen(name) || (name[0] == '0' && name[1] != '\0'))
        return false;
    errno = 0;
    *index = strtoul(name, NULL, 10);
    return errno == 0;
}

static whippet_json_value step(whippet_json_value value, const char *name)
{
    size_t index;
    if (value.kind != WHIPPET_JSON_ARRAY)
        return whippet_json_get(value, name);
    return parse_index(name, &index) ? whippet_json_at(value, index) : (whippet_json_value){0};
}

whippet_json_value pointer_find(whippet_json_value root, const char *key)
{
    char name[POINTER_LENGTH_MOST + 1];
    if (key[0] != '/')
        return whippet_json_find(root, key);
    while (*key == '/' && root.kind != WHIPPET_JSON_ABSENT) {
        key = take_name(key, name);
        root = step(root, name);
    }
    return root;
}
