#include "exec_pump.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>
#include <whippet/task.h>

enum {
    READ_SIZE = 64 * 1024, /* what a pipe holds: read in one go, once a turn, so that no child keeps the
                            * others waiting */
    DRAIN_SIZE = 4 * 1024, /* the same on a task's stack */
    AT_ONCE = PIPE_BUF,    /* what the smallest of empty pipes takes without a wait */
    MOST_DRAINED = 2,      /* collectors */
};

static int take(int *descriptor)
{
    int taken = *descriptor;
    *descriptor = -1;
    return taken;
}

static void close_pipe(int *descriptor, struct watch **watch)
{
    if (*watch != NULL)
        watch_destroy(*watch);
    *watch = NULL;
    if (*descriptor >= 0)
        close(take(descriptor));
}

static bool stop_blocking(int descriptor)
{
    return fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0;
}

/* True while there is more to write and somebody who may read it. */
static bool feeder_write(struct feeder *feeder)
{
    while (feeder->left.len > 0) {
        ssize_t count = write(feeder->descriptor, feeder->left.data, feeder->left.len);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return errno == EAGAIN;
        feeder->left.data = (const char *)feeder->left.data + count;
        feeder->left.len -= (size_t)count;
    }
    return false;
}

static void feeder_ready(void *owner, int events)
{
    struct feeder *feeder = owner;
    (void)events;
    if (!feeder_write(feeder))
        feeder_stop(feeder);
}

void feeder_init(struct feeder *feeder, whippet_bytes input)
{
    *feeder = (struct feeder){.descriptor = -1, .left = input};
}

static bool feeder_watch(struct feeder *feeder, struct loop *loop)
{
    feeder->watch = watch_create(loop, feeder->descriptor, feeder_ready, feeder);
    if (feeder->watch != NULL)
        watch_set(feeder->watch, WHIPPET_WRITABLE);
    return feeder->watch != NULL;
}

bool feeder_start(struct feeder *feeder, struct loop *loop, int *descriptor)
{
    feeder->descriptor = take(descriptor);
    bool is_able = feeder->left.len <= AT_ONCE || stop_blocking(feeder->descriptor);
    bool is_full = is_able && feeder_write(feeder);
    if (is_full && feeder_watch(feeder, loop))
        return true;
    feeder_stop(feeder);
    return is_able && !is_full;
}

void feeder_stop(struct feeder *feeder)
{
    close_pipe(&feeder->descriptor, &feeder->watch);
}

/* False when memory is short. */
static bool collector_keep_beginning(struct collector *collector, const char *data, size_t length)
{
    size_t room = collector->limit - buffer_length(&collector->kept);
    if (length > room) {
        collector->truncated = true;
        length = room;
    }
    return buffer_append(&collector->kept, data, length);
}

/* False when memory is short. */
static bool collector_keep_end(struct collector *collector, const char *data, size_t length)
{
    size_t skipped = length > collector->limit ? length - collector->limit : 0;
    size_t total = buffer_length(&collector->kept) + length - skipped;
    size_t surplus = total > collector->limit ? total - collector->limit : 0;
    if (skipped + surplus > 0)
        collector->truncated = true;
    if (surplus > 0)
        buffer_consume(&collector->kept, surplus);
    return buffer_append(&collector->kept, data + skipped, length - skipped);
}

/* False when memory is short. */
static bool collector_keep(struct collector *collector, const char *data, size_t length)
{
    bool kept = collector->part == COLLECTOR_BEGINNING ? collector_keep_beginning(collector, data, length)
                                                       : collector_keep_end(collector, data, length);
    collector->starved = !kept;
    return kept;
}

/* False at the end of the pipe, or of the memory. */
static bool collector_read(struct collector *collector, char *room, size_t size)
{
    ssize_t count = read(collector->descriptor, room, size);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR;
    return count > 0 && collector_keep(collector, room, (size_t)count);
}

static void collector_ready(void *owner, int events)
{
    struct collector *collector = owner;
    char room[READ_SIZE];
    (void)events;
    if (collector_read(collector, room, sizeof room))
        return;
    collector_stop(collector);
    collector->ended(collector->owner);
}

void collector_init(struct collector *collector, enum collector_part part, size_t limit,
                    void (*ended)(void *owner), void *owner)
{
    *collector = (struct collector){
        .descriptor = -1,
        .limit = limit,
        .part = part,
        .ended = ended,
        .owner = owner,
    };
    buffer_init(&collector->kept);
}

void collector_take(struct collector *collector, int *descriptor)
{
    collector->descriptor = take(descriptor);
}

bool collector_watch(struct collector *collector, struct loop *loop)
{
    if (collector->descriptor < 0 || collector->watch != NULL)
        return true;
    if (stop_blocking(collector->descriptor))
        collector->watch = watch_create(loop, collector->descriptor, collector_ready, collector);
    if (collector->watch == NULL) {
        collector_stop(collector);
        return false;
    }
    watch_set(collector->watch, WHIPPET_READABLE);
    return true;
}

/* Nobody can write any more: so no read waits, and what is there has an end. */
static void collector_finish(struct collector *collector, bool has_data)
{
    char room[DRAIN_SIZE];
    while (has_data && collector_read(collector, room, sizeof room))
        continue;
    collector_stop(collector);
}

void collectors_drain(struct collector *const *collectors, size_t count)
{
    struct pollfd ends[MOST_DRAINED];
    for (size_t i = 0; i < count; i++) {
        bool is_idle = collectors[i]->watch == NULL;
        ends[i] = (struct pollfd){.fd = is_idle ? collectors[i]->descriptor : -1, .events = POLLIN};
    }
    if (poll(ends, count, 0) <= 0)
        return;
    for (size_t i = 0; i < count; i++) {
        if ((ends[i].revents & POLLHUP) != 0)
            collector_finish(collectors[i], (ends[i].revents & POLLIN) != 0);
    }
}

void collector_stop(struct collector *collector)
{
    close_pipe(&collector->descriptor, &collector->watch);
}

void collector_destroy(struct collector *collector)
{
    collector_stop(collector);
    buffer_destroy(&collector->kept);
}
