/* A ring of items, and two lines: of those that have one to put and of those that want one. At most one of
 * the lines is ever occupied. */
#include "line.h"
#include <base/memory.h>
#include <stdint.h>
#include <whippet/sync.h>

struct whippet_channel {
    struct line_lock lock;
    bool closed;
    struct list putters; /* struct exchange: the ring is full */
    struct list getters; /* struct exchange: the ring is empty */
    size_t capacity;
    size_t first;         /* where in the ring the oldest item is */
    atomic_size_t length; /* written with the lock, read without */
    void *ring[];
};

/* A task that waits, and the item that it brings or takes. */
struct exchange {
    struct place_in_line place;
    void *item;
};

static struct exchange *exchange_call(struct list *line)
{
    struct place_in_line *place = line_call(line, 0);
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

/* Who comes once it is closed does not wait any more. */
void whippet_channel_close(whippet_channel *channel)
{
    line_lock(&channel->lock);
    channel->closed = true;
    line_call_all(&channel->lock, &channel->putters, WHIPPET_E_CLOSED);
    line_lock(&channel->lock);
    line_call_all(&channel->lock, &channel->getters, WHIPPET_E_CLOSED);
}

/* --- With the lock held ---------------------------------------------------------------------------------*/

static size_t ring_length(const whippet_channel *channel)
{
    return atomic_load_explicit(&channel->length, memory_order_relaxed);
}

static void ring_put(whippet_channel *channel, void *item)
{
    size_t length = ring_length(channel);
    channel->ring[(channel->first + length) % channel->capacity] = item;
    atomic_store_explicit(&channel->length, length + 1, memory_order_relaxed);
}

static void *ring_take(whippet_channel *channel)
{
    void *item = channel->ring[channel->first];
    channel->first = (channel->first + 1) % channel->capacity;
    atomic_store_explicit(&channel->length, ring_length(channel) - 1, memory_order_relaxed);
    return item;
}

/* Whoever got it waits to be woken: `*getter`, NULL for nobody. */
static bool put(whippet_channel *channel, void *item, struct exchange **getter)
{
    *getter = NULL;
    if (channel->closed || ring_length(channel) == channel->capacity)
        return false;
    *getter = exchange_call(&channel->getters);
    if (*getter != NULL)
        (*getter)->item = item;
    else
        ring_put(channel, item);
    return true;
}

/* There is room for the item of a putter then, who waits to be woken. */
static bool get(whippet_channel *channel, void **item, struct exchange **putter)
{
    *putter = NULL;
    if (ring_length(channel) == 0)
        return false;
    *item = ring_take(channel);
    *putter = exchange_call(&channel->putters);
    if (*putter != NULL)
        ring_put(channel, (*putter)->item);
    return true;
}

/* --- Without --------------------------------------------------------------------------------------------*/

size_t whippet_channel_length(const whippet_channel *channel)
{
    return ring_length(channel);
}

/* Gives the lock back. */
static void leave(whippet_channel *channel, struct exchange *partner)
{
    line_unlock(&channel->lock);
    line_wake(partner != NULL ? &partner->place : NULL);
}

bool whippet_channel_try_put(whippet_channel *channel, void *item)
{
    struct exchange *getter;
    line_lock(&channel->lock);
    bool is_put = put(channel, item, &getter);
    leave(channel, getter);
    return is_put;
}

bool whippet_channel_try_get(whippet_channel *channel, void **item)
{
    struct exchange *putter;
    line_lock(&channel->lock);
    bool is_got = get(channel, item, &putter);
    leave(channel, putter);
    return is_got;
}

int whippet_channel_put(whippet_task *task, whippet_channel *channel, void *item)
{
    struct exchange exchange, *getter;
    int error = line_check(task);
    if (error != 0)
        return error;
    line_lock(&channel->lock);
    bool closed = channel->closed;
    if (put(channel, item, &getter) || closed) {
        leave(channel, getter);
        return closed ? WHIPPET_E_CLOSED : 0;
    }
    exchange.item = item;
    return line_wait(task, &channel->lock, &channel->putters, &exchange.place,
                     "waiting for room in a channel");
}

int whippet_channel_get(whippet_task *task, whippet_channel *channel, void **item)
{
    struct exchange exchange, *putter;
    int error = line_check(task);
    if (error != 0)
        return error;
    line_lock(&channel->lock);
    bool is_got = get(channel, item, &putter);
    if (is_got || channel->closed) {
        leave(channel, putter);
        return is_got ? 0 : WHIPPET_E_CLOSED;
    }
    error = line_wait(task, &channel->lock, &channel->getters, &exchange.place,
                      "waiting for an item in a channel");
    if (error == 0)
        *item = exchange.item;
    return error;
}
