#include "arangodb.h"
#include "web_server.h"

#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    NAME_SIZE = 256,
    TEXT_SIZE = 1024,
    HANG = 60,       /* seconds */
    LIFETIME = 3600, /* of tokens, in seconds; ArangoDB's default */
    GIGABYTE = 1 << 30,
};

/* The error numbers of ArangoDB's lib/Basics/errors.dat. */
enum {
    ERROR_FORBIDDEN = 11,
    ERROR_UNAVAILABLE = 503,
    ERROR_CORRUPTED_JSON = 600,
    ERROR_CONFLICT = 1200,
    ERROR_DOCUMENT_NOT_FOUND = 1202,
    ERROR_COLLECTION_NOT_FOUND = 1203,
    ERROR_UNIQUE_CONSTRAINT = 1210,
    ERROR_KEY_BAD = 1221,
    ERROR_TYPE_INVALID = 1227,
    ERROR_DATABASE_NOT_FOUND = 1228,
};

struct document {
    struct document *next;
    char collection[NAME_SIZE];
    char key[NAME_SIZE];
    unsigned revision;
    cJSON *value; /* without the members that begin with '_' */
};

struct arangodb {
    struct web_server *server;
    bool asks_who;
    pthread_mutex_t mutex; /* for what follows */
    struct document *documents;
    struct document *last; /* that was written; NULL: none, or it is gone again */
    unsigned revisions;
    unsigned requests[ARANGODB_REQUESTS];
    unsigned refusals;
    enum arangodb_fault fault[ARANGODB_REQUESTS];
    unsigned faults[ARANGODB_REQUESTS]; /* still to come */
    unsigned lifetime;
    unsigned tokens;    /* that were given: they have the numbers from 1 on */
    unsigned forgotten; /* of these, the first ones */
    bool has_synced;
};

/* --- Answers --------------------------------------------------------------------------------------------*/

static void answer_text(struct web_exchange *exchange, unsigned status, const char *text)
{
    exchange->status = status;
    exchange->made = strdup(text);
}

/* The answer owns the JSON. */
static void answer_json(struct web_exchange *exchange, unsigned status, cJSON *json)
{
    exchange->status = status;
    exchange->made = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
}

static void answer_error(struct web_exchange *exchange, unsigned status, int number, const char *message)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "code", status);
    cJSON_AddTrueToObject(json, "error");
    cJSON_AddStringToObject(json, "errorMessage", message);
    cJSON_AddNumberToObject(json, "errorNum", number);
    answer_json(exchange, status, json);
}

static cJSON *head_of(const struct document *document)
{
    char text[3 * NAME_SIZE];
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "_key", document->key);
    snprintf(text, sizeof text, "%s/%s", document->collection, document->key);
    cJSON_AddStringToObject(json, "_id", text);
    snprintf(text, sizeof text, "_r%u", document->revision);
    cJSON_AddStringToObject(json, "_rev", text);
    return json;
}

static void add_members(cJSON *to, const cJSON *from)
{
    const cJSON *member;
    cJSON_ArrayForEach(member, from)
    {
        cJSON_AddItemToObject(to, member->string, cJSON_Duplicate(member, true));
    }
}

/* --- Tokens ---------------------------------------------------------------------------------------------*/

static void encode(const char *text, size_t length, const char *last_two, char *to)
{
    char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789??";
    unsigned bits = 0, gathered = 0;
    memcpy(digits + 62, last_two, 2);
    for (size_t i = 0; i < length; i++) {
        gathered = gathered << 8 | (unsigned char)text[i];
        for (bits += 8; bits >= 6; bits -= 6)
            *to++ = digits[gathered >> (bits - 6) & 63];
    }
    if (bits > 0)
        *to++ = digits[gathered << (6 - bits) & 63];
    *to = '\0';
}

/* With the mutex held, as all that follows. */
static void make_token(struct arangodb *arangodb, char token[TEXT_SIZE])
{
    char payload[256], encoded[512], expiry[64] = "";
    long now = (long)time(NULL);
    if (arangodb->lifetime > 0)
        snprintf(expiry, sizeof expiry, "\"exp\":%ld,", now + (long)arangodb->lifetime);
    int length = snprintf(payload, sizeof payload,
                          "{%s\"iat\":%ld,\"iss\":\"arangodb\",\"preferred_username\":\"%s\"}", expiry, now,
                          ARANGODB_USER);
    encode(payload, (size_t)length, "-_", encoded);
    snprintf(token, TEXT_SIZE, "eyJhbGciOiJIUzI1NiJ9.%s.secret-token-%u", encoded, ++arangodb->tokens);
}

static bool is_token(const struct arangodb *arangodb, const char *token)
{
    unsigned number;
    const char *signature = strstr(token, ".secret-token-");
    return signature != NULL && sscanf(signature, ".secret-token-%u", &number) == 1 &&
           number > arangodb->forgotten && number <= arangodb->tokens;
}

static bool is_let_in(const struct arangodb *arangodb, const struct web_exchange *exchange)
{
    static const char who[] = ARANGODB_USER ":" ARANGODB_PASSWORD;
    char basic[128] = "Basic ";
    const char *shown = web_header(exchange, "Authorization");
    encode(who, strlen(who), "+/", basic + strlen(basic));
    if (!arangodb->asks_who)
        return true;
    if (shown == NULL)
        return false;
    if (strncasecmp(shown, "bearer ", strlen("bearer ")) == 0)
        return is_token(arangodb, shown + strlen("bearer "));
    return strncmp(shown, basic, strlen(basic)) == 0; /* behind it comes padding */
}

static void log_in(struct arangodb *arangodb, struct web_exchange *exchange)
{
    char token[TEXT_SIZE];
    cJSON *request = cJSON_Parse(exchange->body);
    const char *user = cJSON_GetStringValue(cJSON_GetObjectItem(request, "username"));
    const char *password = cJSON_GetStringValue(cJSON_GetObjectItem(request, "password"));
    if (user == NULL || password == NULL) {
        answer_error(exchange, 400, 400, "bad parameter");
    } else if (strcmp(user, ARANGODB_USER) != 0 || strcmp(password, ARANGODB_PASSWORD) != 0) {
        /* It says less in truth. */
        answer_error(exchange, 401, 401, exchange->body);
    } else {
        cJSON *answer = cJSON_CreateObject();
        make_token(arangodb, token);
        cJSON_AddStringToObject(answer, "jwt", token);
        answer_json(exchange, 200, answer);
    }
    cJSON_Delete(request);
}

/* --- Documents ------------------------------------------------------------------------------------------*/

static struct document *find(struct arangodb *arangodb, const char *collection, const char *key)
{
    struct document *document = arangodb->documents;
    while (document != NULL &&
           (strcmp(document->collection, collection) != 0 || strcmp(document->key, key) != 0))
        document = document->next;
    return document;
}

static bool is_key(const char *key)
{
    return *key != '\0' && strlen(key) < NAME_SIZE - 1 &&
           key[strspn(key,
                      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.@()+,=;$!*'%:")] ==
               '\0';
}

/* Who else has the same e-mail address. */
static const struct document *namesake(const struct arangodb *arangodb, const char *key, const cJSON *value)
{
    const char *email = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(value, "email"));
    for (const struct document *each = arangodb->documents; email != NULL && each != NULL;
         each = each->next) {
        const char *other = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(each->value, "email"));
        if (strcmp(each->collection, "people") == 0 && strcmp(each->key, key) != 0 && other != NULL &&
            strcmp(other, email) == 0)
            return each;
    }
    return NULL;
}

/* Objects are merged, all else is replaced. */
static void merge(cJSON *into, const cJSON *from)
{
    const cJSON *member;
    cJSON_ArrayForEach(member, from)
    {
        cJSON *old = cJSON_GetObjectItemCaseSensitive(into, member->string);
        if (cJSON_IsObject(old) && cJSON_IsObject(member)) {
            merge(old, member);
        } else {
            cJSON_DeleteItemFromObjectCaseSensitive(into, member->string);
            cJSON_AddItemToObject(into, member->string, cJSON_Duplicate(member, true));
        }
    }
}

static void drop_specials(cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(value, "_key");
    cJSON_DeleteItemFromObjectCaseSensitive(value, "_id");
    cJSON_DeleteItemFromObjectCaseSensitive(value, "_rev");
}

static struct document *add(struct arangodb *arangodb, const char *collection, const char *key)
{
    struct document *document = calloc(1, sizeof *document);
    snprintf(document->collection, sizeof document->collection, "%s", collection);
    snprintf(document->key, sizeof document->key, "%s", key);
    document->value = cJSON_CreateObject();
    document->next = arangodb->documents;
    arangodb->documents = document;
    return document;
}

static void keep(struct arangodb *arangodb, struct document *document, const char *mode, const cJSON *value)
{
    if (strcmp(mode, "update") != 0) {
        cJSON_Delete(document->value);
        document->value = cJSON_CreateObject();
    }
    merge(document->value, value);
    document->revision = ++arangodb->revisions;
}

static void write_document(struct arangodb *arangodb, struct web_exchange *exchange, const char *collection,
                           const char *key, const cJSON *value)
{
    const char *mode = web_argument(exchange, "overwriteMode");
    const char *sync = web_argument(exchange, "waitForSync");
    struct document *document = find(arangodb, collection, key);
    mode = mode != NULL ? mode : "conflict";
    if (document != NULL && strcmp(mode, "conflict") == 0) {
        answer_error(exchange, 409, ERROR_UNIQUE_CONSTRAINT,
                     "unique constraint violated - in index primary of type primary over '_key'");
    } else if (strcmp(collection, "people") == 0 && namesake(arangodb, key, value) != NULL) {
        answer_error(exchange, 409, ERROR_UNIQUE_CONSTRAINT,
                     "unique constraint violated - in index email of type persistent over 'email'");
    } else {
        bool stays = document != NULL && strcmp(mode, "ignore") == 0;
        document = document != NULL ? document : add(arangodb, collection, key);
        arangodb->last = document;
        if (!stays)
            keep(arangodb, document, mode, value);
        arangodb->has_synced = sync != NULL && strcmp(sync, "true") == 0;
        answer_json(exchange, arangodb->has_synced ? 201 : 202, head_of(document));
    }
}

static void write_body(struct arangodb *arangodb, struct web_exchange *exchange, const char *collection)
{
    char made_key[32];
    cJSON *value = cJSON_ParseWithOpts(exchange->body, NULL, true);
    const cJSON *given = cJSON_GetObjectItemCaseSensitive(value, "_key");
    const char *key = cJSON_GetStringValue(given);
    if (value == NULL) {
        answer_error(exchange, 400, ERROR_CORRUPTED_JSON, "VPackError error: Expecting ']' or '}'");
    } else if (!cJSON_IsObject(value)) {
        answer_error(exchange, 400, ERROR_TYPE_INVALID, "invalid document type");
    } else if (given != NULL && (key == NULL || !is_key(key))) {
        answer_error(exchange, 400, ERROR_KEY_BAD, "illegal document key");
    } else {
        char copy[NAME_SIZE];
        snprintf(made_key, sizeof made_key, "%u", 1000000 + arangodb->revisions);
        snprintf(copy, sizeof copy, "%s", key != NULL ? key : made_key);
        drop_specials(value);
        write_document(arangodb, exchange, collection, copy, value);
    }
    cJSON_Delete(value);
}

static void read_document(struct arangodb *arangodb, struct web_exchange *exchange, const char *collection,
                          const char *key)
{
    const struct document *document = find(arangodb, collection, key);
    if (document == NULL) {
        answer_error(exchange, 404, ERROR_DOCUMENT_NOT_FOUND, "document not found");
        return;
    }
    cJSON *json = head_of(document);
    add_members(json, document->value);
    answer_json(exchange, 200, json);
}

/* --- Requests -------------------------------------------------------------------------------------------*/

/* "/_db/DATABASE/_api/document/COLLECTION" or that with "/KEY". */
static void handle_document(struct arangodb *arangodb, struct web_exchange *exchange)
{
    char database[NAME_SIZE], collection[NAME_SIZE], key[NAME_SIZE] = "";
    int parts =
        sscanf(exchange->path, "/_db/%255[^/]/_api/document/%255[^/]/%255[^/]", database, collection, key);
    if (parts < 2)
        answer_error(exchange, 404, 404, "unknown path");
    else if (strcmp(database, "shop") != 0)
        answer_error(exchange, 404, ERROR_DATABASE_NOT_FOUND, "database not found");
    else if (strcmp(collection, "orders") != 0 && strcmp(collection, "people") != 0)
        answer_error(exchange, 404, ERROR_COLLECTION_NOT_FOUND, "collection or view not found");
    else if (parts == 2)
        write_body(arangodb, exchange, collection);
    else
        read_document(arangodb, exchange, collection, key);
}

/* With the mutex held. */
static void handle_soundly(struct arangodb *arangodb, struct web_exchange *exchange,
                           enum arangodb_request request)
{
    if (request == ARANGODB_LOGIN)
        log_in(arangodb, exchange);
    else if (is_let_in(arangodb, exchange))
        handle_document(arangodb, exchange);
    else
        answer_error(exchange, 401, ERROR_FORBIDDEN, "not authorized to execute this request");
    arangodb->refusals += exchange->status == 401;
}

static void repeat_headers(struct web_exchange *exchange)
{
    char text[TEXT_SIZE];
    const char *shown = web_header(exchange, "Authorization");
    snprintf(text, sizeof text, "<html>It works! Authorization: %s %s", shown != NULL ? shown : "none",
             exchange->body);
    answer_text(exchange, 200, text);
}

static void ask_to_come_back(struct web_exchange *exchange)
{
    exchange->fields[0] = "Retry-After";
    exchange->fields[1] = "7";
}

/* Both of the document that was written last. */
static void forget(struct arangodb *arangodb)
{
    struct document **link = &arangodb->documents, *document = arangodb->last;
    while (*link != NULL && *link != document)
        link = &(*link)->next;
    if (*link == NULL)
        return;
    *link = document->next;
    arangodb->last = NULL;
    cJSON_Delete(document->value);
    free(document);
}

static void spoil(struct arangodb *arangodb)
{
    if (arangodb->last != NULL)
        cJSON_AddStringToObject(arangodb->last->value, "spoilt", "yes");
}

/* The request is done, but not to the end. */
static void go_astray(struct arangodb *arangodb, struct web_exchange *exchange, enum arangodb_request request,
                      enum arangodb_fault fault)
{
    pthread_mutex_lock(&arangodb->mutex);
    handle_soundly(arangodb, exchange, request);
    if (fault == ARANGODB_FORGETS)
        forget(arangodb);
    if (fault == ARANGODB_SPOILS)
        spoil(arangodb);
    pthread_mutex_unlock(&arangodb->mutex);
    if (fault == ARANGODB_CUT) {
        free(exchange->made);
        exchange->made = NULL;
        exchange->size = TEXT_SIZE;
        exchange->cut_at = 1;
    }
}

static void go_wrong(struct arangodb *arangodb, struct web_exchange *exchange, enum arangodb_request request,
                     enum arangodb_fault fault)
{
    switch (fault) {
    case ARANGODB_BUSY:
        ask_to_come_back(exchange);
        answer_error(exchange, 503, ERROR_UNAVAILABLE, "service unavailable");
        break;
    case ARANGODB_UNAVAILABLE: answer_error(exchange, 503, ERROR_UNAVAILABLE, "service unavailable"); break;
    case ARANGODB_THROTTLED:
        ask_to_come_back(exchange);
        answer_text(exchange, 429, "slow down");
        break;
    case ARANGODB_CONFLICT: answer_error(exchange, 409, ERROR_CONFLICT, "write-write conflict"); break;
    case ARANGODB_REFUSED:
        answer_error(exchange, 401, ERROR_FORBIDDEN, "not authorized to execute this request");
        break;
    case ARANGODB_FORBIDDEN: answer_error(exchange, 403, ERROR_FORBIDDEN, "forbidden"); break;
    case ARANGODB_TOO_LARGE: answer_text(exchange, 413, "<html>Request Entity Too Large"); break;
    case ARANGODB_HANGS:
        web_stall(exchange, HANG);
        answer_text(exchange, 503, "");
        break;
    case ARANGODB_GARBAGE: repeat_headers(exchange); break;
    case ARANGODB_GIGABYTE: exchange->size = GIGABYTE; break;
    case ARANGODB_CUT:
    case ARANGODB_FORGETS:
    case ARANGODB_SPOILS: go_astray(arangodb, exchange, request, fault); break;
    }
}

static void handle(struct web_exchange *exchange, void *owner)
{
    struct arangodb *arangodb = owner;
    enum arangodb_request request = strcmp(exchange->path, "/_open/auth") == 0 ? ARANGODB_LOGIN
                                    : strcmp(exchange->method, "POST") == 0    ? ARANGODB_WRITE
                                                                               : ARANGODB_READ;
    pthread_mutex_lock(&arangodb->mutex);
    bool goes_wrong = arangodb->faults[request] > 0;
    enum arangodb_fault fault = arangodb->fault[request];
    arangodb->faults[request] -= goes_wrong;
    arangodb->requests[request]++;
    if (!goes_wrong)
        handle_soundly(arangodb, exchange, request);
    pthread_mutex_unlock(&arangodb->mutex);
    if (goes_wrong)
        go_wrong(arangodb, exchange, request, fault);
}

/* --- For tests ------------------------------------------------------------------------------------------*/

struct arangodb *arangodb_start(bool asks_who)
{
    struct arangodb *arangodb = calloc(1, sizeof *arangodb);
    pthread_mutex_init(&arangodb->mutex, NULL);
    arangodb->asks_who = asks_who;
    arangodb->lifetime = LIFETIME;
    arangodb->server = web_server_start(handle, arangodb, NULL, NULL);
    return arangodb;
}

void arangodb_stop(struct arangodb *arangodb)
{
    web_server_stop(arangodb->server);
    for (struct document *next, *each = arangodb->documents; each != NULL; each = next) {
        next = each->next;
        cJSON_Delete(each->value);
        free(each);
    }
    pthread_mutex_destroy(&arangodb->mutex);
    free(arangodb);
}

unsigned arangodb_port(const struct arangodb *arangodb)
{
    return web_server_port(arangodb->server);
}

void arangodb_fail(struct arangodb *arangodb, enum arangodb_request request, enum arangodb_fault fault,
                   unsigned count)
{
    pthread_mutex_lock(&arangodb->mutex);
    arangodb->fault[request] = fault;
    arangodb->faults[request] = count;
    pthread_mutex_unlock(&arangodb->mutex);
}

void arangodb_set_token_lifetime(struct arangodb *arangodb, unsigned seconds)
{
    pthread_mutex_lock(&arangodb->mutex);
    arangodb->lifetime = seconds;
    pthread_mutex_unlock(&arangodb->mutex);
}

void arangodb_forget_tokens(struct arangodb *arangodb)
{
    pthread_mutex_lock(&arangodb->mutex);
    arangodb->forgotten = arangodb->tokens;
    pthread_mutex_unlock(&arangodb->mutex);
}

const char *arangodb_token(struct arangodb *arangodb)
{
    static char token[TEXT_SIZE];
    pthread_mutex_lock(&arangodb->mutex);
    make_token(arangodb, token);
    pthread_mutex_unlock(&arangodb->mutex);
    return token;
}

/* A number of the stub's, read while others write it. */
static unsigned look(struct arangodb *arangodb, const unsigned *number)
{
    pthread_mutex_lock(&arangodb->mutex);
    unsigned value = *number;
    pthread_mutex_unlock(&arangodb->mutex);
    return value;
}

unsigned arangodb_requests(struct arangodb *arangodb, enum arangodb_request request)
{
    return look(arangodb, &arangodb->requests[request]);
}

unsigned arangodb_refusals(struct arangodb *arangodb)
{
    return look(arangodb, &arangodb->refusals);
}

unsigned arangodb_count(struct arangodb *arangodb, const char *collection)
{
    unsigned count = 0;
    pthread_mutex_lock(&arangodb->mutex);
    for (const struct document *each = arangodb->documents; each != NULL; each = each->next)
        count += strcmp(each->collection, collection) == 0;
    pthread_mutex_unlock(&arangodb->mutex);
    return count;
}

char *arangodb_document(struct arangodb *arangodb, const char *collection, const char *key)
{
    char *text = NULL;
    pthread_mutex_lock(&arangodb->mutex);
    const struct document *document = find(arangodb, collection, key);
    if (document != NULL) {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "_key", key);
        add_members(json, document->value);
        text = cJSON_PrintUnformatted(json);
        cJSON_Delete(json);
    }
    pthread_mutex_unlock(&arangodb->mutex);
    return text != NULL ? text : strdup("");
}

bool arangodb_has_synced(struct arangodb *arangodb)
{
    pthread_mutex_lock(&arangodb->mutex);
    bool has_synced = arangodb->has_synced;
    pthread_mutex_unlock(&arangodb->mutex);
    return has_synced;
}
