#include "document.h"
#include "errors.h"
#include "syntax.h"
#include <base/buffer.h>
#include <base/memory.h>
#include <base/secret.h>
#include <base/utf8.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXAMPLE "{ \"queues\": [ { \"name\": \"orders\", \"processor\": \"log\" } ] }"

enum {
    READ_STEP = 65536
};

static void add_open_error(struct config_errors *errors)
{
    int cause = errno;
    if (cause == ENOENT || cause == ENOTDIR)
        errors_add(errors, 0, "", "there is no such file; check the path that -c was given");
    else if (cause == EACCES)
        errors_add(errors, 0, "",
                   "user %u may not read it; give that user read access to the file and its folders",
                   (unsigned)geteuid());
    else
        errors_add(errors, 0, "", "cannot be opened: %s", strerror(cause));
}

/* Everything there is to read, up to one byte more than allowed. */
static bool read_all(int descriptor, struct buffer *buffer, struct config_errors *errors)
{
    while (buffer_length(buffer) <= DOCUMENT_MOST_BYTES) {
        uint8_t *room = buffer_reserve(buffer, READ_STEP);
        if (room == NULL) {
            errors_out_of_memory(errors);
            return false;
        }
        ssize_t count = read(descriptor, room, READ_STEP);
        if (count == 0)
            return true;
        if (count > 0) {
            buffer_commit(buffer, (size_t)count);
        } else if (errno != EINTR) {
            errors_add(errors, 0, "", "cannot be read: %s", strerror(errno));
            return false;
        }
    }
    errors_add(errors, 0, "",
               "is larger than %d MiB, which no configuration should be; is it the right file?",
               DOCUMENT_MOST_BYTES >> 20);
    return false;
}

static void keep_text(struct document *document, const char *text, size_t length,
                      struct config_errors *errors)
{
    document->length = length;
    document->text = secret_allocate(length + 1);
    if (document->text == NULL)
        errors_out_of_memory(errors);
    else if (length > 0)
        memcpy(document->text, text, length);
}

static bool read_descriptor(struct document *document, int descriptor, struct config_errors *errors)
{
    struct stat status = {0};
    struct buffer buffer;
    if (fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) {
        errors_add(errors, 0, "", "is a folder; name the configuration file in it");
        return false;
    }
    buffer_init(&buffer);
    /* At once, for what moves leaves a copy behind, and there may be passwords in it. */
    if (S_ISREG(status.st_mode) && status.st_size <= DOCUMENT_MOST_BYTES)
        buffer_reserve(&buffer, (size_t)status.st_size + 2 * READ_STEP);
    if (read_all(descriptor, &buffer, errors)) {
        keep_text(document, (const char *)buffer_begin(&buffer), buffer_length(&buffer), errors);
        if (buffer_length(&buffer) > 0)
            explicit_bzero(buffer_begin(&buffer), buffer_length(&buffer));
    }
    buffer_destroy(&buffer);
    return document->text != NULL;
}

bool document_read(struct document *document, const char *file, struct config_errors *errors)
{
    int descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0) {
        add_open_error(errors);
        return false;
    }
    bool read = read_descriptor(document, descriptor, errors);
    close(descriptor);
    return read;
}

bool document_copy(struct document *document, const char *text, struct config_errors *errors)
{
    keep_text(document, text, strlen(text), errors);
    return document->text != NULL;
}

static bool fail_at(const struct document *document, size_t offset, struct config_errors *errors,
                    const char *text)
{
    struct position position = syntax_position(document->text, offset);
    errors_add(errors, position.line, "", "column %d: %s", position.column, text);
    return false;
}

/* Where the first byte is that is not UTF-8; the length when there is none. */
static size_t find_invalid_utf8(const char *text, size_t length)
{
    size_t offset = 0;
    while (offset < length) {
        size_t sequence = utf8_sequence(text + offset, length - offset);
        if (sequence == 0)
            break;
        offset += sequence;
    }
    return offset;
}

static bool check_encoding(const struct document *document, struct config_errors *errors)
{
    const char *text = document->text;
    size_t length = document->length;
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        return fail_at(document, 0, errors,
                       "the file begins with a byte order mark, which JSON does not allow; save "
                       "it as UTF-8 without one");
    if (length >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return fail_at(document, 0, errors, "the file is UTF-16; save it as UTF-8");
    const char *nul = memchr(text, '\0', length);
    if (nul != NULL)
        return fail_at(document, (size_t)(nul - text), errors, "a NUL byte; save the file as UTF-8 text");
    size_t invalid = find_invalid_utf8(text, length);
    if (invalid < length)
        return fail_at(document, invalid, errors, "a byte that is not UTF-8; save the file as UTF-8");
    return true;
}

static bool check_text(const struct document *document, struct config_errors *errors)
{
    struct syntax_fault fault;
    if (!check_encoding(document, errors))
        return false;
    if (strspn(document->text, " \t\r\n") == document->length) {
        errors_add(errors, 0, "", "is empty; the least there can be is " EXAMPLE);
        return false;
    }
    if (!syntax_check(document->text, document->length, &fault))
        return fail_at(document, fault.offset, errors, fault.text);
    return true;
}

bool document_parse(struct document *document, struct config_errors *errors)
{
    if (!check_text(document, errors))
        return false;
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = memory_allocate, .free_fn = memory_free});
    document->root = cJSON_ParseWithLength(document->text, document->length);
    if (document->root == NULL) {
        /* The text was found to be right, so that there is no other reason. */
        errors_out_of_memory(errors);
        return false;
    }
    if (!cJSON_IsObject(document->root)) {
        errors_add(errors, 1, "", "expected an object, such as " EXAMPLE);
        return false;
    }
    return true;
}

void document_close(struct document *document)
{
    cJSON_Delete(document->root);
    secret_free(document->text);
    *document = (struct document){0};
}
