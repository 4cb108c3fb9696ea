/* A request to ArangoDB and its answer. */
#ifndef ARANGODB_EXCHANGE_H
#define ARANGODB_EXCHANGE_H

#include "answer.h"
#include "settings.h"

/* Sends the request, authenticated as the settings say, and awaits the answer. A token that the server does
 * not take is renewed once. 0 when an answer has come, whatever it is; else an error, and the answer's
 * `problem` says why. */
int exchange(whippet_task *task, const struct settings *settings, const whippet_http_request *request,
             struct answer *answer);

#endif
