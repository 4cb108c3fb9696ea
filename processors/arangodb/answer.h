/* What ArangoDB answers: JSON with an error number of its own. */
#ifndef ARANGODB_ANSWER_H
#define ARANGODB_ANSWER_H

#include <whippet/processor.h>

/* https://docs.arango.ai/arangodb/stable/develop/error-codes/ */
enum {
    ARANGODB_DOCUMENT_NOT_FOUND = 1202,
    ARANGODB_UNIQUE_CONSTRAINT_VIOLATED = 1210,
};

struct answer {
    int status;              /* 0: none came */
    whippet_json_value body; /* an object; ABSENT: it is not ArangoDB that answers */
    int64_t number;          /* "errorNum"; 0: none */
    const char *problem;     /* what is wrong, for a person */
    double pause; /* seconds that the server wants to be left alone (Retry-After); 0: it does not say */
};

/* An answer that never came, for that reason. */
struct answer answer_missing(const char *problem);

/* Reads a response. The problem is in memory of the task's. */
struct answer answer_read(whippet_task *task, const whippet_http_response *response);

/* Whether the document was written, or need not be. */
bool answer_is_done(const struct answer *answer);

/* What becomes of the message otherwise: rejected where the document is at fault, which no time will mend;
 * else tried again. */
whippet_verdict answer_refuse(whippet_task *task, const struct answer *answer);

#endif
