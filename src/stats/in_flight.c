#include <base/memory.h>
#include <stats/in_flight.h>
#include <stdalign.h>
#include <string.h>

/* --- Lists ----------------------------------------------------------------------------------------------*/

enum {
    BLOCK_SIZE = 16 * 1024 /* bytes: some 150 rows; whatever there is to list, no more is allocated at once */
};

struct in_flight_block {
    struct in_flight_block *next;
    size_t used;
    alignas(struct in_flight_row) char bytes[];
};

enum {
    BLOCK_ROOM = BLOCK_SIZE - sizeof(struct in_flight_block)
};

struct in_flight_list *in_flight_list_create(double as_of)
{
    struct in_flight_list *list = memory_allocate_zeroed(sizeof *list);
    if (list == NULL)
        return NULL;
    atomic_init(&list->holders, 1);
    list->as_of = as_of;
    return list;
}

static void *take_room(struct in_flight_list *list, size_t size)
{
    struct in_flight_block *block = list->blocks;
    size = (size + alignof(struct in_flight_row) - 1) & ~(alignof(struct in_flight_row) - 1);
    if (block == NULL || BLOCK_ROOM - block->used < size) {
        block = memory_allocate(BLOCK_SIZE);
        if (block == NULL)
            return NULL;
        block->next = list->blocks;
        block->used = 0;
        list->blocks = block;
    }
    void *room = block->bytes + block->used;
    block->used += size;
    return room;
}

static const char *put_text(char **at, const char *text, size_t length)
{
    char *place = *at;
    memcpy(place, text, length);
    place[length] = '\0';
    *at += length + 1;
    return place;
}

static size_t shorter(size_t length, size_t most)
{
    return length < most ? length : most;
}

bool in_flight_list_add(struct in_flight_list *list, const struct in_flight_row *row,
                        whippet_bytes message_id)
{
    size_t queue = strnlen(row->queue, IN_FLIGHT_QUEUE_MAX);
    size_t processor = strnlen(row->processor, IN_FLIGHT_PROCESSOR_MAX);
    const char *id = message_id.len > 0 ? message_id.data : "";
    size_t id_length = strnlen(id, shorter(message_id.len, IN_FLIGHT_MESSAGE_ID_MAX));
    struct in_flight_row *copy = take_room(list, sizeof *copy + queue + processor + id_length + 3);
    if (copy == NULL)
        return false;
    char *texts = (char *)(copy + 1);
    *copy = *row;
    copy->next = NULL;
    copy->queue = put_text(&texts, row->queue, queue);
    copy->processor = put_text(&texts, row->processor, processor);
    copy->message_id = put_text(&texts, id, id_length);
    if (list->last != NULL)
        list->last->next = copy;
    else
        list->first = copy;
    list->last = copy;
    list->count++;
    return true;
}

void in_flight_list_release(struct in_flight_list *list)
{
    if (list == NULL || atomic_fetch_sub(&list->holders, 1) > 1)
        return;
    for (struct in_flight_block *block = list->blocks, *next; block != NULL; block = next) {
        next = block->next;
        memory_free(block);
    }
    memory_free(list);
}

/* --- The board ------------------------------------------------------------------------------------------*/

void in_flight_board_init(struct in_flight_board *board)
{
    pthread_mutex_init(&board->lock, NULL);
    board->newest = NULL;
}

void in_flight_board_destroy(struct in_flight_board *board)
{
    in_flight_list_release(board->newest);
    pthread_mutex_destroy(&board->lock);
}

bool in_flight_board_show(struct in_flight_board *board, struct in_flight_list *list)
{
    if (pthread_mutex_trylock(&board->lock) != 0)
        return false;
    struct in_flight_list *before = board->newest;
    board->newest = list;
    pthread_mutex_unlock(&board->lock);
    in_flight_list_release(before);
    return true;
}

struct in_flight_list *in_flight_board_look(struct in_flight_board *board)
{
    pthread_mutex_lock(&board->lock);
    struct in_flight_list *list = board->newest;
    if (list != NULL)
        atomic_fetch_add(&list->holders, 1);
    pthread_mutex_unlock(&board->lock);
    return list;
}
