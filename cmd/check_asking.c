#include "check_asking.h"
#include <amqp/table.h>
#include <base/bytes.h>

const char FIX_OVERLOAD[] = "look at the broker's state and log (rabbitmq-diagnostics check_running, "
                            "check_local_alarms), and check again";

static const struct channel_handlers NO_HANDLERS = {0};

int check_open_channel(whippet_task *task, struct check *check)
{
    if (check->channel.is_open)
        return 0;
    return channel_open(task, &check->channel, check->link->consume, &NO_HANDLERS, check, REQUEST_SECONDS);
}

const char *check_words(const struct check *check, int error)
{
    const struct whippet_failure *why = &check->channel.closed_by;
    return why->error != 0 ? why->text : whippet_error_text(error);
}

static const char *refusal_fix(const struct check *check)
{
    switch (check->channel.closed_code) {
    case ACCESS_REFUSED: return check->grant;
    case RESOURCE_LOCKED: return "end the connection that has it exclusively, or use another queue";
    default: return FIX_OVERLOAD;
    }
}

void check_add_refusal(struct check *check, const char *queue, const char *what, const char *name, int error)
{
    bool forbidden = check->channel.closed_code == ACCESS_REFUSED;
    findings_add(&check->findings, FINDING_PROBLEM, queue, refusal_fix(check), "%s \"%s\": %s%s", what, name,
                 forbidden ? "no permission: " : "", check_words(check, error));
    channel_abandon(&check->channel);
}

int check_queue_exists(whippet_task *task, struct check *check, const char *queue, const char *name)
{
    struct queue_declaration look = {.queue = name, .passive = true};
    int error = check_open_channel(task, check);
    if (error == 0)
        error = channel_queue_declare(task, &check->channel, &look, REQUEST_SECONDS);
    if (error == 0)
        return 1;
    if (check->channel.closed_code == NOT_FOUND)
        return 0;
    check_add_refusal(check, queue, "queue", name, error);
    return -1;
}

/* The broker looks at the permissions first, and at the arguments then, of which this one can't be: so
 * nothing is declared either way. */
bool check_may_declare(whippet_task *task, struct check *check, const char *queue, const char *name,
                       struct buffer *arguments)
{
    struct buffer none;
    buffer_init(&none);
    if (arguments == NULL)
        arguments = &none;
    int error = check_open_channel(task, check);
    if (error == 0 && !table_add_text(arguments, bytes_of_text("x-expires"), bytes_of_text("never")))
        error = WHIPPET_E_MEMORY;
    if (error == 0) {
        struct queue_declaration declaration = {
            .queue = name,
            .durable = true,
            .arguments = bytes_of(buffer_begin(arguments), buffer_length(arguments)),
        };
        error = channel_queue_declare(task, &check->channel, &declaration, REQUEST_SECONDS);
    }
    buffer_destroy(arguments);
    bool may = check->channel.closed_code != ACCESS_REFUSED;
    if (!may)
        check_add_refusal(check, queue, "there is none yet, and declaring", name, error);
    channel_abandon(&check->channel);
    return may;
}
