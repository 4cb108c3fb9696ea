#include "service_manager.h"
#include <base/clock.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

static const double TICK_SECONDS = 1;

/* False: the socket takes no more for now, as systemd is busy. What else can't be told is not worth an error:
 * nobody listens, or soon nobody will. */
static bool tell(const struct service_manager *manager, const char *text)
{
    return manager->socket < 0 ||
           sendto(manager->socket, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                  (const struct sockaddr *)&manager->address, manager->address_size) >= 0 ||
           (errno != EAGAIN && errno != ENOBUFS);
}

/* Half the time after which systemd loses patience, if that is less than a tick. */
static double tick_pause(void)
{
    const char *limit = getenv("WATCHDOG_USEC");
    double half = limit != NULL ? strtod(limit, NULL) / 2e6 : 0;
    return half > 0 && half < TICK_SECONDS ? half : TICK_SECONDS;
}

static void on_tick(void *owner, int events)
{
    struct service_manager *manager = owner;
    struct queue_counts counts = stats_count_queues(manager->stats);
    uint64_t ticks;
    char text[256];
    (void)events;
    if (read(manager->clock, &ticks, sizeof ticks) < 0)
        return;
    manager->ready |= counts.consuming == counts.queues;
    snprintf(text, sizeof text, "%sWATCHDOG=1\nSTATUS=%zu of %zu queues consumed, %llu in flight",
             manager->ready && !manager->is_told ? "READY=1\n" : "", counts.consuming, counts.queues,
             (unsigned long long)counts.in_flight);
    manager->is_told |= tell(manager, text) && manager->ready;
}

/* False: there is nobody to tell. */
static bool find_listener(struct service_manager *manager)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un *address = &manager->address;
    size_t length = path != NULL ? strlen(path) : 0;
    if (length == 0 || length >= sizeof address->sun_path)
        return false;
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length);
    if (path[0] == '@')
        address->sun_path[0] = '\0'; /* an abstract name */
    manager->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return true;
}

/* The first tick comes with the loop's first turn. */
static bool start_clock(struct service_manager *manager, struct loop *loop)
{
    double pause = tick_pause();
    struct itimerspec spec = {.it_value.tv_nsec = 1, .it_interval.tv_sec = (time_t)pause};
    spec.it_interval.tv_nsec = (long)((pause - (double)spec.it_interval.tv_sec) * 1e9);
    manager->clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (manager->clock < 0 || timerfd_settime(manager->clock, 0, &spec, NULL) != 0)
        return false;
    manager->watch = watch_create(loop, manager->clock, on_tick, manager);
    if (manager->watch == NULL)
        return false;
    watch_set(manager->watch, WHIPPET_READABLE);
    return true;
}

bool service_manager_begin(struct service_manager *manager, struct loop *loop, const struct stats *stats)
{
    *manager = (struct service_manager){.stats = stats, .socket = -1, .clock = -1};
    if (!find_listener(manager))
        return true;
    manager->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return manager->socket >= 0 && start_clock(manager, loop);
}

void service_manager_end(struct service_manager *manager)
{
    watch_destroy(manager->watch);
    if (manager->clock >= 0)
        close(manager->clock);
    if (manager->socket >= 0)
        close(manager->socket);
}

void service_manager_reloading(const struct service_manager *manager)
{
    char text[80];
    if (!manager->is_told)
        return;
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)(clock_monotonic() * 1e6));
    tell(manager, text);
}

void service_manager_reloaded(struct service_manager *manager)
{
    manager->is_told = manager->is_told && tell(manager, "READY=1");
}

void service_manager_stopping(const struct service_manager *manager)
{
    tell(manager, "STOPPING=1");
}
