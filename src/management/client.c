#include <base/buffer.h>
#include <base/memory.h>
#include <base/secret.h>
#include <cjson/cJSON.h>
#include <libcurl/library.h>
#include <management/client.h>
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

struct management_client {
    const struct curl_library *library;
    CURL *curl;
    struct management_access access;
    const atomic_bool *cut;
    struct buffer reply;
    char where[MANAGEMENT_WHERE_SIZE];
};

static size_t on_data(char *data, size_t size, size_t count, void *owner)
{
    struct buffer *reply = owner;
    if (buffer_length(reply) + size * count > REPLY_MAX || !buffer_append(reply, data, size * count))
        return 0;
    return size * count;
}

/* The segments of a path that names fill in. */
struct names {
    char *vhost;
    char *more;
};

static bool make_url(const struct management_client *client, const char *path, const char *more,
                     char url[URL_SIZE])
{
    const struct curl_library *library = client->library;
    size_t base = strlen(client->access.url);
    struct names names = {.vhost = library->easy_escape(client->curl, client->access.vhost, 0),
                          .more = more != NULL ? library->easy_escape(client->curl, more, 0) : NULL};
    const char *hole = strstr(path, "%s");
    int before = hole != NULL ? (int)(hole - path) : (int)strlen(path);
    while (base > 0 && client->access.url[base - 1] == '/')
        base--;
    int length =
        snprintf(url, URL_SIZE, "%.*s%.*s%s%s%s%s", (int)base, client->access.url, before, path,
                 hole != NULL && names.vhost != NULL ? names.vhost : "", names.more != NULL ? "/" : "",
                 names.more != NULL ? names.more : "", hole != NULL ? hole + 2 : "");
    bool made = names.vhost != NULL && (more == NULL || names.more != NULL) && length < URL_SIZE;
    library->free(names.vhost);
    library->free(names.more);
    return made;
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

/* --- Asking ---------------------------------------------------------------------------------------------*/

static cJSON *read_reply(const struct management_client *client, long status, struct whippet_failure *failure)
{
    if (status != OK) {
        explain(status, client->where, failure);
        return NULL;
    }
    const struct buffer *reply = &client->reply;
    cJSON *document = cJSON_ParseWithLength((const char *)buffer_begin(reply), buffer_length(reply));
    if (document == NULL)
        failure_set(failure, WHIPPET_E_INVALID, "what %s answers is no JSON: is that the management API?",
                    client->where);
    return document;
}

struct cJSON *management_client_get(struct management_client *client, const char *path, const char *more,
                                    long *status, struct whippet_failure *failure)
{
    const struct curl_library *library = client->library;
    char url[URL_SIZE], words[CURL_ERROR_SIZE] = "";
    long answered = 0;
    if (status != NULL)
        *status = 0;
    if (!make_url(client, path, more, url)) {
        failure_set(failure, WHIPPET_E_INVALID, "the management URL %s… is too long", client->where);
        return NULL;
    }
    buffer_clear(&client->reply);
    library->easy_setopt(client->curl, CURLOPT_URL, url);
    library->easy_setopt(client->curl, CURLOPT_ERRORBUFFER, words);
    CURLcode code = library->easy_perform(client->curl);
    library->easy_setopt(client->curl, CURLOPT_ERRORBUFFER, NULL);
    library->easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &answered);
    if (code != CURLE_OK) {
        failure_set(
            failure, WHIPPET_E_UNAVAILABLE,
            "the management API at %s can't be asked: %s. It comes with the plugin rabbitmq_management, "
            "and listens at port 15672",
            client->where, words[0] != '\0' ? words : library->easy_strerror(code));
        return NULL;
    }
    if (status != NULL)
        *status = answered;
    return read_reply(client, answered, failure);
}

struct cJSON *management_get(const struct management_access *access, const char *path,
                             struct whippet_failure *failure)
{
    struct management_client *client = management_client_create(access, NULL, failure);
    cJSON *document = client != NULL ? management_client_get(client, path, NULL, NULL, failure) : NULL;
    management_client_destroy(client);
    return document;
}

/* --- Coming and going -----------------------------------------------------------------------------------*/

static int on_progress(void *owner, curl_off_t to_get, curl_off_t got, curl_off_t to_send, curl_off_t sent)
{
    const struct management_client *client = owner;
    (void)to_get, (void)got, (void)to_send, (void)sent;
    return client->cut != NULL && atomic_load(client->cut);
}

static void prepare(struct management_client *client)
{
    const struct curl_library *library = client->library;
    CURL *curl = client->curl;
    library->easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    library->easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MILLISECONDS);
    library->easy_setopt(curl, CURLOPT_TIMEOUT_MS, ALL_MILLISECONDS);
    library->easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    library->easy_setopt(curl, CURLOPT_WRITEDATA, &client->reply);
    library->easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    library->easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    library->easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    library->easy_setopt(curl, CURLOPT_XFERINFODATA, client);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A resolver that hangs is not waited for. */
    library->easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
#endif
}

/* Libcurl copies both. */
static bool authenticate(const struct management_client *client, struct whippet_failure *failure)
{
    const struct management_access *access = &client->access;
    char *secret = NULL;
    if (strchr(access->url, '@') != NULL || access->user == NULL)
        return true;
    if (access->password_file != NULL && (secret = secret_read(access->password_file, failure)) == NULL)
        return false;
    client->library->easy_setopt(client->curl, CURLOPT_USERNAME, access->user);
    client->library->easy_setopt(client->curl, CURLOPT_PASSWORD,
                                 secret != NULL             ? secret
                                 : access->password != NULL ? access->password
                                                            : "");
    secret_destroy(secret);
    return true;
}

struct management_client *management_client_create(const struct management_access *access,
                                                   const atomic_bool *cut, struct whippet_failure *failure)
{
    const struct curl_library *library = curl_library_load(failure);
    if (library == NULL)
        return NULL;
    struct management_client *client = memory_allocate_zeroed(sizeof *client);
    CURL *curl = client != NULL ? library->easy_init() : NULL;
    if (curl == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        memory_free(client);
        return NULL;
    }
    client->library = library;
    client->curl = curl;
    client->access = *access;
    client->cut = cut;
    buffer_init(&client->reply);
    management_describe(access->url, client->where);
    prepare(client);
    if (authenticate(client, failure))
        return client;
    management_client_destroy(client);
    return NULL;
}

void management_client_destroy(struct management_client *client)
{
    if (client == NULL)
        return;
    client->library->easy_cleanup(client->curl);
    buffer_destroy(&client->reply);
    memory_free(client);
}
