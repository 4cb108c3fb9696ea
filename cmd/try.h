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
    TRY_ATTEMPTS = 5,
    TRY_REASON_SIZE = 1100, /* bytes; as much as a task keeps of one */
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
    bool json;
    double timeout; /* seconds, of one attempt */
};

/* OPTIONS_END when all is well; OPTIONS_HELP or OPTIONS_WRONG, as options_next has them. The request is to be
 * given to try_request_destroy in any case. */
int try_request_read(struct try_request *request, int argc, char **argv);
void try_request_destroy(struct try_request *request);

/* The message asked for, to be given to message_destroy; NULL after it said on standard error what is wrong.
 */
struct message *try_message_create(const struct try_request *request);

/* One attempt, and what came of it. */
struct try_outcome {
    unsigned attempt; /* from 1 */
    whippet_verdict verdict;
    bool interrupted;
    int struck; /* TIMEOUT, CANCELLED or 0 */
    char reason[TRY_REASON_SIZE];
    double seconds;
    size_t stack_used;             /* bytes, of the deepest of its tasks */
    size_t stack_size;             /* bytes */
    struct message **publications; /* what it would have published, as its consumers would get it; owned */
    size_t publication_count;
};

/* "ACK", "RETRY", "REJECT"; NULL for what is no verdict. */
const char *try_verdict_name(whippet_verdict verdict);

/* Why it was not acknowledged: its own reason, or what struck it; never NULL. */
const char *try_reason(const struct try_outcome *outcome);

/* To standard output: for people, or as one line of JSON. False when memory is short. */
bool try_print_text(const struct try_request *request, const struct try_outcome *outcome);
bool try_print_json(const struct try_request *request, const struct try_outcome *outcome);

/* Runs one attempt, or all of them, and prints what came of each. Returns the program's exit code. */
int try_attempts(const struct try_request *request, const struct processor *processor,
                 struct message *content);

#endif
