/* A stand-in for ArangoDB on loopback: documents, tokens and errors of its HTTP API as it is documented
 * (https://docs.arango.ai/arangodb/stable/develop/http-api/). It is in memory, for Debian has no ArangoDB.
 *
 * There is a database "shop" with the collections "orders" and "people"; of the latter, no two may have the
 * same "email". */
#ifndef TESTS_SUPPORT_ARANGODB_H
#define TESTS_SUPPORT_ARANGODB_H

#include <stdbool.h>

struct arangodb;

/* Who may come in. */
#define ARANGODB_USER     "whippet"
#define ARANGODB_PASSWORD "p@ss \"word\""

/* `asks_who`: nobody is let in without password or token. */
struct arangodb *arangodb_start(bool asks_who);
void arangodb_stop(struct arangodb *arangodb); /* ends what hangs */
unsigned arangodb_port(const struct arangodb *arangodb);

/* --- What goes wrong ------------------------------------------------------------------------------------*/

enum arangodb_request {
    ARANGODB_LOGIN, /* for a token */
    ARANGODB_WRITE,
    ARANGODB_READ,
    ARANGODB_REQUESTS
};

enum arangodb_fault {
    ARANGODB_UNAVAILABLE, /* 503 */
    ARANGODB_BUSY,        /* 503, come back in 7 seconds */
    ARANGODB_THROTTLED,   /* 429 of a proxy in front of it, come back in 7 seconds */
    ARANGODB_CONFLICT,    /* 409, error 1200: somebody else writes that document */
    ARANGODB_REFUSED,     /* 401, whoever comes */
    ARANGODB_FORBIDDEN,   /* 403 */
    ARANGODB_TOO_LARGE,   /* 413 of a proxy in front of it */
    ARANGODB_HANGS,       /* for a minute */
    ARANGODB_GARBAGE,     /* 200 of something else, which repeats the headers that it was sent */
    ARANGODB_GIGABYTE,    /* 200, and no end of it */
    ARANGODB_CUT,         /* the connection ends within the answer, after the request was done */
    ARANGODB_FORGETS,     /* 201, but nothing is written */
    ARANGODB_SPOILS,      /* 201, but something else is written */
};

/* Has the next `count` requests of that kind go wrong. */
void arangodb_fail(struct arangodb *arangodb, enum arangodb_request request, enum arangodb_fault fault,
                   unsigned count);

/* --- Tokens ---------------------------------------------------------------------------------------------*/

/* From now on; 3600 at first. 0: they do not say. */
void arangodb_set_token_lifetime(struct arangodb *arangodb, unsigned seconds);

/* Takes back all that it gave, as a restart does. */
void arangodb_forget_tokens(struct arangodb *arangodb);

/* A token, as somebody else would have got one. Valid until the next call. */
const char *arangodb_token(struct arangodb *arangodb);

/* --- What is there --------------------------------------------------------------------------------------*/

/* How many requests of that kind it has answered, or meant to. */
unsigned arangodb_requests(struct arangodb *arangodb, enum arangodb_request request);
unsigned arangodb_refusals(struct arangodb *arangodb); /* with 401 */
unsigned arangodb_count(struct arangodb *arangodb, const char *collection);

/* A document as JSON without space, its key first and without its revision; "" when there is none. The
 * caller frees it. */
char *arangodb_document(struct arangodb *arangodb, const char *collection, const char *key);

/* Whether the last document that was written was asked to be on the disk. */
bool arangodb_has_synced(struct arangodb *arangodb);

#endif
