/* RabbitMQ's management API, for tests. */
#ifndef TESTS_SUPPORT_MANAGEMENT_H
#define TESTS_SUPPORT_MANAGEMENT_H

#include "broker.h"

/* Has the broker serve the management API, without a restart; returns the port of 127.0.0.1 that it took. */
unsigned management_enable(struct broker *broker);

#endif
