#include "program.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* 0, or why it cannot be run, as an errno. */
static int run_error(const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return errno;
    if (!S_ISREG(status.st_mode))
        return S_ISDIR(status.st_mode) ? EISDIR : EACCES;
    return access(path, X_OK) < 0 ? errno : 0;
}

static bool directory_check(const char *directory, whippet_failure *failure)
{
    struct stat status;
    if (stat(directory, &status) == 0 && !S_ISDIR(status.st_mode)) {
        whippet_fail(failure, "directory: %s is not a folder", directory);
        return false;
    }
    bool enterable = access(directory, X_OK) == 0;
    if (!enterable)
        whippet_fail(failure, "directory: cannot use %s: %s", directory, strerrordesc_np(errno));
    return enterable;
}

static bool path_check(const char *program, const char *directory, whippet_failure *failure)
{
    char path[PATH_MAX];
    bool relative = program[0] != '/' && directory[0] != '\0';
    int length =
        snprintf(path, sizeof path, "%s%s%s", relative ? directory : "", relative ? "/" : "", program);
    int error = length < (int)sizeof path ? run_error(path) : ENAMETOOLONG;
    if (error == EACCES)
        whippet_fail(failure, "command: %s is not executable: chmod +x it, or name its interpreter first",
                     path);
    else if (error != 0)
        whippet_fail(failure, "command: cannot run %s: %s", path, strerrordesc_np(error));
    return error == 0;
}

/* Whether one of the folders in `folders`, separated by colons, has it. */
static bool is_in_folders(const char *program, const char *folders)
{
    char path[PATH_MAX];
    for (const char *at = folders; at != NULL; at = strchr(at, ':')) {
        at += *at == ':' ? 1 : 0;
        int folder_length = (int)strcspn(at, ":");
        int length = snprintf(path, sizeof path, "%.*s%s%s", folder_length, at,
                              folder_length > 0 ? "/" : "./", program);
        if (length < (int)sizeof path && run_error(path) == 0)
            return true;
    }
    return false;
}

bool program_check(const char *program, const char *directory, whippet_failure *failure)
{
    if (*program == '\0') {
        whippet_fail(failure, "command: its first string, the program, is empty");
        return false;
    }
    if (*directory != '\0' && !directory_check(directory, failure))
        return false;
    if (strchr(program, '/') != NULL)
        return path_check(program, directory, failure);
    const char *folders = getenv("PATH");
    if (folders == NULL)
        folders = "/bin:/usr/bin";
    if (is_in_folders(program, folders))
        return true;
    whippet_fail(failure, "command: there is no program %s in the folders of PATH (%s)", program, folders);
    return false;
}
