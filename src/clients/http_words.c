#include "http_words.h"
#include "http_fields.h"
#include <stdio.h>
#include <string.h>
#include <whippet/task.h>

void http_place(const char *url, char place[HTTP_PLACE_SIZE])
{
    size_t end = strcspn(url, "?#");
    const char *scheme = strstr(url, "://");
    size_t host = scheme != NULL && scheme < url + end ? (size_t)(scheme - url) + 3 : 0;
    const char *at = memrchr(url + host, '@', strcspn(url + host, "/?#"));
    size_t from = at != NULL ? (size_t)(at - url) + 1 : host;
    snprintf(place, HTTP_PLACE_SIZE, "%.*s%.*s", (int)host, url, (int)(end - from), url + from);
}

static const char *meaning_of(int error)
{
    return error == WHIPPET_E_TIMEOUT ? "no whole response in time" : whippet_error_text(error);
}

const char *http_words(whippet_task *task, const whippet_http_request *request, int error, const char *words)
{
    char place[HTTP_PLACE_SIZE] = "(no URL)";
    const char *method = http_method(request);
    if (words[0] == '\0')
        words = meaning_of(error);
    if (request->url != NULL)
        http_place(request->url, place);
    size_t size = strlen(method) + strlen(place) + strlen(words) + sizeof " : ";
    char *text = whippet_alloc(task, size);
    if (text == NULL)
        return "out of memory";
    snprintf(text, size, "%s %s: %s", method, place, words);
    return text;
}
