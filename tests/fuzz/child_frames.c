/* Whole frames from a child process whose memory is not to be trusted: how attempts ended and what they
 * publish. Whatever they hold, an attempt ends once, by a frame that is its own, with values that can be; and
 * what is published is sound. The bytes are frames one after the other; of each, the length is cut to what is
 * there. */
#include "../../src/worker/child_group.h"
#include "fuzz.h"
#include <amqp/properties.h>
#include <base/log.h>
#include <base/memory.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

enum {
    SEATS = 4
};

static struct {
    struct worker worker;
    struct config source;
    struct queue_config config;
    struct subscription subscription;
    struct message *message;
    struct delivery deliveries[SEATS];
    unsigned ended;     /* attempts that a frame has ended */
    unsigned published; /* publications that have begun */
} parent;

/* --- In the place of the worker
 * ---------------------------------------------------------------------------*/

void __wrap_delivery_attempt_ended(struct delivery *delivery);
void __wrap_delivery_attempt_ended(struct delivery *delivery)
{
    parent.ended++;
    FUZZ_PROMISE(delivery->seat == NULL);
    FUZZ_PROMISE(delivery->duration >= 0 && isfinite(delivery->duration * 1e9));
    FUZZ_PROMISE(delivery->reason == NULL || strlen(delivery->reason) < UINT32_MAX);
    memory_free(delivery->reason);
    delivery->reason = NULL;
}

/* Every other one waits, so that it can be recalled. */
int __wrap_publication_send(struct worker *worker, whippet_task *task, const struct publishing *publishing,
                            const struct publish_span *span);
int __wrap_publication_send(struct worker *worker, whippet_task *task, const struct publishing *publishing,
                            const struct publish_span *span)
{
    (void)span;
    (void)worker;
    FUZZ_PROMISE(strlen(publishing->exchange) <= UINT8_MAX && strlen(publishing->routing_key) <= UINT8_MAX);
    FUZZ_PROMISE(properties_check(publishing->properties) == PROPERTIES_SOUND);
    FUZZ_PROMISE(publishing->body.len <= FRAME_LENGTH_MAX);
    return parent.published++ % 2 == 0 ? 0 : whippet_sleep(task, 1);
}

void __wrap_subscription_dispatch(struct subscription *subscription);
void __wrap_subscription_dispatch(struct subscription *subscription)
{
    FUZZ_PROMISE(subscription == &parent.subscription);
}

/* --- Frames
 * -----------------------------------------------------------------------------------------------*/

static void set_up(void)
{
    struct whippet_failure failure;
    if (parent.worker.loop != NULL)
        return;
    log_configure(open("/dev/null", O_WRONLY | O_CLOEXEC), WHIPPET_ERROR, LOG_FORMAT_TEXT);
    parent.config = (struct queue_config){
        .name = "queue", .processor = "processor", .concurrency = SEATS, .processes = 1, .timeout = 60};
    parent.worker.loop = loop_create(64 * 1024, &failure);
    parent.subscription =
        (struct subscription){.worker = &parent.worker, .source = &parent.source, .config = &parent.config};
    waiter_init(&parent.subscription.changed);
    parent.message = message_create(bytes_of_text("x"), bytes_of_text("k"), (whippet_bytes){0}, 8);
    FUZZ_PROMISE(parent.worker.loop != NULL && parent.message != NULL);
}

/* A child that has begun an attempt in each of its seats. */
static struct child *take_seats(struct child_group *group)
{
    struct child *child = &group->children[0];
    child->state = CHILD_UP;
    parent.ended = parent.published = 0;
    for (unsigned i = 0; i < SEATS; i++) {
        parent.deliveries[i] =
            (struct delivery){.subscription = &parent.subscription, .message.content = parent.message};
        child_take_seat(child, &parent.deliveries[i]);
    }
    return child;
}

static void let_tasks_end(struct child_group *group)
{
    struct scheduler *scheduler = loop_scheduler(parent.worker.loop);
    for (int turns = 0; !list_empty(&group->publications); turns++) {
        FUZZ_PROMISE(turns < 1000);
        scheduler_turn(scheduler, scheduler->now);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame frame;
    set_up();
    struct child_group *group = child_group_create(&parent.subscription);
    FUZZ_PROMISE(group != NULL);
    struct child *child = take_seats(group);
    while (size >= sizeof frame) {
        memcpy(&frame, data, sizeof frame);
        data += sizeof frame;
        size -= sizeof frame;
        frame.length = frame.length < size ? frame.length : (uint32_t)size;
        /* Where reading beyond its end is seen. */
        uint8_t *payload = malloc(frame.length + (frame.length == 0));
        FUZZ_PROMISE(payload != NULL);
        memcpy(payload, data, frame.length);
        child_take_frame(child, &frame, payload);
        free(payload);
        data += frame.length;
        size -= frame.length;
    }
    FUZZ_PROMISE(parent.ended == SEATS - child_busy(child));
    child_recall_all(child);
    let_tasks_end(group);
    child_group_destroy(group);
    return 0;
}
