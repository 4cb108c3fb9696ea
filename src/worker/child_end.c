/* When a child process has ended before its work: who pays for it. */
#include "child_group.h"
#include <base/log.h>
#include <base/memory.h>
#include <stdio.h>

/* Children that died in a row when a message was the next that they would have begun. */
enum {
    UNBEGUN_MAX = 3
};

static void set_reason(struct delivery *delivery, const char *text)
{
    memory_free(delivery->reason);
    delivery->reason = memory_copy_text(text);
}

/* Takes the delivery from its seat, for an end that its child does not report any more. */
static struct delivery *take(struct child *child, struct seat *seat)
{
    struct delivery *delivery = seat->delivery;
    double now = loop_now(child->group->subscription->worker->loop);
    delivery->duration = now - delivery->started_at;
    child_free_seat(child, seat);
    return delivery;
}

/* --- Those that had ended -------------------------------------------------------------------------------*/

/* What the page says of its attempt; 0: it has not begun. */
static uint64_t begun_in_page(const struct child *child, const struct seat *seat)
{
    uint64_t begun =
        atomic_load_explicit(&child->process.page->begun[seat - child->seats], memory_order_relaxed);
    return begun >> 32 == seat->serial ? begun : 0;
}

/* 0: it had not ended. */
static int32_t verdict_in_page(const struct child *child, const struct seat *seat)
{
    return (int32_t)(uint32_t)begun_in_page(child, seat);
}

static void settle_ended(struct child *child)
{
    for (uint32_t i = 0; i < child->group->share; i++) {
        struct seat *seat = &child->seats[i];
        int32_t verdict = seat->delivery != NULL ? verdict_in_page(child, seat) : 0;
        if (verdict == 0)
            continue;
        struct delivery *delivery = take(child, seat);
        delivery->verdict = (whippet_verdict)verdict;
        if (delivery->verdict != WHIPPET_ACK)
            set_reason(delivery, "its reason was lost with the child process, which ended right after it");
        delivery_attempt_ended(delivery);
    }
}

/* --- The guilty one -------------------------------------------------------------------------------------*/

/* Of those that had begun, or of those that had not; NULL: there is none. */
static struct seat *oldest(const struct child *child, bool begun)
{
    struct seat *first = NULL;
    for (uint32_t i = 0; i < child->group->share; i++) {
        struct seat *seat = &child->seats[i];
        if (seat->delivery != NULL && (begun_in_page(child, seat) != 0) == begun &&
            (first == NULL || seat->serial < first->serial))
            first = seat;
    }
    return first;
}

/* What never began is innocent, unless it brings its children down by being read: they read in order, so that
 * would be the first each time. NULL: nobody is to be charged. */
static struct seat *seat_read_in_vain(const struct child *child)
{
    struct seat *seat = oldest(child, false);
    return seat != NULL && ++seat->delivery->lost_unbegun >= UNBEGUN_MAX ? seat : NULL;
}

/* NULL: the board shows none that is still seated. */
static struct seat *seat_shown(const struct child *child, const struct task_board *board)
{
    struct child_label shown = child_label_read(&board->label);
    if (shown.slot < child->group->share && child->seats[shown.slot].delivery != NULL &&
        child->seats[shown.slot].serial == shown.serial)
        return &child->seats[shown.slot];
    return NULL;
}

/* One that had a thread of whippet_offload at work. */
static struct seat *seat_offloaded(const struct child *child)
{
    const struct child_page *page = child->process.page;
    for (size_t i = 0; i < LOOP_OFFLOAD_THREADS; i++)
        if (board_is_taken(&page->calls[i]))
            return seat_shown(child, &page->calls[i]);
    return NULL;
}

/* The one that had the CPU; else one in a thread; else the one that had the CPU last; else the one that began
 * first. Some one always pays while any has begun: else a message that brings its child down from a place
 * where nobody sees it would be run for ever. NULL: there was none. */
static struct seat *find_guilty(const struct child *child)
{
    const struct task_board *board = &child->process.page->board;
    struct seat *guilty = board_is_taken(board) ? seat_shown(child, board) : NULL;
    if (guilty == NULL)
        guilty = seat_offloaded(child);
    if (guilty == NULL)
        guilty = seat_shown(child, board);
    if (guilty == NULL)
        guilty = oldest(child, true);
    return guilty != NULL ? guilty : seat_read_in_vain(child);
}

static void charge(struct child *child, int status)
{
    char how[128], text[256];
    struct seat *guilty = find_guilty(child);
    if (guilty == NULL)
        return;
    struct delivery *delivery = take(child, guilty);
    child_process_describe(status, how, sizeof how);
    if (child->stalled) {
        delivery->struck = WHIPPET_E_TIMEOUT;
        snprintf(
            text, sizeof text,
            "it held up its child process past its timeout, without an await, and the process was ended");
    } else if (child->is_strange) {
        delivery->crashed = true;
        snprintf(text, sizeof text,
                 "its child process wrote what makes no sense into the worker's socket, "
                 "and was ended");
    } else {
        delivery->crashed = true;
        snprintf(text, sizeof text, "the child process %s", how);
    }
    set_reason(delivery, text);
    delivery_attempt_ended(delivery);
}

/* --- The others -----------------------------------------------------------------------------------------*/

/* Put back in front one by one, from the last to the first: so they keep their order. */
static void undo_rest(struct child *child)
{
    for (;;) {
        struct seat *last = NULL;
        for (uint32_t i = 0; i < child->group->share; i++) {
            struct seat *seat = &child->seats[i];
            if (seat->delivery != NULL && (last == NULL || seat->serial > last->serial))
                last = seat;
        }
        if (last == NULL)
            return;
        delivery_attempt_undone(take(child, last));
    }
}

void child_settle(struct child *child, int status)
{
    settle_ended(child);
    if (child->group->closing) {
        /* It was told to end or killed because it did not: nobody is to blame, and all goes back. */
        undo_rest(child);
        return;
    }
    charge(child, status);
    undo_rest(child);
}
