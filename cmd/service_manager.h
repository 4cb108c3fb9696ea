/* Telling systemd how the service is, by its documented protocol: lines of text in one datagram to the socket
 * that NOTIFY_SOCKET names (sd_notify(3)). Without one, nothing is told. */
#ifndef CMD_SERVICE_MANAGER_H
#define CMD_SERVICE_MANAGER_H

#include <async/loop.h>
#include <stats/stats.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Once begun it takes neither memory nor descriptors: a loop that is short of them still turns, and is not to
 * be killed for its silence. */
struct service_manager {
    const struct stats *stats;
    struct sockaddr_un address;
    socklen_t address_size;
    int socket; /* -1: there is nobody to tell */
    int clock;  /* a timerfd */
    struct watch *watch;
    bool ready;   /* every queue was consumed at once */
    bool is_told; /* and systemd has taken READY=1, since the last reload, too */
};

/* From now on the loop says READY=1 when every queue is consumed for the first time, STATUS= as it goes, and
 * WATCHDOG=1 as long as it turns. False when memory or descriptors are short. */
bool service_manager_begin(struct service_manager *manager, struct loop *loop, const struct stats *stats);
void service_manager_end(struct service_manager *manager);

void service_manager_reloading(const struct service_manager *manager);
void service_manager_reloaded(struct service_manager *manager);
void service_manager_stopping(const struct service_manager *manager);

#endif
