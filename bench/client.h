/* A plain rabbitmq-c connection with channel 1 open, for the programs of this folder. What goes wrong is
 * printed and ends the program. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <stdint.h>

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/ssl_socket.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#endif

enum {
    CLIENT_CHANNEL = 1
};

/* Connects to an amqp:// or amqps:// URL, with a frame_max of 128 KiB and without heartbeats. */
amqp_connection_state_t client_connect(const char *url);
void client_close(amqp_connection_state_t connection);

/* Ends the program, naming `what`, unless the last synchronous call on the connection, or `status`, is fine.
 */
void client_check_reply(amqp_connection_state_t connection, const char *what);
void client_check_status(int status, const char *what);

/* Sets the prefetch, never globally. */
void client_set_prefetch(amqp_connection_state_t connection, uint16_t prefetch);

/* Ends the program with status 64 unless `text` is a whole number from `least` to `most`. */
uint64_t client_parse_number(const char *text, const char *name, uint64_t least, uint64_t most);

#endif
