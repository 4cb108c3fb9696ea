#include "config_testing.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/whippet-config-XXXXXX";

/* Each test has a folder of its own to be in. */
static void setup(void)
{
    forget_environment();
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

static void teardown(void)
{
    unlink("whippet.json");
    unlink("x.json");
    rmdir("x");
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(rmdir(folder), 0);
}

TestSuite(document, .init = setup, .fini = teardown);

static void write_file(const char *file, const void *data, size_t length)
{
    int descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert_geq(descriptor, 0);
    cr_assert_eq(write(descriptor, data, length), (ssize_t)length);
    close(descriptor);
}

static void assert_load_error(const char *file, const char *expected)
{
    struct config_errors errors;
    cr_assert_null(config_load(file, &errors), "accepted");
    char *printed = print_errors(&errors);
    cr_assert_eq(errors.count, 1, "printed %s", printed);
    cr_assert_not_null(strstr(printed, expected), "printed %s instead of %s", printed, expected);
    free(printed);
    config_errors_destroy(&errors);
}

Test(document, is_loaded_from_the_file_that_is_named)
{
    const char *text = "{" ONE_QUEUE "}";
    struct config_errors errors;
    write_file("x.json", text, strlen(text));
    struct config *config = config_load("x.json", &errors);
    cr_assert_not_null(config);
    cr_assert_str_eq(config->file, "x.json");
    cr_assert_str_eq(config->queues[0].name, "orders");
    config_destroy(config);
}

Test(document, is_whippet_json_when_none_is_named)
{
    const char *text = "{" ONE_QUEUE "}";
    struct config_errors errors;
    write_file("whippet.json", text, strlen(text));
    cr_assert_str_eq(config_default_file(), "whippet.json");
    struct config *config = config_load(NULL, &errors);
    cr_assert_not_null(config);
    cr_assert_str_eq(config->file, "whippet.json");
    config_destroy(config);
}

Test(document, that_is_nowhere_is_an_error_that_names_both_places)
{
    if (access("/etc/whippet/whippet.json", F_OK) == 0)
        cr_skip("this machine has a configuration of its own");
    cr_assert_str_eq(config_default_file(), "/etc/whippet/whippet.json");
    assert_load_error(
        NULL, "neither whippet.json in this folder nor /etc/whippet/whippet.json exists; name one with -c");
}

Test(document, that_is_missing_is_an_error)
{
    assert_load_error("x.json", "there is no such file");
    assert_load_error("/dev/null/x.json", "there is no such file");
}

Test(document, that_may_not_be_read_is_an_error_that_names_the_user)
{
    if (geteuid() == 0 && setresuid(65534, 65534, 0) != 0)
        cr_skip("root may read everything");
    cr_assert_eq(chdir("/"), 0);
    assert_load_error(folder, "user 65534 may not read it");
    cr_assert_eq(setresuid(0, 0, 0), 0);
    cr_assert_eq(chdir(folder), 0);
}

Test(document, that_is_a_folder_is_an_error)
{
    cr_assert_eq(mkdir("x", 0700), 0);
    assert_load_error("x", "is a folder; name the configuration file in it");
}

Test(document, that_is_empty_is_an_error)
{
    write_file("x.json", "", 0);
    assert_load_error("x.json", "is empty; the least there can be is { \"queues\"");
}

Test(document, with_a_byte_order_mark_is_an_error)
{
    write_file("x.json", "\xef\xbb\xbf{}", 5);
    assert_load_error("x.json", "begins with a byte order mark");
}

Test(document, in_utf16_is_an_error)
{
    write_file("x.json", "\xff\xfe{\0}\0", 6);
    assert_load_error("x.json", "is UTF-16; save it as UTF-8");
    write_file("x.json", "{\0}\0", 4);
    assert_load_error("x.json", ":1: column 2: a NUL byte");
}

Test(document, that_is_not_utf8_is_an_error_with_its_place)
{
    write_file("x.json", "{\n\"caf\xe9\": 1}", 12);
    assert_load_error("x.json", ":2: column 5: a byte that is not UTF-8");
}

Test(document, that_is_too_large_is_an_error)
{
    write_file("x.json", "{", 1);
    cr_assert_eq(truncate("x.json", (16 << 20) + 1), 0);
    assert_load_error("x.json", "is larger than 16 MiB");
}

Test(document, may_be_as_large_as_allowed)
{
    enum {
        SIZE = 16 << 20
    };
    struct config_errors errors;
    char *text = malloc(SIZE);
    memset(text, ' ', SIZE);
    memcpy(text, "{" ONE_QUEUE "}", strlen("{" ONE_QUEUE "}"));
    write_file("x.json", text, SIZE);
    free(text);
    struct config *config = config_load("x.json", &errors);
    cr_assert_not_null(config);
    config_destroy(config);
}

Test(document, may_come_through_a_pipe)
{
    const char *text = "{" ONE_QUEUE "}";
    struct config_errors errors;
    char path[40];
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
    close(ends[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    struct config *config = config_load(path, &errors);
    cr_assert_not_null(config);
    config_destroy(config);
}
