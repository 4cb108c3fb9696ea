/* The parts of `whippet try`. */
#ifndef CMD_TRY_H
#define CMD_TRY_H

#include "folders.h"
#include <amqp/message.h>
#include <amqp/properties.h>
#include <base/buffer.h>
#include <worker/message.h>
#include <worker/plugin.h>

enum {
    TRY_ATTEMPTS = 5
};

/* What the command line asks for. Texts are borrowed from it. */
struct try_request {
    const char *processor;
    const char *settings;  /* JSON */
    const char *body_file; /* "-": standard input; NULL: an empty body */
    const char *queue;
    const char *exchange;
    const char *routing_key;
    struct properties_draft properties; /* but for the headers */
    struct buffer headers;              /* encoded entries; owned */
    struct folders folders;
    unsigned attempt; /* 1 to TRY_ATTEMPTS */
    bool all_attempts;
    bool verbose;
    double timeout; /* seconds, of one attempt */
};

/* OPTIONS_END when all is well; OPTIONS_HELP or OPTIONS_WRONG, as options_next has them. The request is to be
 * given to try_request_destroy in any case. */
int try_request_read(struct try_request *request, int argc, char **argv);
void try_request_destroy(struct try_request *request);

/* The message asked for, to be given to message_destroy; NULL after it said on standard error what is wrong.
 */
struct message *try_message_create(const struct try_request *request);

/* Runs one attempt, or all of them, and prints what came of each. Returns the program's exit code. */
int try_attempts(const struct try_request *request, const struct processor *processor,
                 struct message *content);

#endif
