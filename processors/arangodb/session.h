/* The token (JWT) that requests carry: had once, shared by all messages of a queue, and renewed when it is
 * about to expire or the server does not take it any more. */
#ifndef ARANGODB_SESSION_H
#define ARANGODB_SESSION_H

#include "token.h"

struct session;

/* NULL with the failure filled. A token in a file is read; else none is asked for yet. */
struct session *session_create(const struct token_origin *origin, whippet_failure *failure);
void session_destroy(struct session *session); /* NULL is fine */

/* A task's copy of the token. */
struct credential {
    const char *authorization; /* the value of the header of that name */
    unsigned number;           /* of the token: the first one has 1 */
    const char *problem;       /* why there is none, for a person and without a secret */
};

/* The token; another one where there is none yet, it is about to expire, or it is number `refused`, which the
 * server did not take (0: it refused none). However many tasks want another, one asks for it; the others
 * wait, and share what comes of it. 0 with the credential filled; else an error, and `problem` says why. */
int session_authorize(whippet_task *task, struct session *session, unsigned refused,
                      struct credential *credential);

#endif
