#include "exec_pump.h"
#include <errno.h>
#include <unistd.h>
#include <whippet/task.h>

/* As much as a pipe holds: read in one go, once a turn, so that no child keeps the others waiting. */
enum {
    READ_SIZE = 64 * 1024
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

bool feeder_start(struct feeder *feeder, struct loop *loop, int *descriptor)
{
    feeder->descriptor = take(descriptor);
    if (!feeder_write(feeder)) {
        feeder_stop(feeder);
        return true;
    }
    feeder->watch = watch_create(loop, feeder->descriptor, feeder_ready, feeder);
    if (feeder->watch == NULL) {
        feeder_stop(feeder);
        return false;
    }
    watch_set(feeder->watch, WHIPPET_WRITABLE);
    return true;
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

/* False at the end of the pipe, or of the memory. */
static bool collector_read(struct collector *collector)
{
    char data[READ_SIZE];
    ssize_t count = read(collector->descriptor, data, sizeof data);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR;
    if (count == 0)
        return false;
    bool kept = collector->part == COLLECTOR_BEGINNING
                    ? collector_keep_beginning(collector, data, (size_t)count)
                    : collector_keep_end(collector, data, (size_t)count);
    collector->starved = !kept;
    return kept;
}

static void collector_ready(void *owner, int events)
{
    struct collector *collector = owner;
    (void)events;
    if (collector_read(collector))
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

bool collector_start(struct collector *collector, struct loop *loop, int *descriptor)
{
    collector->descriptor = take(descriptor);
    collector->watch = watch_create(loop, collector->descriptor, collector_ready, collector);
    if (collector->watch == NULL) {
        collector_stop(collector);
        return false;
    }
    watch_set(collector->watch, WHIPPET_READABLE);
    return true;
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
