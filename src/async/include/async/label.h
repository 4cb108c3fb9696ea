/* Whom a task works for, in a form that outlives the process.
 *
 * While a labelled task runs, a copy of its label lies on the scheduler's board. Where the board is a page of
 * a mapped file, it tells afterwards, whatever ended the process, who was on the CPU at that moment. What the
 * bytes mean is up to whoever labels. */
#ifndef ASYNC_LABEL_H
#define ASYNC_LABEL_H

#include <stdint.h>
#include <string.h>

enum {
    TASK_LABEL_SIZE = 120 /* bytes; with `shown`, two cache lines */
};

struct task_label {
    uint64_t shown; /* of a board: not 0 while the rest is somebody's label */
    char bytes[TASK_LABEL_SIZE];
};

/* The bytes are there before the mark that they count, and the mark is gone before they change: a process may
 * be killed between any two instructions. */
static inline void label_show(struct task_label *board, const struct task_label *label)
{
    memcpy(board->bytes, label->bytes, sizeof board->bytes);
    __atomic_store_n(&board->shown, 1, __ATOMIC_RELEASE);
}

static inline void label_hide(struct task_label *board)
{
    __atomic_store_n(&board->shown, 0, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

#endif
