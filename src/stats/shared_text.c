#include <sched.h>
#include <stats/shared_text.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    WORDS = SHARED_TEXT_SIZE / sizeof(uint64_t)
};

void shared_text_set(struct shared_text *shared, const char *text)
{
    uint64_t words[WORDS] = {0};
    unsigned sequence = atomic_load_explicit(&shared->sequence, memory_order_relaxed);
    size_t used = (size_t)snprintf((char *)words, sizeof words, "%s", text) / sizeof words[0] + 1;
    if (used > WORDS)
        used = WORDS;
    atomic_store_explicit(&shared->sequence, sequence + 1, memory_order_relaxed);
    for (size_t i = 0; i < used; i++)
        atomic_store_explicit(&shared->words[i], words[i], memory_order_release);
    atomic_store_explicit(&shared->sequence, sequence + 2, memory_order_release);
}

static bool copy(const struct shared_text *shared, uint64_t *words)
{
    unsigned before = atomic_load_explicit(&shared->sequence, memory_order_acquire);
    for (size_t i = 0; i < WORDS; i++)
        words[i] = atomic_load_explicit(&shared->words[i], memory_order_acquire);
    return before % 2 == 0 && atomic_load_explicit(&shared->sequence, memory_order_relaxed) == before;
}

/* A text that changes all the time is not worth waiting for: a torn one is shown then. */
void shared_text_get(const struct shared_text *shared, char *text)
{
    uint64_t words[WORDS];
    int tries = 1000;
    while (!copy(shared, words) && --tries > 0)
        sched_yield();
    memcpy(text, words, sizeof words);
    text[SHARED_TEXT_SIZE - 1] = '\0';
}
