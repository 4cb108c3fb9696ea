/* What a child process sends to its parent, whatever has become of its memory: through a socket, in chunks.
 * Frames come out as they were sent, up to the first that is none, and then the link is closed. The first
 * byte chooses the chunks. */
#include "../../src/worker/frame_link.h"
#include "fuzz.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    struct loop *loop;
    struct posted stop;
    struct frame_link link;
    const uint8_t *data; /* what is sent */
    size_t size;
    size_t read; /* of it, by frames that came out */
    int closed;  /* the error; 0: not yet */
} parent;

static void on_frame(void *owner, const struct frame *frame, const uint8_t *payload)
{
    (void)owner;
    FUZZ_PROMISE(parent.closed == 0);
    FUZZ_PROMISE(frame->kind > 0 && frame->kind < FRAME_KINDS && frame->length <= FRAME_LENGTH_MAX);
    FUZZ_PROMISE(parent.size - parent.read >= sizeof *frame + frame->length);
    FUZZ_PROMISE(memcmp(parent.data + parent.read, frame, sizeof *frame) == 0);
    FUZZ_PROMISE(frame->length == 0 ||
                 memcmp(parent.data + parent.read + sizeof *frame, payload, frame->length) == 0);
    parent.read += sizeof *frame + frame->length;
}

static void on_closed(void *owner, int error)
{
    (void)owner;
    FUZZ_PROMISE(parent.closed == 0 && error != 0);
    parent.closed = error;
}

static const struct frame_handlers HANDLERS = {.frame = on_frame, .closed = on_closed};

/* What must come out of it. */
static void expect_end(void)
{
    struct frame frame;
    while (parent.size - parent.read >= sizeof frame) {
        memcpy(&frame, parent.data + parent.read, sizeof frame);
        if (frame.kind == 0 || frame.kind >= FRAME_KINDS || frame.length > FRAME_LENGTH_MAX) {
            FUZZ_PROMISE(parent.closed == WHIPPET_E_PROTOCOL);
            return;
        }
        if (parent.size - parent.read - sizeof frame < frame.length)
            break;
        FUZZ_PROMISE(!"a whole frame did not come out");
    }
    FUZZ_PROMISE(parent.closed == WHIPPET_E_CLOSED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct whippet_failure failure;
    int ends[2];
    if (size == 0)
        return 0;
    if (parent.loop == NULL)
        parent.loop = loop_create(64 * 1024, &failure);
    FUZZ_PROMISE(parent.loop != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    parent.data = data + 1;
    parent.size = size - 1;
    parent.read = 0;
    parent.closed = 0;
    FUZZ_PROMISE(frame_link_open(&parent.link, parent.loop, ends[0], &HANDLERS, NULL));
    size_t step = data[0] != 0 ? data[0] : parent.size;
    for (size_t at = 0; at < parent.size && parent.closed == 0; at += step) {
        size_t length = parent.size - at < step ? parent.size - at : step;
        FUZZ_PROMISE(send(ends[1], parent.data + at, length, MSG_NOSIGNAL) == (ssize_t)length);
        frame_link_take(&parent.link);
    }
    close(ends[1]);
    frame_link_take(&parent.link);
    expect_end();
    frame_link_close(&parent.link);
    return 0;
}
