#include "child_process.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

const char *child_process_program;

/* What a child finds at CHILD_SOCKET, CHILD_PAGE and CHILD_PLUGIN; -1: nothing. */
struct inheritance {
    int descriptors[CHILD_DESCRIPTOR_END - CHILD_SOCKET];
};

static void close_descriptor(int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
    *descriptor = -1;
}

/* --- What it inherits -----------------------------------------------------------------------------------*/

static void close_inheritance(struct inheritance *inheritance)
{
    for (int i = 0; i < CHILD_DESCRIPTOR_END - CHILD_SOCKET; i++)
        if (inheritance->descriptors[i] >= 0)
            close(inheritance->descriptors[i]);
}

/* A duplicate above the numbers that the child has them at, so that moving one never overwrites another. */
static bool inherit(struct inheritance *inheritance, enum child_descriptor which, int descriptor)
{
    int duplicate = fcntl(descriptor, F_DUPFD_CLOEXEC, CHILD_DESCRIPTOR_END);
    inheritance->descriptors[which - CHILD_SOCKET] = duplicate;
    return duplicate >= 0;
}

static bool open_sockets(struct child_process *child, struct inheritance *inheritance)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    child->socket = ends[0];
    bool inherited = inherit(inheritance, CHILD_SOCKET, ends[1]);
    int error = errno;
    close(ends[1]);
    errno = error;
    return inherited;
}

static bool open_page(struct child_process *child, struct inheritance *inheritance, uint32_t slots)
{
    size_t size = sizeof *child->page + slots * sizeof child->page->begun[0];
    int descriptor = memfd_create("whippet-child", MFD_CLOEXEC);
    if (descriptor < 0)
        return false;
    void *page = MAP_FAILED;
    if (ftruncate(descriptor, (off_t)size) == 0)
        page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    bool inherited = page != MAP_FAILED && inherit(inheritance, CHILD_PAGE, descriptor);
    int error = errno;
    close(descriptor);
    errno = error;
    child->page = page != MAP_FAILED ? page : NULL;
    child->page_size = size;
    return inherited;
}

/* --- Starting -------------------------------------------------------------------------------------------*/

/* The program's path, or, when it was replaced meanwhile, the link that still leads to what runs. */
static const char *program_path(char path[PATH_MAX])
{
    if (child_process_program != NULL)
        return child_process_program;
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
    return access(path, X_OK) == 0 ? path : "/proc/self/exe";
}

static int prepare_actions(posix_spawn_file_actions_t *actions, const struct inheritance *inheritance)
{
    int error = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    int first_unused = CHILD_SOCKET;
    for (int i = 0; error == 0 && i < CHILD_DESCRIPTOR_END - CHILD_SOCKET; i++) {
        if (inheritance->descriptors[i] < 0)
            continue;
        first_unused = CHILD_SOCKET + i + 1;
        error = posix_spawn_file_actions_adddup2(actions, inheritance->descriptors[i], CHILD_SOCKET + i);
    }
    return error == 0 ? posix_spawn_file_actions_addclosefrom_np(actions, first_unused) : error;
}

static void prepare_attributes(posix_spawnattr_t *attributes)
{
    sigset_t every, none;
    sigfillset(&every);
    sigemptyset(&none);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigdefault(attributes, &every);
    posix_spawnattr_setsigmask(attributes, &none);
}

/* 0 with the process set, or an errno. */
static int spawn(struct child_process *child, const char *name, const struct inheritance *inheritance)
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char path[PATH_MAX], parent[24];
    snprintf(parent, sizeof parent, "%ld", (long)getpid());
    char *arguments[] = {(char *)(uintptr_t) "whippet", (char *)(uintptr_t) "child", parent,
                         (char *)(uintptr_t)name, NULL};
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        prepare_attributes(&attributes);
        error = prepare_actions(&actions, inheritance);
        if (error == 0)
            error =
                posix_spawn(&child->process, program_path(path), &actions, &attributes, arguments, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static int spawn_with_handle(struct child_process *child, const char *name,
                             const struct inheritance *inheritance)
{
    int error = spawn(child, name, inheritance);
    if (error != 0) {
        child->process = 0;
        return error;
    }
    child->handle = pidfd_open(child->process, 0);
    if (child->handle >= 0)
        return 0;
    error = errno;
    kill(child->process, SIGKILL);
    child_process_reap(child);
    return error;
}

static const char *advice(int error)
{
    switch (error) {
    case EMFILE: return ": raise the limit of open files (ulimit -n)";
    case EAGAIN: return ": raise the limit of processes (ulimit -u, or the container's)";
    default: return "";
    }
}

int child_process_start(struct child_process *child, const char *name, uint32_t slots, int plugin_descriptor,
                        struct whippet_failure *failure)
{
    struct inheritance inheritance = {.descriptors = {-1, -1, -1}};
    child_process_forget(child);
    *child = (struct child_process){.handle = -1, .socket = -1};
    int error = 0;
    if (!open_sockets(child, &inheritance) || !open_page(child, &inheritance, slots) ||
        (plugin_descriptor >= 0 && !inherit(&inheritance, CHILD_PLUGIN, plugin_descriptor)))
        error = errno;
    else
        error = spawn_with_handle(child, name, &inheritance);
    close_inheritance(&inheritance);
    if (error == 0)
        return 0;
    close_descriptor(&child->socket);
    child_process_forget(child);
    return failure_set(failure, error == ENOMEM ? WHIPPET_E_MEMORY : WHIPPET_E_SYSTEM,
                       "cannot start a child process: %s%s", strerrordesc_np(error), advice(error));
}

/* --- Its end --------------------------------------------------------------------------------------------*/

int child_process_reap(struct child_process *child)
{
    int status = 0;
    while (waitpid(child->process, &status, 0) < 0 && errno == EINTR)
        continue;
    close_descriptor(&child->handle);
    close_descriptor(&child->socket);
    child->process = 0;
    return status;
}

void child_process_forget(struct child_process *child)
{
    if (child->page != NULL)
        munmap(child->page, child->page_size);
    child->page = NULL;
}

void child_process_describe(int status, char *text, size_t size)
{
    int number = WTERMSIG(status);
    if (!WIFSIGNALED(status)) {
        snprintf(text, size, "ended itself with exit status %d", WEXITSTATUS(status));
        return;
    }
    const char *name = sigabbrev_np(number), *words = sigdescr_np(number);
    if (name == NULL)
        snprintf(text, size, "ended by signal %d", number);
    else if (number == SIGKILL)
        snprintf(text, size, "ended by SIGKILL, which somebody sent, or the kernel for want of memory");
    else
        snprintf(text, size, "ended by SIG%s (%s)", name, words);
}
