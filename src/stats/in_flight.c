#include <base/memory.h>
#include <stats/in_flight.h>
#include <string.h>

void in_flight_board_init(struct in_flight_board *board)
{
    pthread_mutex_init(&board->lock, NULL);
    board->count = 0;
    board->in_flight = 0;
    board->written_at = 0;
}

void in_flight_board_destroy(struct in_flight_board *board)
{
    pthread_mutex_destroy(&board->lock);
}

bool in_flight_board_begin(struct in_flight_board *board)
{
    return pthread_mutex_trylock(&board->lock) == 0;
}

void in_flight_board_end(struct in_flight_board *board, double now)
{
    board->written_at = now;
    pthread_mutex_unlock(&board->lock);
}

struct in_flight_board *in_flight_board_copy(struct in_flight_board *board)
{
    struct in_flight_board *copy = memory_allocate(sizeof *copy);
    if (copy == NULL)
        return NULL;
    pthread_mutex_lock(&board->lock);
    copy->count = board->count;
    copy->in_flight = board->in_flight;
    copy->written_at = board->written_at;
    memcpy(copy->rows, board->rows, board->count * sizeof board->rows[0]);
    pthread_mutex_unlock(&board->lock);
    return copy;
}
