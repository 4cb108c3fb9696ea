#include "secret_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <whippet/processor.h>

enum {
    MOST_BYTES = 4096
};

/* The bytes that there are, at most MOST_BYTES and one more; -1 with errno set. */
static ssize_t read_all(const char *file, char text[MOST_BYTES + 2])
{
    size_t length = 0;
    ssize_t count = 1;
    int descriptor = open(file, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return -1;
    while (count > 0 && length <= MOST_BYTES) {
        count = read(descriptor, text + length, MOST_BYTES + 1 - length);
        length += count > 0 ? (size_t)count : 0;
    }
    int error = errno;
    close(descriptor);
    errno = error;
    return count < 0 ? -1 : (ssize_t)length;
}

static size_t without_newline(const char *text, size_t length)
{
    length -= length > 0 && text[length - 1] == '\n' ? 1 : 0;
    return length - (length > 0 && text[length - 1] == '\r' ? 1 : 0);
}

char *secret_file_read(const char *option, const char *file, whippet_failure *failure)
{
    char text[MOST_BYTES + 2];
    char *secret = NULL;
    ssize_t count = read_all(file, text);
    size_t length = count > 0 ? without_newline(text, (size_t)count) : 0;
    if (count < 0)
        whippet_fail(failure, "%s: cannot read %s: %s", option, file, strerror(errno));
    else if (length == 0)
        whippet_fail(failure, "%s: %s is empty; expected the secret", option, file);
    else if (length > MOST_BYTES)
        whippet_fail(failure, "%s: %s holds more than %d bytes: is that the secret?", option, file,
                     MOST_BYTES);
    else if (memchr(text, '\0', length) != NULL)
        whippet_fail(failure, "%s: %s holds a NUL, which no secret may", option, file);
    else if ((secret = strndup(text, length)) == NULL)
        whippet_fail(failure, "out of memory");
    explicit_bzero(text, sizeof text);
    return secret;
}

char *secret_file_read_again(const char *file)
{
    char text[MOST_BYTES + 2];
    ssize_t count = read_all(file, text);
    size_t length = count > 0 ? without_newline(text, (size_t)count) : 0;
    bool is_secret = length > 0 && length <= MOST_BYTES && memchr(text, '\0', length) == NULL;
    char *secret = is_secret ? strndup(text, length) : NULL;
    explicit_bzero(text, sizeof text);
    return secret;
}

void secret_file_destroy(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}
