#include <criterion/criterion.h>
#include <pthread.h>
#include <stats/shared_text.h>
#include <stdbool.h>
#include <string.h>

static struct shared_text shared;

Test(shared_text, is_empty_at_first)
{
    char text[SHARED_TEXT_SIZE];
    shared_text_get(&shared, text);
    cr_assert_str_empty(text);
}

Test(shared_text, gives_what_was_set_last)
{
    char text[SHARED_TEXT_SIZE];
    shared_text_set(&shared, "a longer text of several words");
    shared_text_set(&shared, "short");
    shared_text_get(&shared, text);
    cr_assert_str_eq(text, "short");
    shared_text_set(&shared, "");
    shared_text_get(&shared, text);
    cr_assert_str_empty(text);
}

Test(shared_text, cuts_what_does_not_fit)
{
    char text[SHARED_TEXT_SIZE], longer[2 * SHARED_TEXT_SIZE];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    shared_text_set(&shared, longer);
    shared_text_get(&shared, text);
    cr_assert_eq(strlen(text), SHARED_TEXT_SIZE - 1);
}

static atomic_bool over;

static void *write_all_the_time(void *arg)
{
    char text[300];
    for (int i = 0; i < 20000; i++) {
        memset(text, 'a' + i % 26, sizeof text);
        text[20 + i % 270] = '\0';
        shared_text_set(&shared, text);
    }
    atomic_store(&over, true);
    return arg;
}

Test(shared_text, is_never_torn_while_it_is_written)
{
    char text[SHARED_TEXT_SIZE];
    pthread_t writer;
    cr_assert_eq(pthread_create(&writer, NULL, write_all_the_time, NULL), 0);
    while (!atomic_load(&over)) {
        shared_text_get(&shared, text);
        for (size_t i = 1; i < strlen(text); i++)
            cr_assert_eq(text[i], text[0], "half of another text: %s", text);
    }
    pthread_join(writer, NULL);
}
