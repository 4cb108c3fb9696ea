/* What processors in child processes publish: an errand for the parent, which has the connection. */
#include "child_group.h"
#include <amqp/properties.h>
#include <base/memory.h>
#include <math.h>

struct errand {
    struct list link; /* among the group's publications */
    struct child_group *group;
    struct child *child; /* NULL: it has ended, or awaits this no more */
    uint32_t serial;
    whippet_task *task;
    struct publish_span span;
    struct publishing publishing; /* its parts are in `storage` */
    char storage[];
};

static int run_errand(whippet_task *task, void *arg)
{
    struct errand *errand = arg;
    return publication_send(errand->group->subscription->worker, task, &errand->publishing, &errand->span);
}

static void errand_ended(void *arg, int result)
{
    struct errand *errand = arg;
    int32_t answer = result;
    if (errand->child != NULL)
        frame_link_send(&errand->child->link, FRAME_PUBLISHED, 0, errand->serial, &answer, sizeof answer);
    list_remove(&errand->link);
    child_group_wake(errand->group);
    memory_free(errand);
}

/* The part's copy, with a NUL behind it. */
static whippet_bytes keep(char **at, const uint8_t **from, size_t length)
{
    whippet_bytes kept = bytes_of(*at, length);
    if (length > 0)
        memcpy(*at, *from, length);
    (*at)[length] = '\0';
    *at += length + 1;
    *from += length;
    return kept;
}

static bool is_sound(const struct publish_frame *head, uint32_t length)
{
    uint64_t before_body = sizeof *head + (uint64_t)head->exchange + head->routing_key + head->properties;
    return !isnan(head->deadline) && head->exchange <= UINT8_MAX && head->routing_key <= UINT8_MAX &&
           before_body <= length && length - before_body == head->body;
}

bool child_publish(struct child *child, const struct frame *frame, const uint8_t *payload)
{
    struct publish_frame head;
    enum {
        NULS = 4
    };
    if (frame->length < sizeof head)
        return false;
    memcpy(&head, payload, sizeof head);
    if (!is_sound(&head, frame->length))
        return false;
    struct errand *errand = memory_allocate(sizeof *errand + frame->length - sizeof head + NULS);
    if (errand == NULL) {
        int32_t answer = WHIPPET_E_MEMORY;
        return frame_link_send(&child->link, FRAME_PUBLISHED, 0, frame->serial, &answer, sizeof answer);
    }
    char *at = errand->storage;
    payload += sizeof head;
    *errand =
        (struct errand){.group = child->group, .child = child, .serial = frame->serial, .span = head.span};
    errand->publishing.exchange = keep(&at, &payload, head.exchange).data;
    errand->publishing.routing_key = keep(&at, &payload, head.routing_key).data;
    errand->publishing.properties = keep(&at, &payload, head.properties);
    errand->publishing.body = keep(&at, &payload, head.body);
    if (properties_check(errand->publishing.properties) != PROPERTIES_SOUND) {
        memory_free(errand);
        return false;
    }
    list_append(&child->group->publications, &errand->link);
    bool started;
    whippet_task *task = task_start(loop_scheduler(child->group->subscription->worker->loop), run_errand,
                                    errand, head.deadline, NULL, errand_ended, &started);
    if (!started)
        errand_ended(errand, WHIPPET_E_MEMORY);
    else if (task != NULL)
        errand->task = task;
    return true;
}

static void recall(struct errand *errand)
{
    errand->child = NULL;
    if (errand->task != NULL)
        task_cancel(errand->task);
}

void child_recall(struct child *child, uint32_t serial)
{
    list_each (link, &child->group->publications) {
        struct errand *errand = list_entry(link, struct errand, link);
        if (errand->child == child && errand->serial == serial) {
            recall(errand);
            return;
        }
    }
}

void child_recall_all(struct child *child)
{
    list_each (link, &child->group->publications) {
        struct errand *errand = list_entry(link, struct errand, link);
        if (errand->child == child)
            recall(errand);
    }
}
