#include "body.h"
#include <base/buffer.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    READ_SIZE = 64 * 1024
};

static bool read_all(FILE *stream, const char *name, struct buffer *body)
{
    for (;;) {
        uint8_t *at = buffer_reserve(body, READ_SIZE);
        if (at == NULL) {
            fprintf(stderr, "whippet: %s: out of memory\n", name);
            return false;
        }
        size_t count = fread(at, 1, READ_SIZE, stream);
        buffer_commit(body, count);
        if (count == READ_SIZE)
            continue;
        if (ferror(stream) != 0)
            fprintf(stderr, "whippet: %s: %s\n", name, strerror(errno));
        return ferror(stream) == 0;
    }
}

bool body_read(const char *file, whippet_bytes *body)
{
    bool standard_input = strcmp(file, "-") == 0;
    const char *name = standard_input ? "standard input" : file;
    FILE *stream = standard_input ? stdin : fopen(file, "rb");
    struct buffer read;
    if (stream == NULL) {
        fprintf(stderr, "whippet: %s: %s\n", name, strerror(errno));
        return false;
    }
    buffer_init(&read);
    bool done = read_all(stream, name, &read);
    if (!standard_input)
        fclose(stream);
    if (!done) {
        buffer_destroy(&read);
        return false;
    }
    /* Nothing was consumed from it, so its memory begins where the data does, and is the caller's from now
     * on. */
    *body = (whippet_bytes){.data = read.data, .len = buffer_length(&read)};
    return true;
}

bool header_split(char *text, const char **name, const char **value)
{
    char *equals = strchr(text, '=');
    if (equals == NULL || equals == text || equals - text > 255) {
        fprintf(stderr, "whippet: --header %s: expected NAME=VALUE, with a name of at most 255 bytes\n",
                text);
        return false;
    }
    *equals = '\0';
    *name = text;
    *value = equals + 1;
    return true;
}
