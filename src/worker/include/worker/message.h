/* A message as a processor sees it: what was delivered, and which attempt this is. */
#ifndef WORKER_MESSAGE_H
#define WORKER_MESSAGE_H

#include <amqp/message.h>
#include <whippet/message.h>

struct whippet_message {
    struct message *content; /* owned by whoever owns this */
    const char *queue;
    bool is_retry;     /* it came back from a delay queue: headers of ours keep what it had at first */
    unsigned attempt;  /* from 1 */
    unsigned attempts; /* at most */
    enum {
        JSON_UNCHECKED = 0,
        JSON_SOUND,
        JSON_UNSOUND
    } json; /* what whippet_json found of the body */
};

#endif
