/* whippet check --broker: the configuration beside what the broker has. */
#ifndef CMD_CHECK_BROKER_H
#define CMD_CHECK_BROKER_H

#include <config/config.h>
#include <stdbool.h>

struct check_request {
    char *management; /* URL of the management API, owned; NULL: the configuration's */
    bool json;
};

/* Compares, changes nothing, and prints what it found. 0: nothing is wrong; 1: something is; or another exit
 * code after it said why it could not look. */
int check_broker(const struct config *config, const struct check_request *request);

#endif
