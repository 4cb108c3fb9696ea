/* The parts of `whippet try`. */
#ifndef CMD_TRY_H
#define CMD_TRY_H

#include "folders.h"
#include <amqp/message.h>
#include <amqp/properties.h>
#include <base/buffer.h>
#include <config/config.h>
#include <whippet/processor.h>
#include <worker/message.h>

enum {
    TRY_ATTEMPTS = 5,
    TRY_BODIES_MOST = 256
};

/* What the command line asks for. Texts are borrowed from it. */
struct try_request {
    const char *processor;
    const char *settings;                /* JSON */
    const char *bodies[TRY_BODIES_MOST]; /* files, a message each; "-": standard input */
    size_t body_count;                   /* 0: one message with an empty body, unless there are lines */
    const char *lines;                   /* a file, a message for each of its lines; NULL: none */
    const char *run;                     /* "loop", "thread", "process"; NULL: as the processor wishes */
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

/* The configuration of a worker that would do what is asked for; NULL after it said on standard error what is
 * wrong. To be given to config_destroy. */
struct config *try_config_make(const struct try_request *request);

/* Says on standard error what is wrong, as if the settings stood alone. */
void try_errors_print(const struct try_request *request, const struct config_errors *errors);

/* The messages asked for, in their order, each to be given to message_destroy, and the list to memory_free.
 * Their number; 0 after it said on standard error what is wrong. */
size_t try_messages_make(const struct try_request *request, struct message ***messages);

/* One attempt, and what came of it. */
struct try_outcome {
    size_t message;   /* from 1 */
    size_t messages;  /* how many there are */
    unsigned attempt; /* from 1 */
    whippet_verdict verdict;
    bool interrupted;
    int struck;         /* TIMEOUT, CANCELLED or 0 */
    const char *reason; /* "": none */
    double retry_after; /* seconds that it asked to pause (whippet_retry_after); 0: it did not */
    double seconds;
    size_t stack_used;             /* bytes, of the deepest of its tasks */
    size_t stack_size;             /* bytes; 0: it was not measured */
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

/* The same for a publication alone, where several messages run at once and it can't be told whose it is. */
bool try_print_publication_text(struct message *publication);
bool try_print_publication_json(struct message *publication);

/* Runs one attempt of each message, or all of them, and prints what came of each. Takes the messages over.
 * Returns the program's exit code. */
int try_attempts(const struct try_request *request, const struct config *config, struct message **messages,
                 size_t count);

#endif
