/* A ring of items, and two lines: of those that have one to put and of those that want one. At most one of
 * the lines is ever occupied. */
#include "line.h"
#include <base/memory.h>
#include <stdint.h>
#include <whippet/sync.h>

struct whippet_channel {
    struct scheduler *home; /* NULL before its first use */
    bool closed;
    struct list putters; /* struct exchange: the ring is full */
    struct list getters; /* struct exchange: the ring is empty */
    size_t capacity;
    size_t first; /* where in the ring the oldest item is */
    size_t length;
    void *ring[];
};

/* A task that waits, and the item that it brings or takes. */
struct exchange {
    struct place_in_line place;
    void *item;
};

static struct exchange *exchange_first(struct list *line)
{
    struct place_in_line *place = line_first(line);
    return place != NULL ? list_entry(place, struct exchange, place) : NULL;
}

whippet_channel *whippet_channel_create(size_t capacity)
{
    if (capacity == 0 || capacity > (SIZE_MAX - sizeof(whippet_channel)) / sizeof(void *))
        return NULL;
    whippet_channel *channel = memory_allocate(sizeof *channel + capacity * sizeof(void *));
    if (channel == NULL)
        return NULL;
    *channel = (whippet_channel){.capacity = capacity};
    list_init(&channel->putters);
    list_init(&channel->getters);
    return channel;
}

void whippet_channel_destroy(whippet_channel *channel)
{
    if (channel == NULL)
        return;
    whippet_channel_close(channel);
    memory_free(channel);
}

void whippet_channel_close(whippet_channel *channel)
{
    channel->closed = true;
    line_call_all(&channel->putters, WHIPPET_E_CLOSED);
    line_call_all(&channel->getters, WHIPPET_E_CLOSED);
}

size_t whippet_channel_length(const whippet_channel *channel)
{
    return channel->length;
}

static void ring_put(whippet_channel *channel, void *item)
{
    channel->ring[(channel->first + channel->length) % channel->capacity] = item;
    channel->length++;
}

static void *ring_take(whippet_channel *channel)
{
    void *item = channel->ring[channel->first];
    channel->first = (channel->first + 1) % channel->capacity;
    channel->length--;
    return item;
}

bool whippet_channel_try_put(whippet_channel *channel, void *item)
{
    if (channel->closed || channel->length == channel->capacity)
        return false;
    struct exchange *getter = exchange_first(&channel->getters);
    if (getter != NULL) {
        getter->item = item;
        line_call(&getter->place, 0);
    } else {
        ring_put(channel, item);
    }
    return true;
}

bool whippet_channel_try_get(whippet_channel *channel, void **item)
{
    if (channel->length == 0)
        return false;
    *item = ring_take(channel);
    struct exchange *putter = exchange_first(&channel->putters);
    if (putter != NULL) {
        ring_put(channel, putter->item);
        line_call(&putter->place, 0);
    }
    return true;
}

int whippet_channel_put(whippet_task *task, whippet_channel *channel, void *item)
{
    int error = line_check(task, &channel->home);
    if (error != 0)
        return error;
    if (channel->closed)
        return WHIPPET_E_CLOSED;
    if (whippet_channel_try_put(channel, item))
        return 0;
    struct exchange exchange = {.item = item};
    return line_wait(task, &channel->putters, &exchange.place, "waiting for room in a channel");
}

int whippet_channel_get(whippet_task *task, whippet_channel *channel, void **item)
{
    int error = line_check(task, &channel->home);
    if (error != 0 || whippet_channel_try_get(channel, item))
        return error;
    if (channel->closed)
        return WHIPPET_E_CLOSED;
    struct exchange exchange = {0};
    error = line_wait(task, &channel->getters, &exchange.place, "waiting for an item in a channel");
    if (error == 0)
        *item = exchange.item;
    return error;
}
