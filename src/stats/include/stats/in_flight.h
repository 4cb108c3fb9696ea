/* The board of deliveries in flight: the loop writes the slowest of them on it now and then, and whoever
 * wants to know reads it, also while the loop is blocked. */
#ifndef STATS_IN_FLIGHT_H
#define STATS_IN_FLIGHT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Names that are longer are cut. */
struct in_flight_row {
    char queue[256];
    char processor[128];
    char message_id[128]; /* "": it has none */
    char state[64];       /* "running", "sleeping", "between two attempts" … */
    unsigned attempt;     /* from 1; 0: none begun */
    double arrived_at;    /* clock_monotonic */
    double started_at;    /* the attempt; 0: none begun */
};

enum {
    IN_FLIGHT_ROWS = 100
};

struct in_flight_board {
    pthread_mutex_t lock;
    size_t count;
    uint64_t in_flight;                        /* of which the rows are the oldest */
    double written_at;                         /* clock_monotonic; 0: never yet */
    struct in_flight_row rows[IN_FLIGHT_ROWS]; /* oldest first */
};

void in_flight_board_init(struct in_flight_board *board);
void in_flight_board_destroy(struct in_flight_board *board);

/* For the loop: false when somebody reads at the moment, so that the loop never waits; the next time will do.
 * True: it may change everything but the lock, and calls in_flight_board_end. */
bool in_flight_board_begin(struct in_flight_board *board);
void in_flight_board_end(struct in_flight_board *board, double now);

/* A copy, for the caller to free with memory_free; NULL when memory is short. */
struct in_flight_board *in_flight_board_copy(struct in_flight_board *board);

#endif
