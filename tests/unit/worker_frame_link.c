/* The socket between a worker and its children: whole frames out of whatever pieces come. */
#include "../../src/worker/frame_link.h"
#include <base/memory.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    FRAMES = 64
};

static struct {
    struct loop *loop;
    struct frame_link link;
    int peer; /* the other end, non-blocking */
    struct frame frames[FRAMES];
    uint64_t sums[FRAMES]; /* of the payloads */
    size_t frame_count;
    int closed_with; /* 0: not yet */
    unsigned closed_count;
    unsigned drained_count;
    bool closes_at_once; /* the link, on the first frame */
} rig;

static uint64_t sum_of(const void *data, size_t length)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum = sum * 31 + ((const uint8_t *)data)[i];
    return sum;
}

static void on_frame(void *owner, const struct frame *frame, const uint8_t *payload)
{
    (void)owner;
    cr_assert_lt(rig.frame_count, FRAMES);
    rig.sums[rig.frame_count] = sum_of(payload, frame->length);
    rig.frames[rig.frame_count++] = *frame;
    if (rig.closes_at_once)
        frame_link_close(&rig.link);
}

static void on_closed(void *owner, int error)
{
    (void)owner;
    rig.closed_with = error;
    rig.closed_count++;
}

static void on_drained(void *owner)
{
    (void)owner;
    rig.drained_count++;
}

static const struct frame_handlers HANDLERS = {.frame = on_frame, .closed = on_closed, .drained = on_drained};

static void set_up(void)
{
    int ends[2];
    rig.loop = loop_create(65536, NULL);
    cr_assert_not_null(rig.loop);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    rig.peer = ends[1];
    cr_assert_eq(fcntl(rig.peer, F_SETFL, O_NONBLOCK), 0);
    cr_assert(frame_link_open(&rig.link, rig.loop, ends[0], &HANDLERS, NULL));
}

static void tear_down(void)
{
    memory_permit = NULL;
    frame_link_close(&rig.link);
    frame_link_close(&rig.link);
    if (rig.peer >= 0)
        close(rig.peer);
    loop_destroy(rig.loop);
}

TestSuite(frame_link, .init = set_up, .fini = tear_down);

static void feed(const void *data, size_t length)
{
    cr_assert_eq(send(rig.peer, data, length, MSG_NOSIGNAL), (ssize_t)length);
    frame_link_take(&rig.link);
}

static void feed_header(uint32_t kind, uint32_t length)
{
    struct frame frame = {.kind = kind, .length = length, .slot = 3, .serial = 9};
    feed(&frame, sizeof frame);
}

static uint8_t *pattern(size_t length)
{
    uint8_t *data = malloc(length);
    for (size_t i = 0; i < length; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 11);
    return data;
}

/* Reads what the link has sent, at most `most` bytes at once, to the end or until `length` bytes are there.
 */
static size_t drain(uint8_t *into, size_t length, size_t most)
{
    size_t got = 0;
    while (got < length) {
        frame_link_flush(&rig.link);
        ssize_t count = recv(rig.peer, into + got, length - got < most ? length - got : most, 0);
        if (count <= 0)
            break;
        got += (size_t)count;
    }
    return got;
}

Test(frame_link, puts_frames_together_that_come_byte_by_byte)
{
    struct frame frame = {.kind = FRAME_ENDED, .length = 5, .slot = 1, .serial = 2};
    char bytes[2 * (sizeof frame + 5)];
    for (int i = 0; i < 2; i++) {
        memcpy(bytes + i * (sizeof frame + 5), &frame, sizeof frame);
        memcpy(bytes + i * (sizeof frame + 5) + sizeof frame, "hello", 5);
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        cr_assert_eq(rig.frame_count, i / (sizeof frame + 5), "after %zu bytes", i);
        feed(bytes + i, 1);
    }
    cr_assert_eq(rig.frame_count, 2);
    cr_assert_eq(rig.frames[1].serial, 2);
    cr_assert_eq(rig.sums[1], sum_of("hello", 5));
}

Test(frame_link, takes_many_frames_at_once)
{
    struct frame frames[FRAMES];
    for (uint32_t i = 0; i < FRAMES; i++)
        frames[i] = (struct frame){.kind = FRAME_READY, .serial = i};
    feed(frames, sizeof frames);
    cr_assert_eq(rig.frame_count, FRAMES);
    cr_assert_eq(rig.frames[FRAMES - 1].serial, FRAMES - 1);
}

Test(frame_link, says_so_when_the_other_end_goes_and_forgets_half_a_frame)
{
    feed_header(FRAME_ENDED, 100);
    feed("half", 4);
    close(rig.peer);
    rig.peer = -1;
    frame_link_take(&rig.link);
    cr_assert_eq(rig.closed_with, WHIPPET_E_CLOSED);
    cr_assert_eq(rig.closed_count, 1);
    cr_assert_eq(rig.frame_count, 0);
    cr_assert(!frame_link_is_open(&rig.link));
    cr_assert(!frame_link_send(&rig.link, FRAME_CANCEL, 0, 0, NULL, 0), "sent to nobody");
}

Test(frame_link, takes_what_came_before_the_other_end_went)
{
    struct frame frame = {.kind = FRAME_READY};
    cr_assert_eq(send(rig.peer, &frame, sizeof frame, 0), sizeof frame);
    close(rig.peer);
    rig.peer = -1;
    frame_link_take(&rig.link);
    cr_assert_eq(rig.frame_count, 1);
    cr_assert_eq(rig.closed_count, 1);
}

Test(frame_link, refuses_a_kind_that_there_is_not)
{
    feed_header(FRAME_KINDS, 0);
    cr_assert_eq(rig.closed_with, WHIPPET_E_PROTOCOL);
    feed_header(FRAME_READY, 0);
    cr_assert_eq(rig.frame_count, 0, "what follows garbage is garbage");
}

Test(frame_link, refuses_a_frame_that_is_too_long)
{
    feed_header(FRAME_PUBLISH, FRAME_LENGTH_MAX + 1);
    cr_assert_eq(rig.closed_with, WHIPPET_E_PROTOCOL);
}

Test(frame_link, makes_no_room_for_a_length_before_its_bytes_come)
{
    feed_header(FRAME_PUBLISH, FRAME_LENGTH_MAX);
    feed("x", 1);
    cr_assert_leq(rig.link.in.capacity, 16u << 20, "%zu bytes for one that came", rig.link.in.capacity);
}

static bool refuse_large(size_t size)
{
    return size < 100000;
}

Test(frame_link, ends_when_there_is_no_memory_for_what_comes)
{
    memory_permit = refuse_large;
    feed_header(FRAME_PUBLISH, 1 << 20);
    cr_assert_eq(rig.closed_with, WHIPPET_E_MEMORY);
}

Test(frame_link, sends_nothing_of_a_frame_that_there_is_no_memory_for)
{
    static const char large[200000];
    memory_permit = refuse_large;
    cr_assert(!frame_link_send(&rig.link, FRAME_DELIVER, 0, 0, large, sizeof large));
    memory_permit = NULL;
    cr_assert(frame_link_send(&rig.link, FRAME_CANCEL, 7, 8, NULL, 0));
    struct frame frame;
    cr_assert_eq(drain((uint8_t *)&frame, sizeof frame, sizeof frame), sizeof frame);
    cr_assert_eq(frame.kind, FRAME_CANCEL);
    cr_assert_eq(frame.slot, 7);
}

Test(frame_link, may_be_closed_by_whoever_takes_a_frame)
{
    struct frame frames[2] = {{.kind = FRAME_READY}, {.kind = FRAME_READY}};
    rig.closes_at_once = true;
    feed(frames, sizeof frames);
    cr_assert_eq(rig.frame_count, 1);
    cr_assert_eq(rig.closed_count, 0, "closing it oneself is no news");
}

Test(frame_link, sends_small_frames_with_one_write_at_the_end_of_the_turn)
{
    struct frame frame;
    for (uint32_t i = 0; i < 10; i++)
        cr_assert(frame_link_send(&rig.link, FRAME_CANCEL, i, i, NULL, 0));
    cr_assert_eq(recv(rig.peer, &frame, sizeof frame, 0), -1, "written before the turn has ended");
    scheduler_turn(loop_scheduler(rig.loop), loop_now(rig.loop));
    struct frame all[10];
    cr_assert_eq(recv(rig.peer, all, sizeof all, 0), (ssize_t)sizeof all);
    cr_assert_eq(all[9].slot, 9);
}

Test(frame_link, lends_large_tails_and_keeps_the_order)
{
    enum {
        TAIL = 3 << 20,
        TOTAL = 2 * (int)sizeof(struct frame) + 4 + TAIL + 5
    };
    uint8_t *tail = pattern(TAIL), *got = malloc(TOTAL);
    uint8_t *head = frame_link_begin(&rig.link, FRAME_DELIVER, 1, 1, 4, bytes_of(tail, TAIL));
    cr_assert_not_null(head);
    memcpy(head, "head", 4);
    cr_assert(frame_link_is_full(&rig.link));
    cr_assert(frame_link_send(&rig.link, FRAME_CANCEL, 1, 1, "after", 5));
    cr_assert_lt(rig.link.out.capacity + rig.link.later.capacity, 1u << 20, "it was copied");
    cr_assert_eq(drain(got, TOTAL, 10007), (size_t)TOTAL);
    cr_assert_eq(memcmp(got + sizeof(struct frame), "head", 4), 0);
    cr_assert_eq(memcmp(got + sizeof(struct frame) + 4, tail, TAIL), 0);
    cr_assert_eq(memcmp(got + TOTAL - 5, "after", 5), 0);
    frame_link_flush(&rig.link);
    cr_assert(!frame_link_is_full(&rig.link));
    cr_assert_eq(rig.drained_count, 1);
    free(tail);
    free(got);
}

Test(frame_link, takes_frames_of_many_megabytes)
{
    enum {
        LENGTH = 17 << 20
    };
    uint8_t *data = pattern(LENGTH);
    feed_header(FRAME_PUBLISH, LENGTH);
    for (size_t sent = 0; sent < LENGTH;) {
        ssize_t count = send(rig.peer, data + sent, LENGTH - sent, MSG_NOSIGNAL);
        if (count > 0)
            sent += (size_t)count;
        frame_link_take(&rig.link);
    }
    cr_assert_eq(rig.frame_count, 1);
    cr_assert_eq(rig.sums[0], sum_of(data, LENGTH));
    cr_assert_leq(rig.link.in.capacity, 1u << 20, "%zu bytes are kept", rig.link.in.capacity);
    free(data);
}

Test(frame_link, notices_at_a_write_that_the_other_end_has_gone)
{
    close(rig.peer);
    rig.peer = -1;
    frame_link_send(&rig.link, FRAME_CANCEL, 0, 0, NULL, 0);
    frame_link_flush(&rig.link);
    cr_assert_eq(rig.closed_with, WHIPPET_E_CLOSED);
}
