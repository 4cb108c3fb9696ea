/* Files that change while what they held runs, and copies that can't be made. Two plugins that tests/plugins
 * has (deeds, options) take turns under one path. */
#include "../../src/worker/plugin_copy.h"
#include "open_descriptors.h"
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <worker/plugin.h>

static struct whippet_failure failure;
static char folder[] = "/tmp/whippet-copies-XXXXXX";
static char path[100];

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/plugin.so", folder);
}

static void remove_folder(void)
{
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(plugin_copy, .init = make_folder, .fini = remove_folder, .timeout = 60);

/* --- Files ----------------------------------------------------------------------------------------------*/

/* Writes tests/plugins' <name>.so, and `end` behind it, into the file at `to`, as cp does: in place. */
static void overwrite(const char *to, const char *name, const char *end)
{
    char from[4096], chunk[4096];
    size_t count;
    const char *plugins = getenv("WHIPPET_TEST_PLUGINS");
    cr_assert_not_null(plugins, "WHIPPET_TEST_PLUGINS is not set: run the tests with ctest");
    snprintf(from, sizeof from, "%s/%s.so", plugins, name);
    FILE *source = fopen(from, "rb"), *target = fopen(to, "wb");
    cr_assert_not_null(source);
    cr_assert_not_null(target);
    while ((count = fread(chunk, 1, sizeof chunk, source)) > 0)
        fwrite(chunk, 1, count, target);
    fputs(end, target);
    fclose(source);
    fclose(target);
}

/* The same as install and mv do it: by renaming. */
static void replace(const char *name)
{
    char other[120];
    snprintf(other, sizeof other, "%s.new", path);
    overwrite(other, name, "");
    cr_assert_eq(rename(other, path), 0);
}

/* Changes it without a harm to what is mapped of it. */
static void append_to_file(void)
{
    FILE *file = fopen(path, "ab");
    fputs("more", file);
    fclose(file);
}

static struct plugin *load(const char *name)
{
    struct plugin *plugin = plugin_load(path, NULL, 0, &failure);
    cr_assert_not_null(plugin, "%s", failure.text);
    cr_assert_str_eq(plugin->descriptor.name, name);
    return plugin;
}

static void assert_refused(int error, const char *expected)
{
    cr_assert_null(plugin_load(path, NULL, 0, &failure));
    cr_assert_eq(failure.error, error, "%s", whippet_error_text(failure.error));
    cr_assert_not_null(strstr(failure.text, expected), "\"%s\" is not in \"%s\"", expected, failure.text);
}

/* The loader's name for what a plugin's code is part of. */
static const char *object_of(const struct plugin *plugin)
{
    Dl_info info;
    union {
        whippet_verdict (*function)(whippet_task *, const whippet_message *, void *);
        void *address;
    } process = {.function = plugin->descriptor.process};
    cr_assert_neq(dladdr(process.address, &info), 0);
    return info.dli_fname;
}

/* --- A file that changes --------------------------------------------------------------------------------*/

Test(plugin_copy, of_a_file_that_was_replaced_is_loaded_beside_the_old_one)
{
    replace("deeds");
    struct plugin *before = load("deeds");
    replace("options");
    struct plugin *after = load("options");
    cr_assert_str_eq(before->descriptor.summary, "does what it is told");
    cr_assert_str_eq(before->path, after->path);
    plugin_unload(before);
    cr_assert_eq(load("options"), after);
    plugin_unload(after);
    plugin_unload(after);
}

Test(plugin_copy, lives_on_when_its_file_is_overwritten_cut_off_or_removed)
{
    overwrite(path, "deeds", "");
    struct plugin *before = load("deeds");
    cr_assert_eq(truncate(path, 0), 0);
    cr_assert_str_eq(before->descriptor.summary, "does what it is told");
    overwrite(path, "options", "");
    struct plugin *after = load("options");
    cr_assert_eq(unlink(path), 0);
    cr_assert_str_eq(before->descriptor.summary, "does what it is told");
    plugin_unload(before);
    plugin_unload(after);
}

Test(plugin_copy, is_the_same_plugin_while_the_contents_are_the_same)
{
    replace("deeds");
    struct plugin *plugin = load("deeds");
    replace("deeds");
    cr_assert_eq(load("deeds"), plugin);
    cr_assert_eq(chmod(path, 0600), 0);
    cr_assert_eq(load("deeds"), plugin);
    overwrite(path, "deeds", "");
    cr_assert_eq(load("deeds"), plugin);
    for (int i = 0; i < 4; i++)
        plugin_unload(plugin);
}

Test(plugin_copy, may_come_back_to_what_it_was)
{
    replace("deeds");
    struct plugin *first = load("deeds");
    replace("options");
    struct plugin *second = load("options");
    replace("deeds");
    cr_assert_eq(load("deeds"), first);
    plugin_unload(first);
    plugin_unload(first);
    plugin_unload(second);
}

Test(plugin_copy, of_a_spoilt_file_is_refused_and_the_old_one_stays)
{
    replace("deeds");
    struct plugin *plugin = load("deeds");
    cr_assert_eq(truncate(path, 3000), 0);
    assert_refused(WHIPPET_E_INVALID, "plugin.so is cut short at 3000 bytes: copy or build it again");
    cr_assert_eq(unlink(path), 0);
    assert_refused(WHIPPET_E_INVALID, "plugin.so: No such file or directory");
    cr_assert_str_eq(plugin->descriptor.summary, "does what it is told");
    plugin_unload(plugin);
}

Test(plugin_copy, leaves_nothing_behind)
{
    replace("deeds");
    plugin_unload(load("deeds"));
    unsigned before = open_descriptors();
    for (int i = 0; i < 50; i++) {
        replace(i % 2 == 0 ? "options" : "deeds");
        plugin_unload(load(i % 2 == 0 ? "options" : "deeds"));
    }
    cr_assert_eq(open_descriptors(), before);
    char line[4096];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps) != NULL)
        cr_assert_null(strstr(line, folder), "still mapped: %s", line);
    fclose(maps);
}

/* --- What others see ------------------------------------------------------------------------------------*/

Test(plugin_copy, has_the_path_of_its_file_for_debuggers_and_backtraces)
{
    char line[4096];
    bool mapped = false;
    replace("deeds");
    struct plugin *plugin = load("deeds");
    cr_assert_str_eq(object_of(plugin), path);
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps) != NULL)
        mapped = mapped || (strstr(line, "memfd:") != NULL && strstr(line, path) != NULL);
    fclose(maps);
    cr_assert(mapped, "no line of /proc/self/maps names %s", path);
    plugin_unload(plugin);
}

/* --- No private copy ------------------------------------------------------------------------------------*/

static int refuse_memfd(const char *name, unsigned flags)
{
    (void)name;
    (void)flags;
    errno = EPERM;
    return -1;
}

Test(plugin_copy, is_done_without_where_it_can_not_be_made)
{
    plugin_copy_calls.memfd_create = refuse_memfd;
    replace("deeds");
    struct plugin *before = load("deeds");
    cr_assert_str_eq(object_of(before), path);
    replace("options");
    struct plugin *after = load("options");
    cr_assert_str_eq(before->descriptor.summary, "does what it is told");
    plugin_unload(before);
    plugin_unload(after);
}

Test(plugin_copy, that_can_not_be_made_of_an_overwritten_file_is_an_error_that_says_what_to_do)
{
    plugin_copy_calls.memfd_create = refuse_memfd;
    overwrite(path, "deeds", "");
    struct plugin *plugin = load("deeds");
    append_to_file();
    assert_refused(WHIPPET_E_INVALID,
                   "plugin.so: it was overwritten while its code is in use, and can't be loaded "
                   "from a copy: put the new one there by renaming it (as install and mv do)");
    plugin_unload(plugin);
    plugin_unload(load("deeds"));
}

Test(plugin_copy, is_done_without_for_an_object_with_libraries_beside_it)
{
    struct plugin_copy copy;
    const char *const ends[] = {"$ORIGIN/lib", "${ORIGIN}"};
    for (size_t i = 0; i < 2; i++) {
        overwrite(path, "deeds", ends[i]);
        cr_assert_eq(plugin_copy_make(&copy, path, &failure), 0);
        cr_assert_eq(copy.descriptor, -1);
    }
    overwrite(path, "deeds", "ORIGIN");
    cr_assert_eq(plugin_copy_make(&copy, path, &failure), 0);
    cr_assert_geq(copy.descriptor, 0);
    plugin_copy_close(&copy);
    plugin_copy_close(&copy);
}

static void *refuse_map(void *address, size_t size, int protection, int flags, int descriptor, off_t offset)
{
    (void)address, (void)size, (void)protection, (void)flags, (void)descriptor, (void)offset;
    errno = ENOMEM;
    return MAP_FAILED;
}

Test(plugin_copy, is_done_without_where_it_can_not_be_looked_into)
{
    plugin_copy_calls.mmap = refuse_map;
    struct plugin_copy copy;
    overwrite(path, "deeds", "");
    cr_assert_eq(plugin_copy_make(&copy, path, &failure), 0);
    cr_assert_eq(copy.descriptor, -1);
}

/* Before Linux 6.3, any flag that it does not know is invalid. */
static int old_memfd_create(const char *name, unsigned flags)
{
    if ((flags & ~MFD_CLOEXEC) == 0)
        return memfd_create(name, flags);
    errno = EINVAL;
    return -1;
}

Test(plugin_copy, is_made_by_old_kernels_too)
{
    plugin_copy_calls.memfd_create = old_memfd_create;
    struct plugin_copy copy;
    overwrite(path, "deeds", "");
    cr_assert_eq(plugin_copy_make(&copy, path, &failure), 0);
    cr_assert_geq(copy.descriptor, 0);
    plugin_copy_close(&copy);
}

/* --- Reading and writing --------------------------------------------------------------------------------*/

static unsigned calls;

static ssize_t refuse_read(int descriptor, void *data, size_t size)
{
    (void)descriptor, (void)data, (void)size;
    errno = EIO;
    return -1;
}

static ssize_t refuse_write(int descriptor, const void *data, size_t size)
{
    (void)descriptor, (void)data, (void)size;
    errno = ENOSPC;
    return -1;
}

static ssize_t read_little(int descriptor, void *data, size_t size)
{
    errno = EINTR;
    return calls++ % 2 == 0 ? -1 : read(descriptor, data, size < 1000 ? size : 1000);
}

static ssize_t write_little(int descriptor, const void *data, size_t size)
{
    errno = EINTR;
    return calls++ % 2 == 0 ? -1 : write(descriptor, data, size < 700 ? size : 700);
}

/* Somebody writes to the file meanwhile. */
static ssize_t read_what_grows(int descriptor, void *data, size_t size)
{
    if (calls++ == 1)
        append_to_file();
    return read(descriptor, data, size);
}

Test(plugin_copy, of_what_can_not_be_read_is_refused)
{
    overwrite(path, "deeds", "");
    plugin_copy_calls.read = refuse_read;
    unsigned before = open_descriptors();
    assert_refused(WHIPPET_E_SYSTEM, "plugin.so: Input/output error");
    cr_assert_eq(open_descriptors(), before);
}

Test(plugin_copy, that_does_not_fit_is_refused)
{
    overwrite(path, "deeds", "");
    plugin_copy_calls.write = refuse_write;
    unsigned before = open_descriptors();
    assert_refused(WHIPPET_E_SYSTEM, "plugin.so to memory: No space left on device");
    cr_assert_eq(open_descriptors(), before);
}

Test(plugin_copy, is_whole_when_reads_and_writes_are_short_or_interrupted)
{
    overwrite(path, "deeds", "");
    plugin_copy_calls.read = read_little;
    plugin_copy_calls.write = write_little;
    struct plugin *plugin = load("deeds");
    cr_assert_str_eq(plugin->descriptor.summary, "does what it is told");
    plugin_unload(plugin);
}

Test(plugin_copy, of_a_file_that_is_being_written_is_refused)
{
    overwrite(path, "deeds", "");
    plugin_copy_calls.read = read_what_grows;
    assert_refused(WHIPPET_E_INVALID,
                   "plugin.so was written to while it was read: put it there under another name, "
                   "and then rename it (as install and mv do)");
}

Test(plugin_copy, has_an_identity_that_any_touch_changes)
{
    struct plugin_identity before, after;
    overwrite(path, "deeds", "");
    cr_assert_eq(plugin_identity_read(path, &before, &failure), 0);
    cr_assert_eq(plugin_identity_read(path, &after, &failure), 0);
    cr_assert(plugin_identity_equal(&before, &after));
    replace("deeds");
    cr_assert_eq(plugin_identity_read(path, &after, &failure), 0);
    cr_assert(!plugin_identity_equal(&before, &after));
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(plugin_identity_read(path, &after, &failure), WHIPPET_E_SYSTEM);
}
