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

static void set_identity(uint64_t identity[2], XXH128_hash_t hash)
{
    identity[0] = hash.low64;
    identity[1] = hash.high64;
}

/* Pieces at even distances, the first and the last bytes among them. */
static XXH128_hash_t hash_samples(whippet_bytes body, uint64_t seed)
{
    char samples[WHOLE_MAX];
    for (size_t i = 0; i < SAMPLES; i++)
        memcpy(samples + i * SAMPLE, (const char *)body.data + (body.len - SAMPLE) / (SAMPLES - 1) * i,
               SAMPLE);
    return XXH3_128bits_withSeed(samples, sizeof samples, seed ^ body.len);
}

static void identify(struct ledger_mark *mark, const whippet_message *message, whippet_bytes queue,
                     whippet_bytes id, bool thorough)
{
    const struct message *content = message->content;
    uint64_t seed = XXH3_64bits(queue.data, queue.len);
    mark->exact = true;
    mark->samples[0] = mark->samples[1] = 0;
    if (id.len > 0) {
        set_identity(mark->identity, XXH3_128bits_withSeed(id.data, id.len, seed));
        return;
    }
    whippet_bytes body = content->body;
    seed = XXH3_64bits_withSeed(content->routing_key.data, content->routing_key.len, ~seed);
    if (body.len <= WHOLE_MAX || thorough)
        set_identity(mark->identity, XXH3_128bits_withSeed(body.data, body.len, seed));
    if (body.len <= WHOLE_MAX)
        return;
    set_identity(thorough ? mark->samples : mark->identity, hash_samples(body, ~seed));
    mark->exact = thorough;
}

static uint8_t keep_text(char kept[LEDGER_TEXT], whippet_bytes text)
{
    size_t fits = text.len < LEDGER_TEXT ? text.len : LEDGER_TEXT;
    if (fits > 0)
        memcpy(kept, text.data, fits);
    return (uint8_t)fits;
}

void ledger_label(struct task_label *label, const whippet_message *message, whippet_bytes id, bool thorough)
{
    struct ledger_mark *mark = (void *)label->bytes;
    whippet_bytes queue = bytes_of_text(message->queue);
    identify(mark, message, queue, id, thorough);
    mark->attempt = message->attempt;
    mark->queue_length = keep_text(mark->queue, queue);
    mark->id_length = keep_text(mark->id, id);
}

void ledger_label_attempt(struct task_label *label, unsigned attempt)
{
    ((struct ledger_mark *)(void *)label->bytes)->attempt = attempt;
}
