#include <base/memory.h>
#include <string.h>
#include <worker/settlement.h>

enum tag_state { TAG_OUTSTANDING, TAG_ACKED, TAG_SETTLED };

enum { CAPACITY_AT_FIRST = 64 };

void settlement_init(struct settlement *settlement)
{
    memset(settlement, 0, sizeof *settlement);
    settlement_reset(settlement);
}

void settlement_destroy(struct settlement *settlement)
{
    memory_free(settlement->states);
    memory_free(settlement->acked);
}

void settlement_reset(struct settlement *settlement)
{
    settlement->first = settlement->next = 1;
    settlement->acked_count = 0;
    settlement->outstanding = 0;
}

static uint8_t *state_of(const struct settlement *settlement, uint64_t tag)
{
    return &settlement->states[tag & (settlement->capacity - 1)];
}

static bool grow(struct settlement *settlement)
{
    size_t capacity = settlement->capacity == 0 ? CAPACITY_AT_FIRST : settlement->capacity * 2;
    uint8_t *states = memory_allocate(capacity);
    uint64_t *acked = memory_resize(settlement->acked, capacity * sizeof *acked);
    if (acked != NULL)
        settlement->acked = acked;
    if (states == NULL || acked == NULL) {
        memory_free(states);
        return false;
    }
    for (uint64_t tag = settlement->first; tag < settlement->next; tag++)
        states[tag & (capacity - 1)] = *state_of(settlement, tag);
    memory_free(settlement->states);
    settlement->states = states;
    settlement->capacity = capacity;
    return true;
}

/* The low watermark moves up over all that is settled or about to be. */
static void advance(struct settlement *settlement)
{
    while (settlement->first < settlement->next && *state_of(settlement, settlement->first) != TAG_OUTSTANDING)
        settlement->first++;
}

enum settlement_result settlement_delivered(struct settlement *settlement, uint64_t tag)
{
    if (tag < settlement->next)
        return SETTLEMENT_UNKNOWN;
    if (settlement->acked_count == 0)
        advance(settlement);
    if (tag - settlement->first >= SETTLEMENT_WINDOW_MAX)
        return SETTLEMENT_UNKNOWN;
    while (tag - settlement->first >= settlement->capacity)
        if (!grow(settlement))
            return SETTLEMENT_MEMORY;
    for (uint64_t skipped = settlement->next; skipped < tag; skipped++)
        *state_of(settlement, skipped) = TAG_SETTLED;
    *state_of(settlement, tag) = TAG_OUTSTANDING;
    settlement->next = tag + 1;
    settlement->outstanding++;
    return SETTLEMENT_DONE;
}

static bool is_outstanding(const struct settlement *settlement, uint64_t tag)
{
    return tag >= settlement->first && tag < settlement->next && *state_of(settlement, tag) == TAG_OUTSTANDING;
}

enum settlement_result settlement_ack(struct settlement *settlement, uint64_t tag)
{
    if (!is_outstanding(settlement, tag))
        return SETTLEMENT_UNKNOWN;
    *state_of(settlement, tag) = TAG_ACKED;
    settlement->acked[settlement->acked_count++] = tag;
    settlement->outstanding--;
    return SETTLEMENT_DONE;
}

enum settlement_result settlement_return(struct settlement *settlement, uint64_t tag)
{
    if (!is_outstanding(settlement, tag))
        return SETTLEMENT_UNKNOWN;
    *state_of(settlement, tag) = TAG_SETTLED;
    settlement->outstanding--;
    return SETTLEMENT_DONE;
}

void settlement_flush(struct settlement *settlement, settlement_send *send, void *owner)
{
    if (settlement->acked_count == 0)
        return;
    advance(settlement);
    uint64_t highest = 0;
    size_t below = 0;
    for (size_t i = 0; i < settlement->acked_count; i++) {
        uint64_t tag = settlement->acked[i];
        *state_of(settlement, tag) = TAG_SETTLED;
        if (tag >= settlement->first)
            continue;
        below++;
        if (tag > highest)
            highest = tag;
    }
    /* The tag of a multiple ack must itself be unsettled at the broker: the highest that waits for its ack is. */
    if (below > 0)
        send(owner, highest, below > 1);
    for (size_t i = 0; i < settlement->acked_count; i++)
        if (settlement->acked[i] >= settlement->first)
            send(owner, settlement->acked[i], false);
    settlement->acked_count = 0;
}
