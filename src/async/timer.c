/* A heap with four children to a node: half as deep as a binary one, and a node's children share a cache line
 * or two. */
#include <async/timer.h>
#include <base/memory.h>
#include <math.h>

enum {
    CHILDREN = 4,
    SMALLEST_CAPACITY = 64,
};

static bool slot_before(const struct timer_slot *a, const struct timer_slot *b)
{
    return a->at < b->at || (a->at == b->at && a->arming < b->arming);
}

static void slot_put(struct timers *timers, size_t index, struct timer_slot slot)
{
    timers->heap[index] = slot;
    slot.timer->place = index + 1;
}

/* Moves the hole at `index` towards the root until `slot` fits in. */
static void heap_rise(struct timers *timers, size_t index, struct timer_slot slot)
{
    while (index > 0) {
        size_t parent = (index - 1) / CHILDREN;
        if (!slot_before(&slot, &timers->heap[parent]))
            break;
        slot_put(timers, index, timers->heap[parent]);
        index = parent;
    }
    slot_put(timers, index, slot);
}

static size_t earliest_child(const struct timers *timers, size_t index)
{
    size_t first = index * CHILDREN + 1;
    size_t end = first + CHILDREN < timers->count ? first + CHILDREN : timers->count;
    size_t earliest = first;
    for (size_t child = first + 1; child < end; child++) {
        if (slot_before(&timers->heap[child], &timers->heap[earliest]))
            earliest = child;
    }
    return earliest;
}

/* Moves the hole at `index` away from the root until `slot` fits in. */
static void heap_sink(struct timers *timers, size_t index, struct timer_slot slot)
{
    while (index * CHILDREN + 1 < timers->count) {
        size_t child = earliest_child(timers, index);
        if (!slot_before(&timers->heap[child], &slot))
            break;
        slot_put(timers, index, timers->heap[child]);
        index = child;
    }
    slot_put(timers, index, slot);
}

/* Takes the slot out; the last one of the heap fills the hole. */
static void heap_remove(struct timers *timers, size_t index)
{
    struct timer_slot last = timers->heap[--timers->count];
    if (index == timers->count)
        return;
    if (index > 0 && slot_before(&last, &timers->heap[(index - 1) / CHILDREN]))
        heap_rise(timers, index, last);
    else
        heap_sink(timers, index, last);
}

static bool set_capacity(struct timers *timers, size_t capacity)
{
    struct timer_slot *heap = memory_resize(timers->heap, capacity * sizeof *heap);
    if (heap == NULL)
        return false;
    timers->heap = heap;
    timers->capacity = capacity;
    return true;
}

static bool make_room(struct timers *timers, size_t count)
{
    if (count <= timers->capacity)
        return true;
    size_t capacity = timers->capacity > 0 ? timers->capacity : SMALLEST_CAPACITY;
    while (capacity < count)
        capacity *= 2;
    return set_capacity(timers, capacity);
}

/* After a burst: what is not needed goes back once a quarter would do. */
static void give_room_back(struct timers *timers)
{
    size_t needed = timers->count + timers->reserved;
    if (timers->capacity > SMALLEST_CAPACITY && needed < timers->capacity / 4)
        set_capacity(timers, timers->capacity / 2);
}

void timers_init(struct timers *timers)
{
    *timers = (struct timers){0};
}

void timers_destroy(struct timers *timers)
{
    memory_free(timers->heap);
    timers_init(timers);
}

bool timers_reserve(struct timers *timers, size_t count)
{
    if (count > timers->reserved && !make_room(timers, timers->count + count))
        return false;
    timers->reserved = count;
    return true;
}

void timer_start_reserved(struct timers *timers, struct timer *timer, double at)
{
    timer_stop(timers, timer);
    timer->at = at;
    struct timer_slot slot = {.at = at, .arming = timers->armings++, .timer = timer};
    heap_rise(timers, timers->count++, slot);
}

bool timer_start(struct timers *timers, struct timer *timer, double at)
{
    timer_stop(timers, timer);
    if (!make_room(timers, timers->count + 1 + timers->reserved))
        return false;
    timer_start_reserved(timers, timer, at);
    return true;
}

void timer_stop(struct timers *timers, struct timer *timer)
{
    if (timer->place == TIMER_DUE)
        list_remove(&timer->due);
    else if (timer->place != 0)
        heap_remove(timers, timer->place - 1);
    timer->place = 0;
}

double timers_next(const struct timers *timers)
{
    return timers->count > 0 ? timers->heap[0].at : INFINITY;
}

size_t timers_run(struct timers *timers, double now)
{
    struct list due;
    list_init(&due);
    while (timers->count > 0 && timers->heap[0].at <= now) {
        struct timer *timer = timers->heap[0].timer;
        heap_remove(timers, 0);
        timer->place = TIMER_DUE;
        list_append(&due, &timer->due);
    }

    size_t ran = 0;
    struct list *link;
    while ((link = list_take_first(&due)) != NULL) {
        struct timer *timer = list_entry(link, struct timer, due);
        timer->place = 0;
        timer->function(timer);
        ran++;
    }
    if (ran > 0)
        give_room_back(timers);
    return ran;
}
