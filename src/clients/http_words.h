/* What went wrong with a request, in words for a person. */
#ifndef CLIENTS_HTTP_WORDS_H
#define CLIENTS_HTTP_WORDS_H

#include <whippet/http.h>

enum {
    HTTP_PLACE_SIZE = 256
};

/* "https://host:8443/path": the URL without user, password, query and fragment, where secrets are; cut where
 * it does not fit. */
void http_place(const char *url, char place[HTTP_PLACE_SIZE]);

/* "POST https://host/path: " and `words`; where these are empty, what `error` means. In memory of the task's;
 * a static text when that is short. */
const char *http_words(whippet_task *task, const whippet_http_request *request, int error, const char *words);

#endif
