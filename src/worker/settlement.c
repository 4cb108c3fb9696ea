#include <base/memory.h>
#include <string.h>
#include <worker/settlement.h>

enum {
    CAPACITY_AT_FIRST = 64
};

void settlement_init(struct settlement *settlement)
{
    memset(settlement, 0, sizeof *settlement);
    settlement_reset(settlement);
}

void settlement_destroy(struct settlement *settlement)
{
    memory_free(settlement->window);
    memory_free(settlement->stragglers);
    memory_free(settlement->acked);
}

void settlement_reset(struct settlement *settlement)
{
    settlement->first = settlement->next = 1;
    settlement->straggler_count = 0;
    settlement->acked_count = 0;
    settlement->outstanding = 0;
}

static bool *window_at(const struct settlement *settlement, uint64_t tag)
{
    return &settlement->window[tag & (settlement->window_capacity - 1)];
}

static bool grow_window(struct settlement *settlement)
{
    size_t capacity = settlement->window_capacity == 0 ? CAPACITY_AT_FIRST : settlement->window_capacity * 2;
    bool *window = memory_allocate(capacity * sizeof *window);
    if (window == NULL)
        return false;
    for (uint64_t tag = settlement->first; tag < settlement->next; tag++)
        window[tag & (capacity - 1)] = *window_at(settlement, tag);
    memory_free(settlement->window);
    settlement->window = window;
    settlement->window_capacity = capacity;
    return true;
}

/* So that neither settling nor leaving a straggler behind can fail for want of memory. */
static bool grow_lists(struct settlement *settlement)
{
    size_t capacity = settlement->capacity == 0 ? CAPACITY_AT_FIRST : settlement->capacity * 2;
    uint64_t *stragglers = memory_resize(settlement->stragglers, capacity * sizeof *stragglers);
    if (stragglers != NULL)
        settlement->stragglers = stragglers;
    uint64_t *acked = memory_resize(settlement->acked, capacity * sizeof *acked);
    if (acked != NULL)
        settlement->acked = acked;
    if (stragglers == NULL || acked == NULL)
        return false;
    settlement->capacity = capacity;
    return true;
}

/* The window's beginning moves up over all that is settled or about to be. */
static void advance(struct settlement *settlement)
{
    while (settlement->first < settlement->next && !*window_at(settlement, settlement->first))
        settlement->first++;
}

static void leave_first_behind(struct settlement *settlement)
{
    if (settlement->first < settlement->next && *window_at(settlement, settlement->first))
        settlement->stragglers[settlement->straggler_count++] = settlement->first;
    settlement->first++;
}

static bool make_room(struct settlement *settlement, uint64_t tag)
{
    if (settlement_unacknowledged(settlement) == settlement->capacity && !grow_lists(settlement))
        return false;
    advance(settlement);
    while (tag - settlement->first >= settlement->window_capacity)
        if (settlement->window_capacity == SETTLEMENT_WINDOW_MAX)
            leave_first_behind(settlement);
        else if (!grow_window(settlement))
            return false;
    return true;
}

enum settlement_result settlement_delivered(struct settlement *settlement, uint64_t tag)
{
    if (tag < settlement->next || tag - settlement->next >= SETTLEMENT_WINDOW_MAX)
        return SETTLEMENT_UNKNOWN;
    if (!make_room(settlement, tag))
        return SETTLEMENT_MEMORY;
    for (uint64_t skipped = settlement->next; skipped < tag; skipped++)
        *window_at(settlement, skipped) = false;
    *window_at(settlement, tag) = true;
    settlement->next = tag + 1;
    settlement->outstanding++;
    return SETTLEMENT_DONE;
}

/* Where the tag stands among the stragglers, or would. */
static size_t straggler_place(const struct settlement *settlement, uint64_t tag)
{
    size_t low = 0, high = settlement->straggler_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (settlement->stragglers[middle] < tag)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool settle_straggler(struct settlement *settlement, uint64_t tag)
{
    size_t place = straggler_place(settlement, tag);
    if (place == settlement->straggler_count || settlement->stragglers[place] != tag)
        return false;
    settlement->straggler_count--;
    memmove(&settlement->stragglers[place], &settlement->stragglers[place + 1],
            (settlement->straggler_count - place) * sizeof *settlement->stragglers);
    return true;
}

static bool settle_in_window(struct settlement *settlement, uint64_t tag)
{
    if (tag >= settlement->next || !*window_at(settlement, tag))
        return false;
    *window_at(settlement, tag) = false;
    return true;
}

/* False when the tag is not outstanding. */
static bool settle(struct settlement *settlement, uint64_t tag)
{
    bool settled =
        tag < settlement->first ? settle_straggler(settlement, tag) : settle_in_window(settlement, tag);
    if (settled)
        settlement->outstanding--;
    return settled;
}

enum settlement_result settlement_ack(struct settlement *settlement, uint64_t tag)
{
    if (!settle(settlement, tag))
        return SETTLEMENT_UNKNOWN;
    settlement->acked[settlement->acked_count++] = tag;
    return SETTLEMENT_DONE;
}

enum settlement_result settlement_return(struct settlement *settlement, uint64_t tag)
{
    return settle(settlement, tag) ? SETTLEMENT_DONE : SETTLEMENT_UNKNOWN;
}

void settlement_flush(struct settlement *settlement, settlement_send *send, void *owner)
{
    if (settlement->acked_count == 0)
        return;
    advance(settlement);
    uint64_t watermark = settlement->straggler_count > 0 ? settlement->stragglers[0] : settlement->first;
    uint64_t highest = 0;
    size_t below = 0;
    for (size_t i = 0; i < settlement->acked_count; i++) {
        uint64_t tag = settlement->acked[i];
        if (tag >= watermark)
            continue;
        below++;
        if (tag > highest)
            highest = tag;
    }
    /* The tag of a multiple ack must itself be unsettled at the broker: the highest that waits for its ack
     * is. */
    if (below > 0)
        send(owner, highest, below > 1);
    for (size_t i = 0; i < settlement->acked_count; i++)
        if (settlement->acked[i] >= watermark)
            send(owner, settlement->acked[i], false);
    settlement->acked_count = 0;
}
