#include "client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void client_die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

void client_check_status(int status, const char *what)
{
    if (status < 0)
        client_die(what, amqp_error_string2(status));
}

static void client_die_of_exception(const amqp_method_t *method, const char *what)
{
    char why[512] = "unexpected method";
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *close = method->decoded;
        snprintf(why, sizeof why, "%.*s", (int)close->reply_text.len, (const char *)close->reply_text.bytes);
    } else if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *close = method->decoded;
        snprintf(why, sizeof why, "%.*s", (int)close->reply_text.len, (const char *)close->reply_text.bytes);
    }
    client_die(what, why);
}

static void client_check_answer(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        client_die(what, amqp_error_string2(reply.library_error));
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION)
        client_die_of_exception(&reply.reply, what);
}

void client_check_reply(amqp_connection_state_t connection, const char *what)
{
    client_check_answer(amqp_get_rpc_reply(connection), what);
}

/* Trusts what SSL_CERT_FILE names, as OpenSSL's own programs do. */
static amqp_socket_t *client_tls_socket(amqp_connection_state_t connection)
{
    const char *ca = getenv("SSL_CERT_FILE");
    amqp_socket_t *socket = amqp_ssl_socket_new(connection);
    if (ca == NULL)
        client_die("amqps", "name the broker's CA in SSL_CERT_FILE");
    if (socket != NULL)
        client_check_status(amqp_ssl_socket_set_cacert(socket, ca), ca);
    return socket;
}

amqp_connection_state_t client_connect(const char *url)
{
    struct amqp_connection_info info;
    char *copy = strdup(url);
    if (copy == NULL)
        client_die("URL", strerror(errno));
    client_check_status(amqp_parse_url(copy, &info), url);
    /* To every other client, and to people, the trailing slash of a URL means the default virtual host. */
    const char *vhost = info.vhost[0] == '\0' ? "/" : info.vhost;
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = info.ssl ? client_tls_socket(connection) : amqp_tcp_socket_new(connection);
    if (socket == NULL)
        client_die("socket", strerror(errno));
    client_check_status(amqp_socket_open(socket, info.host, info.port), url);
    client_check_answer(amqp_login(connection, vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN,
                                   info.user, info.password),
                        "login");
    amqp_channel_open(connection, CLIENT_CHANNEL);
    client_check_reply(connection, "channel.open");
    free(copy);
    return connection;
}

void client_close(amqp_connection_state_t connection)
{
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(connection);
}

void client_set_prefetch(amqp_connection_state_t connection, uint16_t prefetch)
{
    amqp_basic_qos(connection, CLIENT_CHANNEL, 0, prefetch, false);
    client_check_reply(connection, "basic.qos");
}

uint64_t client_parse_number(const char *text, const char *name, uint64_t least, uint64_t most)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || number < least || number > most) {
        fprintf(stderr, "%s: expected a whole number from %llu to %llu, found '%s'\n", name,
                (unsigned long long)least, (unsigned long long)most, text);
        exit(64);
    }
    return number;
}
