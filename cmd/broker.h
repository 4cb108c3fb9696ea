/* Where the broker is, for a command that may be told by options, by the environment, or by a worker's
 * configuration. */
#ifndef CMD_BROKER_H
#define CMD_BROKER_H

#include <worker/brokers.h>

/* What the command line says; NULL: nothing. All borrowed, but for the URL. */
struct broker_request {
    char *url;              /* owned: broker_request_destroy */
    const char *config;     /* a worker's configuration, for want of anything else */
    bool config_is_default; /* nobody named it: it was found */
    const char *password_file;
    const char *ca;
    const char *cert;
    const char *key;
};

/* Keeps the URL, and overwrites the password in it where it stands, so that neither ps nor /proc show it any
 * longer. False when memory is short. */
bool broker_request_take_url(struct broker_request *request, char *argument);
void broker_request_destroy(struct broker_request *request);

/* What the options come to. */
struct broker {
    struct brokers *brokers;
    struct broker_address_list *addresses; /* what `brokers` borrows from; NULL: a configuration */
};

/* 0, or the exit code to end with after it was printed what is wrong. Reads files: blocks. */
int broker_find(const char *command, const struct broker_request *request, struct broker *broker);
void broker_destroy(struct broker *broker);

#endif
