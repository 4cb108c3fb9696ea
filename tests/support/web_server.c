#include "web_server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BODY_LIMIT = 32 * 1024 * 1024,
    BLOCK = 1024,
};

struct web_server {
    struct MHD_Daemon *daemon;
    web_handler *handler;
    void *owner;
    char *certificate;
    char *key;
    atomic_uint requests;
    pthread_mutex_t mutex;
    pthread_cond_t stop;
    bool stopping;
};

/* A request whose body is coming in; then what the answer is made from. */
struct incoming {
    struct web_server *server;
    char *body;
    size_t size;
    struct web_exchange exchange;
};

/* --- Answering ------------------------------------------------------------------------------------------*/

static ssize_t make_block(void *owner, uint64_t position, char *buffer, size_t room)
{
    struct incoming *incoming = owner;
    const struct web_exchange *exchange = &incoming->exchange;
    uint64_t end = exchange->cut_at > 0 ? exchange->cut_at : exchange->size;
    if (position >= end)
        return exchange->cut_at > 0 ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    if (exchange->pause > 0) {
        web_stall(&incoming->exchange, exchange->pause);
        room = room < BLOCK ? room : BLOCK;
    }
    if (room > end - position)
        room = (size_t)(end - position);
    memset(buffer, 'x', room);
    return (ssize_t)room;
}

static struct MHD_Response *make_response(struct incoming *incoming)
{
    struct web_exchange *exchange = &incoming->exchange;
    struct MHD_Response *response;
    if (exchange->made != NULL)
        response =
            MHD_create_response_from_buffer(strlen(exchange->made), exchange->made, MHD_RESPMEM_MUST_FREE);
    else if (exchange->answer != NULL)
        response = MHD_create_response_from_buffer(strlen(exchange->answer), (void *)exchange->answer,
                                                   MHD_RESPMEM_MUST_COPY);
    else
        response = MHD_create_response_from_callback(exchange->size, 64 * BLOCK, make_block, incoming, NULL);
    for (size_t i = 0; i + 1 < 2 * WEB_FIELDS && exchange->fields[i] != NULL; i += 2)
        MHD_add_response_header(response, exchange->fields[i], exchange->fields[i + 1]);
    return response;
}

static unsigned client_port(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return ntohs(((const struct sockaddr_in *)(const void *)info->client_addr)->sin_port);
}

static enum MHD_Result answer(struct MHD_Connection *connection, struct incoming *incoming, const char *path,
                              const char *method)
{
    struct web_server *server = incoming->server;
    incoming->body[incoming->size] = '\0';
    incoming->exchange = (struct web_exchange){
        .method = method,
        .path = path,
        .body = incoming->body,
        .body_size = incoming->size,
        .client = client_port(connection),
        .number = atomic_fetch_add(&server->requests, 1) + 1,
        .connection = connection,
        .status = 200,
    };
    server->handler(&incoming->exchange, server->owner);
    struct MHD_Response *response = make_response(incoming);
    enum MHD_Result result = MHD_queue_response(connection, incoming->exchange.status, response);
    MHD_destroy_response(response);
    return result;
}

/* --- Coming in ------------------------------------------------------------------------------------------*/

static enum MHD_Result on_request(void *owner, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data, size_t *size,
                                  void **state)
{
    struct incoming *incoming = *state;
    (void)version;
    if (incoming == NULL) {
        *state = incoming = calloc(1, sizeof *incoming);
        incoming->server = owner;
        incoming->body = malloc(1);
        return MHD_YES;
    }
    if (*size == 0)
        return answer(connection, incoming, path, method);
    if (incoming->size + *size > BODY_LIMIT)
        return MHD_NO;
    incoming->body = realloc(incoming->body, incoming->size + *size + 1);
    memcpy(incoming->body + incoming->size, data, *size);
    incoming->size += *size;
    *size = 0;
    return MHD_YES;
}

static void on_completed(void *owner, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct incoming *incoming = *state;
    (void)owner, (void)connection, (void)code;
    if (incoming != NULL)
        free(incoming->body);
    free(incoming);
    *state = NULL;
}

/* --- Coming and going -----------------------------------------------------------------------------------*/

static char *read_file(const char *path)
{
    FILE *stream = fopen(path, "r");
    cr_assert_not_null(stream, "%s: %s", path, strerror(errno));
    char *text = calloc(1, 65536);
    cr_assert_gt(fread(text, 1, 65535, stream), 0, "%s is empty", path);
    fclose(stream);
    return text;
}

static void on_error(void *owner, const char *format, va_list arguments)
{
    (void)owner, (void)format, (void)arguments; /* tests break connections on purpose */
}

struct web_server *web_server_start(web_handler *handler, void *owner, const char *certificate_file,
                                    const char *key_file)
{
    struct web_server *server = calloc(1, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET};
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_END, 0, NULL}, {MHD_OPTION_END, 0, NULL}, {MHD_OPTION_END, 0, NULL}};
    server->handler = handler;
    server->owner = owner;
    pthread_mutex_init(&server->mutex, NULL);
    pthread_cond_init(&server->stop, NULL);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (certificate_file != NULL) {
        flags |= MHD_USE_TLS;
        server->certificate = read_file(certificate_file);
        server->key = read_file(key_file);
        tls[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, server->certificate};
        tls[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, server->key};
    }
    server->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_error, NULL,
                         MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
                         MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    cr_assert_not_null(server->daemon, "libmicrohttpd can't start a server: %s", strerror(errno));
    return server;
}

void web_server_stop(struct web_server *server)
{
    pthread_mutex_lock(&server->mutex);
    server->stopping = true;
    pthread_cond_broadcast(&server->stop);
    pthread_mutex_unlock(&server->mutex);
    MHD_stop_daemon(server->daemon);
    pthread_cond_destroy(&server->stop);
    pthread_mutex_destroy(&server->mutex);
    free(server->certificate);
    free(server->key);
    free(server);
}

unsigned web_server_port(const struct web_server *server)
{
    return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

unsigned web_server_requests(struct web_server *server)
{
    return atomic_load(&server->requests);
}

const char *web_header(const struct web_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

const char *web_argument(const struct web_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_GET_ARGUMENT_KIND, name);
}

void web_stall(struct web_exchange *exchange, double seconds)
{
    struct incoming *incoming =
        (struct incoming *)(void *)((char *)exchange - offsetof(struct incoming, exchange));
    struct web_server *server = incoming->server;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)seconds;
    until.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&server->mutex);
    while (!server->stopping &&
           pthread_cond_clockwait(&server->stop, &server->mutex, CLOCK_MONOTONIC, &until) == 0)
        ;
    pthread_mutex_unlock(&server->mutex);
}

/* --- Without libmicrohttpd ------------------------------------------------------------------------------*/

static int bind_anywhere(unsigned *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0, "bind: %s", strerror(errno));
    getsockname(listener, (struct sockaddr *)&address, &size);
    *port = ntohs(address.sin_port);
    return listener;
}

struct raw_server {
    int listener;
    const char *bytes;
};

static void *serve_raw(void *arg)
{
    struct raw_server *server = arg;
    char request[4096];
    int connection;
    while ((connection = accept(server->listener, NULL, NULL)) >= 0) {
        if (recv(connection, request, sizeof request, 0) > 0)
            send(connection, server->bytes, strlen(server->bytes), MSG_NOSIGNAL);
        close(connection);
    }
    return NULL;
}

unsigned raw_server_start(const char *bytes)
{
    static struct raw_server servers[8];
    static unsigned count;
    unsigned port;
    pthread_t thread;
    cr_assert_lt(count, 8);
    struct raw_server *server = &servers[count++];
    server->bytes = bytes;
    server->listener = bind_anywhere(&port);
    cr_assert_eq(listen(server->listener, 16), 0, "listen: %s", strerror(errno));
    if (bytes != NULL) {
        cr_assert_eq(pthread_create(&thread, NULL, serve_raw, server), 0);
        pthread_detach(thread);
    }
    return port;
}

unsigned unused_port(void)
{
    unsigned port;
    bind_anywhere(&port); /* it stays bound, so that nobody else gets it */
    return port;
}
