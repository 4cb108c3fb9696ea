/* The queues of a configuration. */
#ifndef CONFIG_QUEUE_H
#define CONFIG_QUEUE_H

#include "reader.h"

key_read key_read_queues; /* struct config: its queues */

#endif
