#include <base/buffer.h>
#include <base/memory.h>
#include <string.h>

enum {
    SMALLEST_CAPACITY = 256
};

void buffer_init(struct buffer *buffer)
{
    *buffer = (struct buffer){0};
}

void buffer_destroy(struct buffer *buffer)
{
    memory_free(buffer->data);
    buffer_init(buffer);
}

static void move_to_front(struct buffer *buffer)
{
    size_t length = buffer_length(buffer);
    memmove(buffer->data, buffer->data + buffer->start, length);
    buffer->start = 0;
    buffer->end = length;
}

/* Into new memory, at least twice the old and with room for `size` more. */
static bool grow(struct buffer *buffer, size_t size)
{
    size_t length = buffer_length(buffer);
    size_t capacity = buffer->capacity < SMALLEST_CAPACITY ? SMALLEST_CAPACITY : buffer->capacity * 2;
    if (size > SIZE_MAX / 4 || capacity > SIZE_MAX / 4)
        return false;
    if (capacity < length + size)
        capacity = length + size;
    uint8_t *data = memory_allocate(capacity);
    if (data == NULL)
        return false;
    if (buffer->data != NULL)
        memcpy(data, buffer->data + buffer->start, length);
    memory_free(buffer->data);
    *buffer = (struct buffer){.data = data, .end = length, .capacity = capacity};
    return true;
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t size)
{
    if (buffer->data == NULL || buffer->capacity - buffer->end < size) {
        size_t length = buffer_length(buffer);
        /* Moving pays only where it frees at least as much as it copies; else a nearly full buffer that is
         * fed and consumed in small steps would be copied at each of them. */
        bool worth_moving = buffer->data != NULL && buffer->start >= length;
        if (worth_moving && buffer->capacity - length >= size)
            move_to_front(buffer);
        else if (!grow(buffer, size))
            return NULL;
    }
    return buffer->data + buffer->end;
}

void buffer_commit(struct buffer *buffer, size_t size)
{
    buffer->end += size;
}

bool buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (size == 0)
        return true;
    uint8_t *room = buffer_reserve(buffer, size);
    if (room == NULL)
        return false;
    memcpy(room, data, size);
    buffer_commit(buffer, size);
    return true;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    buffer->start += size;
    if (buffer->start == buffer->end)
        buffer_clear(buffer);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->start = 0;
    buffer->end = 0;
}

void buffer_trim(struct buffer *buffer, size_t keep)
{
    if (buffer_length(buffer) > 0 || buffer->capacity <= keep)
        return;
    if (keep == 0) {
        buffer_destroy(buffer);
        return;
    }
    uint8_t *data = memory_resize(buffer->data, keep);
    if (data != NULL)
        *buffer = (struct buffer){.data = data, .capacity = keep};
}
