/* Telling systemd how the service is, by its documented protocol: lines of text in one datagram to the socket
 * that NOTIFY_SOCKET names (sd_notify(3)). Without one, nothing is told. */
#ifndef CMD_SERVICE_MANAGER_H
#define CMD_SERVICE_MANAGER_H

#include <async/loop.h>
#include <stats/stats.h>

struct service_manager {
    struct loop *loop;
    struct stats *stats;
    struct timer timer;
    bool ready; /* READY=1 was said */
};

/* From now on the loop says READY=1 when every queue is consumed for the first time, STATUS= as it goes, and
 * WATCHDOG=1 as long as it turns. False when memory is short. */
bool service_manager_begin(struct service_manager *manager, struct loop *loop, struct stats *stats);
void service_manager_end(struct service_manager *manager);

void service_manager_reloading(const struct service_manager *manager);
void service_manager_reloaded(const struct service_manager *manager);
void service_manager_stopping(void);

#endif
