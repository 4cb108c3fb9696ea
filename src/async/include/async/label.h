/* Whom a task works for, in a form that outlives the process.
 *
 * A scheduler shows the label of its running task on its board. Where the board is memory that outlives a
 * crash, a page of a mapped file or one shared with another process, it tells afterwards, whatever ended the
 * process, who was on the CPU at that moment, and who was last. What the bytes mean is up to whoever labels.
 */
#ifndef ASYNC_LABEL_H
#define ASYNC_LABEL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    TASK_LABEL_SIZE = 120 /* bytes; with a board's `turns`, two cache lines */
};

struct task_label {
    _Alignas(8) char bytes[TASK_LABEL_SIZE];
};

struct task_board {
    uint64_t turns; /* counts up whenever a labelled task gets the CPU or gives it up: odd while one has it */
    struct task_label label; /* of the one that has it, or had it last; zeros before the first */
};

/* For whoever looks: on one thread, in a signal's handler, from another process. */
static inline uint64_t board_turns(const struct task_board *board)
{
    return __atomic_load_n(&board->turns, __ATOMIC_ACQUIRE);
}

static inline bool board_is_taken(const struct task_board *board)
{
    return board_turns(board) % 2 == 1;
}

/* There is one writer, so a load and a store do. The label is there before the turn that it is shown in, and
 * the turn is over before the label changes: a process may be killed between any two instructions. */
static inline void board_clear(struct task_board *board)
{
    uint64_t turns = __atomic_load_n(&board->turns, __ATOMIC_RELAXED);
    __atomic_store_n(&board->turns, turns + turns % 2, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void board_show(struct task_board *board, const struct task_label *label)
{
    board_clear(board);
    board->label = *label;
    __atomic_store_n(&board->turns, board->turns + 1, __ATOMIC_RELEASE);
}

#endif
