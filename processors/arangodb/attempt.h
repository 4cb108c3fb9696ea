/* One attempt at one message, and its steps. Each returns 0, or the verdict that ends the attempt, its reason
 * given; 0 is no verdict. */
#ifndef ARANGODB_ATTEMPT_H
#define ARANGODB_ATTEMPT_H

#include "answer.h"
#include "settings.h"

struct attempt {
    whippet_task *task;
    const whippet_message *message;
    const struct settings *settings;
    whippet_json_value document; /* the body: an object */
    whippet_bytes text;          /* what is sent: the body, with the key in it */
    const char *key;             /* of the document; NULL: the server is to choose one, and has not yet */
};

/* Reads the message, and fills in what follows it. */
int attempt_read(struct attempt *attempt);

/* Has the document written. From then on its key is known. */
int attempt_write(struct attempt *attempt);

/* Awaits that it can be seen. */
int attempt_verify(const struct attempt *attempt);

/* What a look at the document shows. */
enum sight {
    SIGHT_NONE,  /* there is none with that key */
    SIGHT_OTHER, /* there is one, but it is another */
    SIGHT_OURS,  /* it is there as it was, or would have been, written */
};

/* Looks, once. 0; or an error, and the answer's `problem` says why. */
int attempt_look(const struct attempt *attempt, enum sight *sight, struct answer *answer);

#endif
