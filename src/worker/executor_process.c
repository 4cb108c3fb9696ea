/* `run: process`: attempts run in child processes, whose crash costs one attempt of one message.
 *
 * Each child has loaded the plugin and runs its share of attempts interleaved, on a loop of its own. The
 * parent keeps the channel, the retries and the books; it sends deliveries and is told how they ended. */
#include "child_group.h"
#include <base/clock.h>
#include <base/log.h>
#include <base/memory.h>
#include <math.h>

/* --- Attempts -------------------------------------------------------------------------------------------*/

static bool can_take(const struct child *child)
{
    return child->state == CHILD_UP && child->free_count > 0 && frame_link_is_open(&child->link) &&
           !frame_link_is_full(&child->link);
}

/* The one with the least to do; NULL when none can take any. */
static struct child *idlest(const struct subscription *subscription)
{
    struct child_group *group = subscription->children;
    struct child *best = NULL;
    for (unsigned i = 0; i < group->count; i++) {
        struct child *child = &group->children[i];
        if (can_take(child) && (best == NULL || child->free_count > best->free_count))
            best = child;
    }
    return best;
}

static bool has_room(struct subscription *subscription)
{
    return idlest(subscription) != NULL;
}

static uint8_t *put(uint8_t *at, whippet_bytes part)
{
    if (part.len > 0)
        memcpy(at, part.data, part.len);
    return at + part.len;
}

static bool send_delivery(struct child *child, const struct seat *seat, const struct delivery *delivery)
{
    const struct message *content = delivery->message.content;
    struct deliver_frame head = {
        .body = content->body.len,
        .exchange = (uint32_t)content->exchange.len,
        .routing_key = (uint32_t)content->routing_key.len,
        .properties = (uint32_t)content->properties.len,
        .attempt = delivery->message.attempt,
        .attempts = delivery->message.attempts,
        .redelivered = content->redelivered,
        .is_retry = delivery->message.is_retry,
        .trace = delivery->message.trace,
    };
    uint8_t *at = frame_link_begin(&child->link, FRAME_DELIVER, (uint32_t)(seat - child->seats), seat->serial,
                                   sizeof head + content->exchange.len + content->routing_key.len +
                                       content->properties.len,
                                   content->body);
    if (at == NULL)
        return false;
    at = put(at, bytes_of(&head, sizeof head));
    at = put(at, content->exchange);
    at = put(at, content->routing_key);
    put(at, content->properties);
    return true;
}

static int start(struct delivery *delivery, struct whippet_failure *failure)
{
    struct child *child = idlest(delivery->subscription);
    if (child == NULL)
        return failure_set(failure, WHIPPET_E_UNAVAILABLE, "no child process takes it");
    struct seat *seat = child_take_seat(child, delivery);
    if (send_delivery(child, seat, delivery)) {
        delivery->started_at = loop_now(delivery->subscription->worker->loop);
        return 0;
    }
    child_free_seat(child, seat);
    return failure_set(failure, WHIPPET_E_MEMORY, "out of memory to hand it to a child process");
}

static void cancel(struct delivery *delivery)
{
    const struct seat *seat = delivery->seat;
    struct child *child = seat->child;
    frame_link_send(&child->link, FRAME_CANCEL, (uint32_t)(seat - child->seats), seat->serial, NULL, 0);
}

static const char *activity(const struct delivery *delivery)
{
    const struct seat *seat = delivery->seat;
    const struct task_board *board = &seat->child->process.page->board;
    bool has_cpu = board_is_taken(board) && child_label_read(&board->label).serial == seat->serial;
    return has_cpu ? "running in a child process, and on its CPU" : "running in a child process";
}

/* --- The subscription -----------------------------------------------------------------------------------*/

/* setup() is called in each child, and not here. */
static int set_up(struct subscription *subscription, struct plugin *plugin, whippet_settings *settings,
                  struct whippet_failure *failure)
{
    subscription->children = child_group_create(subscription);
    if (subscription->children == NULL)
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    subscription->processor = (struct processor){.plugin = plugin, .settings = settings};
    return 0;
}

static void tear_down(struct subscription *subscription)
{
    child_group_destroy(subscription->children);
    settings_destroy(subscription->processor.settings);
    plugin_unload(subscription->processor.plugin);
}

static bool open_children(struct subscription *subscription)
{
    child_group_open(subscription->children);
    return true;
}

static bool is_ready(const struct subscription *subscription)
{
    return child_group_is_up(subscription->children);
}

static void close_children(whippet_task *task, struct subscription *subscription, double until)
{
    child_group_close(task, subscription->children, until);
}

const struct executor PROCESS_EXECUTOR = {
    .set_up = set_up,
    .tear_down = tear_down,
    .open = open_children,
    .is_ready = is_ready,
    .close = close_children,
    .has_room = has_room,
    .start = start,
    .cancel = cancel,
    .activity = activity,
};
