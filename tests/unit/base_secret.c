/* Secrets from files. */
#include <base/memory.h>
#include <base/secret.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], file[96];
static struct whippet_failure failure;

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/whippet-secret.XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/secret", folder);
}

static void teardown(void)
{
    memory_permit = NULL;
    unlink(file);
    rmdir(folder);
}

TestSuite(secret, .init = setup, .fini = teardown);

static void write_bytes(const char *bytes, size_t size)
{
    FILE *stream = fopen(file, "w");
    cr_assert_not_null(stream);
    cr_assert_eq(fwrite(bytes, 1, size, stream), size);
    fclose(stream);
}

static void assert_read(const char *written, const char *expected)
{
    write_bytes(written, strlen(written));
    char *secret = secret_read(file, &failure);
    cr_assert_not_null(secret, "%s", failure.text);
    cr_assert_str_eq(secret, expected);
    secret_destroy(secret);
}

static void assert_refused(const char *words)
{
    cr_assert_null(secret_read(file, &failure));
    cr_assert_not_null(strstr(failure.text, words), "%s", failure.text);
    cr_assert_not_null(strstr(failure.text, file), "%s names no file", failure.text);
    cr_assert_null(strstr(failure.text, "s3cr3t"), "%s", failure.text);
}

Test(secret, is_the_content_of_the_file)
{
    assert_read("s3cr3t", "s3cr3t");
}

Test(secret, loses_one_newline_at_its_end_and_no_more)
{
    assert_read("s3cr3t\n", "s3cr3t");
    assert_read("s3cr3t\n\n", "s3cr3t\n");
    assert_read(" s3cr3t \r\n", " s3cr3t \r");
}

Test(secret, is_refused_where_the_file_is_missing)
{
    assert_refused("No such file or directory; create it");
}

Test(secret, is_refused_where_the_file_is_empty)
{
    write_bytes("", 0);
    assert_refused("is empty");
    write_bytes("\n", 1);
    assert_refused("is empty");
}

Test(secret, is_refused_where_it_is_a_folder)
{
    cr_assert_eq(mkdir(file, 0700), 0);
    assert_refused("is a folder");
    rmdir(file);
}

Test(secret, is_refused_where_the_file_may_not_be_read)
{
    if (geteuid() == 0 && seteuid(65534) != 0)
        cr_skip_test("root reads everything");
    snprintf(file, sizeof file, "/proc/1/environ");
    assert_refused("Permission denied; give the worker's user permission");
    (void)!seteuid(0);
}

Test(secret, is_refused_where_it_holds_a_nul)
{
    write_bytes("s3cr3t\0more", 11);
    assert_refused("NUL");
}

Test(secret, is_refused_where_it_is_far_too_long)
{
    char *long_text = malloc(SECRET_MOST_BYTES + 10);
    memset(long_text, 'x', SECRET_MOST_BYTES + 10);
    write_bytes(long_text, SECRET_MOST_BYTES + 10);
    assert_refused("more than");
    write_bytes(long_text, SECRET_MOST_BYTES);
    char *secret = secret_read(file, &failure);
    cr_assert_not_null(secret, "%s", failure.text);
    secret_destroy(secret);
    free(long_text);
}

Test(secret, that_nobody_writes_into_a_fifo_is_not_waited_for)
{
    cr_assert_eq(mkfifo(file, 0600), 0);
    assert_refused("is empty");
}

static bool never(size_t size)
{
    (void)size;
    return false;
}

Test(secret, is_refused_where_memory_is_short)
{
    write_bytes("s3cr3t", 6);
    memory_permit = never;
    assert_refused("out of memory");
    cr_assert_eq(failure.error, WHIPPET_E_MEMORY);
}

Test(secret, has_pages_of_its_own_that_are_zeroed_and_hold_any_size)
{
    for (size_t size = 0; size < 20000; size += 997) {
        char *memory = secret_allocate(size);
        cr_assert_not_null(memory);
        cr_assert_eq((uintptr_t)memory % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            cr_assert_eq(memory[i], 0);
        memset(memory, 'x', size);
        secret_free(memory);
    }
    secret_free(NULL);
    cr_assert_null(secret_allocate(SIZE_MAX));
}
