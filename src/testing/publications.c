/* In the broker's place: keeps what is published, and answers as it was told. */
#include "test.h"
#include <base/memory.h>
#include <math.h>
#include <worker/publication.h>

struct publication {
    struct whippet_message message;
};

/* 0; MEMORY, or what the broker could not be sent. */
static int keep(whippet_test *test, const whippet_publication *publication)
{
    size_t count = test->publication_count;
    struct publication **grown =
        memory_resize(test->publications, (count + 1) * sizeof(struct publication *));
    if (grown != NULL)
        test->publications = grown;
    struct publication *kept = grown != NULL ? memory_allocate_zeroed(sizeof *kept) : NULL;
    if (kept == NULL)
        return WHIPPET_E_MEMORY;
    int error = publication_deliver(publication, &kept->message.content);
    if (error != 0) {
        memory_free(kept);
        return error;
    }
    kept->message.queue = "";
    kept->message.attempt = kept->message.attempts = 1;
    test->publications[test->publication_count++] = kept;
    return 0;
}

/* As long as the broker does not confirm. */
static int wait_in_vain(whippet_task *task)
{
    struct waiter waiter;
    waiter_init(&waiter);
    return waiter_wait(task, &waiter, INFINITY, "publishing");
}

int publications_take(void *owner, whippet_task *task, const whippet_publication *publication,
                      const struct publish_span *span)
{
    (void)span;
    whippet_test *test = owner;
    int error = whippet_sleep(task, 0); /* others run meanwhile, as with a broker */
    if (error == 0)
        error = keep(test, publication);
    if (error != 0)
        return error;
    int answer = test->answers_given < test->answer_count ? test->answers[test->answers_given++] : 0;
    return answer == WHIPPET_E_TIMEOUT ? wait_in_vain(task) : answer;
}

void publications_clear(whippet_test *test)
{
    for (size_t i = 0; i < test->publication_count; i++) {
        message_destroy(test->publications[i]->message.content);
        memory_free(test->publications[i]);
    }
    test->publication_count = 0;
}

void whippet_test_answer(whippet_test *test, int error)
{
    test_check(test, "whippet_test_answer");
    if (error > 0)
        test_fail(test->fail, "whippet_test_answer: expected 0 or a WHIPPET_E_…, found %d", error);
    int *grown = memory_resize(test->answers, (test->answer_count + 1) * sizeof *grown);
    if (grown == NULL)
        test_fail(test->fail, "whippet_test_answer: out of memory");
    test->answers = grown;
    test->answers[test->answer_count++] = error;
}

size_t whippet_test_published_count(const whippet_test *test)
{
    test_check(test, "whippet_test_published_count");
    return test->publication_count;
}

const whippet_message *whippet_test_published(whippet_test *test, size_t index)
{
    test_check(test, "whippet_test_published");
    if (index >= test->publication_count)
        test_fail(test->fail,
                  "whippet_test_published: there is no publication %zu; the processor has published %zu",
                  index, test->publication_count);
    return &test->publications[index]->message;
}
