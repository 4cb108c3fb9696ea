/* By what a message is known when it comes again. */
#include "ledger_format.h"
#include <base/bytes.h>

/* Not a library to link: the header's inlined functions, as most of these inputs are a few bytes. */
#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    SAMPLE = 48,
    SAMPLES = 5,
    WHOLE_MAX = SAMPLE * SAMPLES, /* bytes of a body that are always read */
};

/* Pieces at even distances, the first and the last bytes among them. */
static uint64_t hash_samples(whippet_bytes body, uint64_t seed)
{
    char samples[WHOLE_MAX];
    for (size_t i = 0; i < SAMPLES; i++)
        memcpy(samples + i * SAMPLE, (const char *)body.data + (body.len - SAMPLE) / (SAMPLES - 1) * i,
               SAMPLE);
    return XXH3_64bits_withSeed(samples, sizeof samples, seed ^ body.len);
}

/* An identity's first half tells where a message comes from, the second what it is there. */
static void set_identity(uint64_t identity[2], uint64_t origin, uint64_t content)
{
    identity[0] = origin;
    identity[1] = content;
}

static void identify(struct ledger_mark *mark, const struct message *content, whippet_bytes id, bool thorough)
{
    uint64_t queue = mark->identity[0];
    if (id.len > 0) {
        set_identity(mark->identity, queue, XXH3_64bits_withSeed(id.data, id.len, queue));
        return;
    }
    whippet_bytes body = content->body;
    uint64_t origin = XXH3_64bits_withSeed(content->routing_key.data, content->routing_key.len, ~queue);
    bool is_small = body.len <= WHOLE_MAX;
    if (is_small || thorough)
        set_identity(mark->identity, origin, XXH3_64bits_withSeed(body.data, body.len, origin));
    if (is_small)
        return;
    set_identity(thorough ? mark->samples : mark->identity, origin, hash_samples(body, ~origin));
    mark->exact = thorough;
}

static uint8_t keep_text(char kept[LEDGER_TEXT], whippet_bytes text)
{
    size_t fits = text.len < LEDGER_TEXT ? text.len : LEDGER_TEXT;
    if (fits > 0)
        memcpy(kept, text.data, fits);
    return (uint8_t)fits;
}

void ledger_label_queue(struct task_label *label, const char *name)
{
    struct ledger_mark *mark = (void *)label->bytes;
    whippet_bytes queue = bytes_of_text(name);
    *mark = (struct ledger_mark){.exact = true};
    mark->identity[0] = XXH3_64bits(queue.data, queue.len);
    mark->queue_length = keep_text(mark->queue, queue);
}

void ledger_label_message(struct task_label *label, const whippet_message *message, whippet_bytes id,
                          bool thorough)
{
    struct ledger_mark *mark = (void *)label->bytes;
    identify(mark, message->content, id, thorough);
    mark->attempt = message->attempt;
    mark->id_length = keep_text(mark->id, id);
}

void ledger_label_attempt(struct task_label *label, unsigned attempt)
{
    ((struct ledger_mark *)(void *)label->bytes)->attempt = attempt;
}
