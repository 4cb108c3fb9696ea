/* Loading real shared objects: those of tests/plugins, and copies of them that were spoilt. */
#include <base/memory.h>
#include <criterion/criterion.h>
#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <worker/plugin.h>

static struct whippet_failure failure;

/* --- A folder of this test's own ------------------------------------------------------------------------*/

static char folder[] = "/tmp/whippet-plugins-XXXXXX";

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void)
{
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(plugin, .init = make_folder, .fini = remove_folder, .timeout = 60);

/* The path of a file in it; valid until the next call. */
static const char *in_folder(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(in_folder(name), "wb");
    cr_assert_eq(fwrite(data, 1, size, file), size);
    fclose(file);
}

static const char *built(void)
{
    const char *path = getenv("WHIPPET_TEST_PLUGINS");
    cr_assert_not_null(path, "WHIPPET_TEST_PLUGINS is not set: run the tests with ctest");
    return path;
}

/* The contents of tests/plugins' <name>.so; to be freed. */
static char *read_built(const char *name, size_t *size)
{
    char path[4096];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s.so", built(), name);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "cannot open %s", path);
    fstat(fileno(file), &status);
    *size = (size_t)status.st_size;
    char *data = malloc(*size);
    cr_assert_eq(fread(data, 1, *size, file), *size);
    fclose(file);
    return data;
}

static void copy_built(const char *name, const char *to)
{
    size_t size;
    char *data = read_built(name, &size);
    write_file(to, data, size);
    free(data);
}

/* --- Loading --------------------------------------------------------------------------------------------*/

static struct plugin *load_built(const char *name)
{
    const char *path[] = {built()};
    return plugin_load(name, path, 1, &failure);
}

static void assert_loaded(struct plugin *plugin, const char *name)
{
    cr_assert_not_null(plugin, "%s", failure.text);
    cr_assert_str_eq(plugin->descriptor.name, name);
    plugin_unload(plugin);
}

static void assert_says(const struct plugin *plugin, int error, const char *expected)
{
    cr_assert_null(plugin);
    cr_assert_eq(failure.error, error, "%s", whippet_error_text(failure.error));
    cr_assert_not_null(strstr(failure.text, expected), "\"%s\" is not in \"%s\"", expected, failure.text);
}

static void assert_refused(const char *name, const char *expected)
{
    assert_says(load_built(name), WHIPPET_E_INVALID, expected);
}

static void assert_file_refused(const char *name, const char *expected)
{
    assert_says(plugin_load(in_folder(name), NULL, 0, &failure), WHIPPET_E_INVALID, expected);
}

Test(plugin, is_found_by_name_in_the_first_folder_that_has_it)
{
    const char *path[] = {"/no/such/folder", folder, built()};
    copy_built("deeds", "deeds.so");
    struct plugin *plugin = plugin_load("deeds", path, 3, &failure);
    cr_assert_not_null(plugin, "%s", failure.text);
    cr_assert_str_eq(plugin->path, in_folder("deeds.so"));
    cr_assert_str_eq(plugin->descriptor.summary, "does what it is told");
    plugin_unload(plugin);
}

Test(plugin, is_loaded_by_its_path_whatever_it_calls_itself)
{
    copy_built("deeds", "copy.so");
    assert_loaded(plugin_load(in_folder("copy.so"), NULL, 0, &failure), "deeds");
}

Test(plugin, is_loaded_from_the_current_folder_by_a_name_that_ends_in_so)
{
    copy_built("deeds", "copy.so");
    cr_assert_eq(chdir(folder), 0);
    assert_loaded(plugin_load("copy.so", NULL, 0, &failure), "deeds");
}

Test(plugin, is_the_same_when_loaded_twice)
{
    struct plugin *first = load_built("deeds");
    struct plugin *second = load_built("deeds");
    cr_assert_eq(first, second);
    plugin_unload(first);
    cr_assert_str_eq(second->descriptor.name, "deeds");
    plugin_unload(second);
}

Test(plugin, is_taken_as_far_as_it_is_known)
{
    struct plugin *plugin = load_built("larger");
    cr_assert_not_null(plugin, "%s", failure.text);
    cr_assert_str_eq(plugin->descriptor.name, "larger");
    cr_assert_gt(plugin->descriptor.size, sizeof(whippet_processor));
    plugin_unload(plugin);
}

static whippet_verdict acknowledge(whippet_task *task, const whippet_message *message, void *state)
{
    (void)task, (void)message, (void)state;
    return WHIPPET_ACK;
}

static int never_called(whippet_task *task, void *state)
{
    (void)task, (void)state;
    abort();
}

/* What lies behind an older descriptor in its plugin's memory may be anything. */
Test(plugin, that_was_built_before_there_was_background_has_none)
{
    static const whippet_processor OLD = {.abi = WHIPPET_ABI,
                                          .size = offsetof(whippet_processor, background),
                                          .name = "old",
                                          .process = acknowledge,
                                          .background = never_called};
    struct plugin *plugin = plugin_adopt(&OLD, &failure);
    cr_assert_not_null(plugin, "%s", failure.text);
    cr_assert_null(plugin->descriptor.background);
    plugin_unload(plugin);
}

Test(plugin, may_be_unloaded_without_having_been_loaded)
{
    plugin_unload(NULL);
}

/* --- Refusing -------------------------------------------------------------------------------------------*/

Test(plugin, that_is_nowhere_is_refused_with_every_place)
{
    const char *path[] = {"first", "second/folder"};
    assert_says(
        plugin_load("orders", path, 2, &failure), WHIPPET_E_INVALID,
        "there is no processor \"orders\"; see \"whippet processors\" for those there are. Looked for: "
        "first/orders.so, second/folder/orders.so");
    assert_says(plugin_load("", path, 2, &failure), WHIPPET_E_INVALID, "there is no processor \"\"");
    assert_says(plugin_load("orders", NULL, 0, &failure), WHIPPET_E_INVALID, "no folders are given");
}

Test(plugin, that_is_nowhere_is_refused_in_very_many_places)
{
    const char *path[100];
    for (size_t i = 0; i < 100; i++)
        path[i] = "/some/folder/that/does/not/exist";
    assert_says(plugin_load("orders", path, 100, &failure), WHIPPET_E_INVALID, "Looked for: ");
}

Test(plugin, whose_file_is_missing_is_refused)
{
    assert_file_refused("none.so", "none.so: No such file or directory");
}

Test(plugin, that_may_not_be_read_is_refused)
{
    uid_t user = geteuid();
    copy_built("deeds", "secret.so");
    chmod(in_folder("secret.so"), 0);
    chmod(folder, 0755);
    /* Root may read anything: be nobody meanwhile. */
    if (user == 0)
        cr_assert_eq(seteuid(65534), 0);
    struct plugin *plugin = plugin_load(in_folder("secret.so"), NULL, 0, &failure);
    cr_assert_eq(seteuid(user), 0);
    assert_says(plugin, WHIPPET_E_SYSTEM, "secret.so: Permission denied");
}

Test(plugin, that_is_a_text_is_refused)
{
    write_file("text.so", "int main(void)", 14);
    assert_file_refused("text.so", "text.so is not a shared object: build it with cc -shared -fPIC");
    write_file("empty.so", "", 0);
    assert_file_refused("empty.so", "empty.so is not a shared object");
}

Test(plugin, that_is_a_folder_or_a_pipe_is_refused)
{
    mkdir(in_folder("folder.so"), 0700);
    assert_file_refused("folder.so", "folder.so is a folder, not a shared object");
    mkfifo(in_folder("pipe.so"), 0600);
    assert_file_refused("pipe.so", "pipe.so is no regular file, not a shared object");
}

Test(plugin, of_another_machine_is_refused)
{
    size_t size;
    char *data = read_built("deeds", &size);
    Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)data;
    header->e_machine = header->e_machine == EM_AARCH64 ? EM_X86_64 : EM_AARCH64;
    write_file("foreign.so", data, size);
    free(data);
    assert_file_refused("foreign.so", "foreign.so is built for ");
    cr_assert_not_null(strstr(failure.text, ": rebuild it for this machine"), "%s", failure.text);
}

Test(plugin, that_is_an_object_file_or_a_program_is_refused)
{
    size_t size;
    char *data = read_built("deeds", &size);
    Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)data;
    header->e_type = ET_REL;
    write_file("object.so", data, size);
    free(data);
    assert_file_refused("object.so", "is an object file or a program, not a shared object");
    assert_says(plugin_load("/proc/self/exe", NULL, 0, &failure), WHIPPET_E_INVALID,
                "cannot dynamically load position-independent executable");
}

/* Wherever it was cut, it is refused or, when only what nobody reads is gone, loaded: the program lives on.
 */
Test(plugin, that_was_cut_short_is_refused)
{
    size_t size;
    char *data = read_built("deeds", &size);
    for (size_t kept = 0; kept < size; kept += size / 50) {
        char name[32];
        snprintf(name, sizeof name, "cut%zu.so", kept);
        write_file(name, data, kept);
        plugin_unload(plugin_load(in_folder(name), NULL, 0, &failure));
    }
    write_file("half.so", data, size / 4);
    free(data);
    assert_file_refused("half.so", "half.so is cut short at ");
}

Test(plugin, without_a_descriptor_is_refused)
{
    assert_refused("not_a_plugin",
                   "not_a_plugin.so is not a processor: it exports no whippet_processor_descriptor");
}

Test(plugin, of_another_abi_is_refused)
{
    assert_refused("wrong_abi",
                   "wrong_abi.so is built for ABI 4711, this whippet has ABI 1: rebuild it with its headers");
}

Test(plugin, with_too_small_a_descriptor_is_refused)
{
    assert_refused("too_small", "too_small.so has a descriptor of 16 bytes, ABI 1 has at least ");
}

Test(plugin, with_an_unresolved_symbol_is_refused)
{
    assert_refused("unresolved",
                   "unresolved.so: undefined symbol: whippet_no_such_function (this whippet does not "
                   "offer it: is the plugin built for a newer one?)");
}

Test(plugin, without_a_name_is_refused)
{
    assert_refused("nameless", "nameless.so does not say its name");
}

Test(plugin, without_a_process_function_is_refused)
{
    assert_refused("idle", "idle.so has no process function");
}

Test(plugin, that_calls_itself_otherwise_is_refused)
{
    assert_refused("misnamed", "misnamed.so calls itself \"another\"");
}

Test(plugin, with_mistaken_options_is_refused)
{
    assert_refused("wrong_default",
                   "wrong_default.so: the default of its option \"pause\" is wrong: expected a "
                   "duration such as \"3s\", or a number of seconds, found \"3 parsecs\"");
    assert_refused("same_option_twice", "same_option_twice.so: it declares the option \"size\" twice");
    assert_refused(
        "strange_option",
        "strange_option.so: its option \"matrix\" has the type 99, which this whippet does not know");
}

/* --- Listing --------------------------------------------------------------------------------------------*/

Test(plugin, list_is_sorted_and_has_reasons)
{
    const char *path[] = {folder};
    struct plugin_listing *listings;
    copy_built("misnamed", "b.so");
    copy_built("deeds", "deeds.so");
    write_file("a.so", "text", 4);
    write_file("a.so.bak", "text", 4);
    write_file(".so", "text", 4);
    size_t count = plugin_list(path, 1, &listings);
    cr_assert_eq(count, 3, "%zu", count);
    cr_assert_str_eq(listings[0].file, in_folder("a.so"));
    cr_assert_null(listings[0].plugin);
    cr_assert_not_null(strstr(listings[0].failure.text, "not a shared object"));
    cr_assert_null(listings[1].plugin);
    cr_assert_not_null(strstr(listings[1].failure.text, "calls itself"));
    cr_assert_str_eq(listings[2].plugin->descriptor.name, "deeds");
    plugin_list_destroy(listings, count);
}

Test(plugin, list_has_only_the_first_of_a_name)
{
    const char *path[] = {folder, "/no/such/folder", built()};
    struct plugin_listing *listings;
    size_t deeds = 0;
    copy_built("deeds", "deeds.so");
    size_t count = plugin_list(path, 3, &listings);
    for (size_t i = 0; i < count; i++) {
        if (strstr(listings[i].file, "/deeds.so") != NULL) {
            cr_assert_str_eq(listings[i].file, in_folder("deeds.so"));
            deeds++;
        }
    }
    cr_assert_eq(deeds, 1);
    plugin_list_destroy(listings, count);
}

Test(plugin, list_tells_of_a_folder_that_cannot_be_read)
{
    const char *path[] = {"/etc/passwd"};
    struct plugin_listing *listings;
    size_t count = plugin_list(path, 1, &listings);
    cr_assert_eq(count, 1);
    cr_assert_str_eq(listings[0].failure.text, "cannot read the folder /etc/passwd: Not a directory");
    plugin_list_destroy(listings, count);
}

Test(plugin, list_is_empty_where_there_is_nothing)
{
    const char *path[] = {folder, "/no/such/folder"};
    struct plugin_listing *listings;
    cr_assert_eq(plugin_list(path, 2, &listings), 0);
    plugin_list_destroy(listings, 0);
}

Test(plugin, default_path_begins_in_the_current_folder_and_ends_where_they_are_installed)
{
    char program[4096];
    size_t count;
    const char *const *path = plugin_default_path(&count);
    ssize_t length = readlink("/proc/self/exe", program, sizeof program);
    cr_assert_eq(count, 3);
    cr_assert_str_eq(path[0], "processors");
    size_t common = strlen(path[1]) - strlen("/processors");
    cr_assert_str_eq(path[1] + common, "/processors");
    cr_assert_lt(common, (size_t)length);
    cr_assert_eq(strncmp(path[1], program, common), 0, "%s, %.*s", path[1], (int)length, program);
    cr_assert_not_null(strstr(path[2], "whippet/processors"), "%s", path[2]);
}

/* --- Memory ---------------------------------------------------------------------------------------------*/

static size_t allowed;

static bool permit_some(size_t size)
{
    (void)size;
    if (allowed == 0)
        return false;
    allowed--;
    return true;
}

Test(plugin, survives_any_allocation_that_fails)
{
    struct plugin *plugin = NULL;
    for (size_t count = 0; count < 100 && plugin == NULL; count++) {
        failure = (struct whippet_failure){0};
        allowed = count;
        memory_permit = permit_some;
        plugin = load_built("options");
        memory_permit = NULL;
        cr_assert(plugin != NULL || failure.error != 0);
    }
    assert_loaded(plugin, "options");
}

Test(plugin, list_survives_any_allocation_that_fails)
{
    const char *path[] = {folder};
    struct plugin_listing *listings;
    size_t count = 0;
    copy_built("deeds", "deeds.so");
    write_file("a.so", "text", 4);
    for (size_t permitted = 0; permitted < 100 && count == 0; permitted++) {
        allowed = permitted;
        memory_permit = permit_some;
        count = plugin_list(path, 1, &listings);
        memory_permit = NULL;
        if (count == 0)
            cr_assert_null(listings);
    }
    cr_assert_eq(count, 2);
    plugin_list_destroy(listings, count);
}
