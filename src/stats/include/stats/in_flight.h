/* What is in flight, for readers: now and then the loop makes a list of it all, which nobody changes any
 * more, and hangs it on the board. Who reads takes hold of the newest, also while the loop is blocked. */
#ifndef STATS_IN_FLIGHT_H
#define STATS_IN_FLIGHT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <whippet/types.h>

/* One delivery. A list's texts are its own. */
struct in_flight_row {
    const struct in_flight_row *next; /* in the order of arrival; NULL: it is the last */
    const char *queue;
    const char *processor;
    const char *message_id; /* "": it has none */
    const char *state;      /* static: "running", "sleeping", "between two attempts" … */
    unsigned attempt;       /* from 1; 0: none begun */
    double arrived_at;      /* clock_monotonic */
    double at_work_since;   /* the attempt, its way to another queue included; 0: it rests */
};

struct in_flight_block;

struct in_flight_list {
    atomic_uint holders;
    const struct in_flight_row *first; /* NULL: nothing is in flight */
    size_t count;
    double as_of; /* clock_monotonic: what was in flight then, and was still when its row was written */

    struct in_flight_row *last;
    struct in_flight_block *blocks; /* where the rows are; the newest first */
};

enum {
    /* Bytes; names that are longer are cut. */
    IN_FLIGHT_QUEUE_MAX = 255,
    IN_FLIGHT_PROCESSOR_MAX = 127,
    IN_FLIGHT_MESSAGE_ID_MAX = 127,
};

/* An empty one, held by the caller. NULL when memory is short. */
struct in_flight_list *in_flight_list_create(double as_of);

/* Copies the row to its end, with that message id in place of its own: any bytes, of which those from the
 * first NUL on are left out. False when memory is short. */
bool in_flight_list_add(struct in_flight_list *list, const struct in_flight_row *row,
                        whippet_bytes message_id);

/* The last to let go of it frees it, on whatever thread. NULL is fine. */
void in_flight_list_release(struct in_flight_list *list);

struct in_flight_board {
    pthread_mutex_t lock;          /* held for as long as it takes to take hold of a list */
    struct in_flight_list *newest; /* held; NULL: there was none yet */
};

void in_flight_board_init(struct in_flight_board *board);
void in_flight_board_destroy(struct in_flight_board *board);

/* For the loop, which never waits: takes the caller's hold over. False, and then it does not, when somebody
 * is just taking hold of the one before; a moment later will do. */
bool in_flight_board_show(struct in_flight_board *board, struct in_flight_list *list);

/* The newest, held: release it. NULL: there was none yet. */
struct in_flight_list *in_flight_board_look(struct in_flight_board *board);

#endif
