#include <sched.h>
#include <stats/shared_text.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    WORDS = SHARED_TEXT_SIZE / sizeof(uint64_t),
    YIELDS = 100,
    TRIES = 3000,
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

/* The writer may be off the CPU in the middle of it. */
static void give_way(int tries)
{
    const struct timespec nap = {.tv_nsec = 100000};
    if (tries < YIELDS)
        sched_yield();
    else
        nanosleep(&nap, NULL);
}

/* A text that changes all the time is not worth waiting for: a torn one is shown then. */
void shared_text_get(const struct shared_text *shared, char *text)
{
    uint64_t words[WORDS];
    for (int tries = 0; !copy(shared, words) && tries < TRIES; tries++)
        give_way(tries);
    memcpy(text, words, sizeof words);
    text[SHARED_TEXT_SIZE - 1] = '\0';
}
