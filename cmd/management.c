#include "management.h"
#include "curl_library.h"
#include <base/buffer.h>
#include <base/secret.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

enum {
    REPLY_MAX = 64 * 1024 * 1024,
    URL_SIZE = 2048,
    UNAUTHORISED = 401,
    FORBIDDEN = 403,
    NOT_FOUND = 404,
    OK = 200,
};

static const long CONNECT_MILLISECONDS = 5000;
static const long ALL_MILLISECONDS = 10000;

static size_t on_data(char *data, size_t size, size_t count, void *owner)
{
    struct buffer *reply = owner;
    if (buffer_length(reply) + size * count > REPLY_MAX || !buffer_append(reply, data, size * count))
        return 0;
    return size * count;
}

static bool make_url(const struct curl_library *library, CURL *curl, const struct management *management,
                     const char *path, char url[URL_SIZE])
{
    size_t base = strlen(management->url);
    char *vhost = library->easy_escape(curl, management->endpoint->vhost, 0);
    const char *hole = strstr(path, "%s");
    while (base > 0 && management->url[base - 1] == '/')
        base--;
    int before = hole != NULL ? (int)(hole - path) : (int)strlen(path);
    int length = snprintf(url, URL_SIZE, "%.*s%.*s%s%s", (int)base, management->url, before, path,
                          hole != NULL && vhost != NULL ? vhost : "", hole != NULL ? hole + 2 : "");
    library->free(vhost);
    return length < URL_SIZE;
}

/* The failure for a reply that is none; `where` is without a password. */
static int explain(long status, const char *where, struct whippet_failure *failure)
{
    switch (status) {
    case UNAUTHORISED:
    case FORBIDDEN:
        return failure_set(failure, WHIPPET_E_REFUSED,
                           "the management API at %s refuses this user (%ld): give it the tag \"monitoring\" "
                           "(rabbitmqctl set_user_tags), or another user in the URL",
                           where, status);
    case NOT_FOUND:
        return failure_set(failure, WHIPPET_E_INVALID,
                           "%s answers with 404: is that RabbitMQ's management plugin, and does the virtual "
                           "host exist? (rabbitmq-plugins enable rabbitmq_management)",
                           where);
    default:
        return failure_set(failure, WHIPPET_E_INVALID, "%s answers with status %ld instead of an answer",
                           where, status);
    }
}

/* "http://host:15672" of the URL: without user, password and path. */
static void describe(const char *url, char *where, size_t size)
{
    const char *scheme = strstr(url, "://");
    const char *host = scheme != NULL ? scheme + 3 : url;
    const char *at = memrchr(host, '@', strcspn(host, "/?#"));
    snprintf(where, size, "%.*s%.*s", (int)(host - url), url, (int)strcspn(at != NULL ? at + 1 : host, "/?#"),
             at != NULL ? at + 1 : host);
}

static void prepare(const struct curl_library *library, CURL *curl, const char *url, struct buffer *reply)
{
    library->easy_setopt(curl, CURLOPT_URL, url);
    library->easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    library->easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MILLISECONDS);
    library->easy_setopt(curl, CURLOPT_TIMEOUT_MS, ALL_MILLISECONDS);
    library->easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    library->easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    library->easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
}

/* Libcurl copies both. */
static bool authenticate(const struct curl_library *library, CURL *curl, const struct management *management,
                         struct whippet_failure *failure)
{
    const struct endpoint *endpoint = management->endpoint;
    char *secret = NULL;
    if (strchr(management->url, '@') != NULL || endpoint->user == NULL)
        return true;
    if (endpoint->password_file != NULL && (secret = secret_read(endpoint->password_file, failure)) == NULL)
        return false;
    library->easy_setopt(curl, CURLOPT_USERNAME, endpoint->user);
    library->easy_setopt(curl, CURLOPT_PASSWORD, secret != NULL ? secret : endpoint->password);
    secret_destroy(secret);
    return true;
}

static cJSON *ask(const struct curl_library *library, CURL *curl, const struct management *management,
                  const char *path, struct buffer *reply, struct whippet_failure *failure)
{
    char url[URL_SIZE], where[256], words[CURL_ERROR_SIZE] = "";
    long status = 0;
    describe(management->url, where, sizeof where);
    if (!make_url(library, curl, management, path, url)) {
        failure_set(failure, WHIPPET_E_INVALID, "the management URL %s… is too long", where);
        return NULL;
    }
    prepare(library, curl, url, reply);
    library->easy_setopt(curl, CURLOPT_ERRORBUFFER, words);
    CURLcode code = library->easy_perform(curl);
    library->easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) {
        failure_set(
            failure, WHIPPET_E_UNAVAILABLE,
            "the management API at %s can't be asked: %s. It comes with the plugin rabbitmq_management, "
            "and listens at port 15672",
            where, words[0] != '\0' ? words : library->easy_strerror(code));
        return NULL;
    }
    if (status != OK) {
        explain(status, where, failure);
        return NULL;
    }
    cJSON *document = cJSON_ParseWithLength((const char *)buffer_begin(reply), buffer_length(reply));
    if (document == NULL)
        failure_set(failure, WHIPPET_E_INVALID, "what %s answers is no JSON: is that the management API?",
                    where);
    return document;
}

struct cJSON *management_get(const struct management *management, const char *path,
                             struct whippet_failure *failure)
{
    struct buffer reply;
    const struct curl_library *library = curl_library_load(failure);
    if (library == NULL)
        return NULL;
    CURL *curl = library->easy_init();
    if (curl == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        return NULL;
    }
    buffer_init(&reply);
    cJSON *document = authenticate(library, curl, management, failure)
                          ? ask(library, curl, management, path, &reply, failure)
                          : NULL;
    buffer_destroy(&reply);
    library->easy_cleanup(curl);
    return document;
}
