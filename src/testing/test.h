/* What a processor under test is made of. */
#ifndef TESTING_TEST_H
#define TESTING_TEST_H

#define WHIPPET_TESTING_WITHOUT_CRITERION
#include <async/loop.h>
#include <base/list.h>
#include <whippet/testing.h>
#include <worker/background.h>
#include <worker/message.h>
#include <worker/plugin.h>
#include <worker/publishing.h>

struct publication; /* one that was captured */

struct whippet_test {
    whippet_test_fail *fail;
    struct processor processor;
    struct background background;
    struct log_fields background_fields;
    struct loop *loop;
    double timeout; /* seconds, of an attempt */
    int log;        /* a file in memory */
    char *log_text; /* as it was read last; owned */

    struct publication **publications; /* owned */
    size_t publication_count;
    int *answers; /* to publications, in their order; owned */
    size_t answer_count;
    size_t answers_given;

    void **texts; /* given out until the end; owned */
    size_t text_count;
};

/* Fails the test; does not return. */
_Noreturn void test_fail(whippet_test_fail *fail, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Fails the test where a function is called that may not be. */
void test_check(const whippet_test *test, const char *function);

/* Memory that is freed at the test's end; fails the test where there is none. */
void *test_allocate(whippet_test *test, size_t size);

/* Takes a publication in place of the broker: a publish_function. */
int publications_take(void *test, whippet_task *task, const whippet_publication *publication,
                      const struct publish_span *span);
void publications_clear(whippet_test *test);

/* The message that it describes, to be given to message_destroy. */
struct message *message_make(whippet_test *test, const whippet_test_message *description);

#endif
