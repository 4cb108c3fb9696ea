#include <base/memory.h>
#include <base/secret.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse_errno(const char *file, struct whippet_failure *failure)
{
    const char *advice = errno == ENOENT   ? "; create it, or correct the path"
                         : errno == EACCES ? "; give the worker's user permission to read it"
                                           : "";
    return failure_set(failure, WHIPPET_E_INVALID, "\"%s\" can't be read: %s%s", file, strerror(errno),
                       advice);
}

/* Its descriptor, or an error. O_NONBLOCK: a FIFO that nobody writes to must not hold us up. */
static int open_regular(const char *file, struct whippet_failure *failure)
{
    struct stat status;
    int descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return refuse_errno(file, failure);
    int error = 0;
    if (fstat(descriptor, &status) != 0)
        error = refuse_errno(file, failure);
    else if (S_ISDIR(status.st_mode))
        error = failure_set(failure, WHIPPET_E_INVALID, "\"%s\" is a folder; name a file in it", file);
    else if (S_ISREG(status.st_mode) && status.st_size == 0)
        error =
            failure_set(failure, WHIPPET_E_INVALID, "\"%s\" is empty; has its secret been written?", file);
    if (error == 0)
        return descriptor;
    close(descriptor);
    return error;
}

int file_check_readable(const char *file, struct whippet_failure *failure)
{
    int descriptor = open_regular(file, failure);
    if (descriptor < 0)
        return descriptor;
    close(descriptor);
    return 0;
}

/* Its length, or an error. */
static ssize_t read_all(int descriptor, const char *file, char *text, size_t size,
                        struct whippet_failure *failure)
{
    size_t length = 0;
    ssize_t count;
    while ((count = read(descriptor, text + length, size - length)) != 0) {
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return refuse_errno(file, failure);
        length += (size_t)count;
        if (length == size)
            return failure_set(failure, WHIPPET_E_INVALID,
                               "\"%s\" has more than %d bytes, which no password has; is it the right file?",
                               file, SECRET_MOST_BYTES);
    }
    return (ssize_t)length;
}

static char *refuse(struct whippet_failure *failure, const char *file, const char *what)
{
    failure_set(failure, WHIPPET_E_INVALID, "\"%s\" %s", file, what);
    return NULL;
}

/* `text` has room for one more byte. */
static char *take_text(char *text, size_t length, const char *file, struct whippet_failure *failure)
{
    if (length > 0 && text[length - 1] == '\n')
        length--;
    if (length == 0)
        return refuse(failure, file, "is empty; has its secret been written?");
    if (memchr(text, '\0', length) != NULL)
        return refuse(failure, file, "holds a NUL byte, which no password can; is it a text file?");
    text[length] = '\0';
    char *secret = secret_copy(text);
    if (secret == NULL)
        failure_set(failure, WHIPPET_E_MEMORY, "\"%s\": out of memory", file);
    return secret;
}

char *secret_read(const char *file, struct whippet_failure *failure)
{
    char text[SECRET_MOST_BYTES + 2];
    int descriptor = open_regular(file, failure);
    if (descriptor < 0)
        return NULL;
    ssize_t length = read_all(descriptor, file, text, sizeof text, failure);
    close(descriptor);
    char *secret = length >= 0 ? take_text(text, (size_t)length, file, failure) : NULL;
    explicit_bzero(text, sizeof text);
    return secret;
}

/* --- Memory for them ------------------------------------------------------------------------------------*/

/* What stands in front of the memory that was asked for. */
struct secret_pages {
    size_t size; /* of all of it */
    _Alignas(max_align_t) char memory[];
};

void *secret_allocate(size_t size)
{
    if (size > SIZE_MAX - sizeof(struct secret_pages) || (memory_permit != NULL && !memory_permit(size)))
        return NULL;
    size += sizeof(struct secret_pages);
    struct secret_pages *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    /* Where the kernel knows no such thing, there is no help. */
    madvise(pages, size, MADV_DONTDUMP);
    pages->size = size;
    return pages->memory;
}

void secret_free(void *memory)
{
    if (memory == NULL)
        return;
    struct secret_pages *pages =
        (struct secret_pages *)((char *)memory - offsetof(struct secret_pages, memory));
    size_t size = pages->size;
    explicit_bzero(pages, size);
    munmap(pages, size);
}

char *secret_copy(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = secret_allocate(size);
    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

void secret_destroy(char *secret)
{
    secret_free(secret);
}
