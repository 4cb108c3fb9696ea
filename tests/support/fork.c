/* A fork() for the tests' programs under AddressSanitizer, which in GCC 12 and 14 does not ready its
 * allocator for one: where another thread was allocating at that moment, as those of Criterion's runner are
 * now and then, the child waits for ever for that thread's lock, before it comes to run anything. So a child
 * shows first that it can allocate; one that can't is replaced. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define HAS_ADDRESS_SANITIZER
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(HAS_ADDRESS_SANITIZER)

enum {
    LARGEST = 1024,         /* bytes of what is allocated between fork and exec */
    MORE_THAN_CACHED = 257, /* of a size: beyond what a thread has at hand without a lock */
    PATIENCE = 2000,        /* milliseconds; one that is only slow is replaced for nothing */
};

static void allocate_of_each_size(void)
{
    void *memory[MORE_THAN_CACHED];
    for (size_t size = 16; size <= LARGEST; size += size < 256 ? 16 : size / 4) {
        for (int i = 0; i < MORE_THAN_CACHED; i++)
            memory[i] = malloc(size);
        for (int i = 0; i < MORE_THAN_CACHED; i++)
            free(memory[i]);
    }
}

/* Or has ended, which is its parent's to find out. */
static bool can_allocate(int reader)
{
    struct pollfd descriptor = {.fd = reader, .events = POLLIN};
    int count;
    do
        count = poll(&descriptor, 1, PATIENCE);
    while (count < 0 && errno == EINTR);
    return count != 0;
}

static void show_life(int writer)
{
    allocate_of_each_size();
    if (write(writer, "", 1) != 1)
        _exit(EXIT_FAILURE);
    close(writer);
}

/* The real one's result; `useless` is set where the child is to be given up, and another to be forked. */
static pid_t fork_once(pid_t (*real_fork)(void), bool *useless)
{
    int ends[2];
    *useless = false;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return real_fork();
    pid_t child = real_fork();
    if (child == 0) {
        close(ends[0]);
        show_life(ends[1]);
        return 0;
    }
    close(ends[1]);
    *useless = child > 0 && !can_allocate(ends[0]);
    close(ends[0]);
    return child;
}

__attribute__((visibility("default"))) pid_t fork(void)
{
    pid_t (*real_fork)(void) = (pid_t(*)(void))(uintptr_t)dlsym(RTLD_NEXT, "fork");
    bool useless;
    for (;;) {
        pid_t child = fork_once(real_fork, &useless);
        if (!useless)
            return child;
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
}

#endif
