#include "service_manager.h"
#include <base/clock.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const double TICK_SECONDS = 1;

/* What can't be told is not worth an error: nobody listens, or soon nobody will. */
static void tell(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || path[0] == '\0' || strlen(path) >= sizeof address.sun_path)
        return;
    size_t length = strlen(path);
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* an abstract name */
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return;
    sendto(descriptor, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    close(descriptor);
}

/* Half the time after which systemd loses patience, if that is less than a tick. */
static double tick_pause(void)
{
    const char *limit = getenv("WATCHDOG_USEC");
    double half = limit != NULL ? strtod(limit, NULL) / 2e6 : 0;
    return half > 0 && half < TICK_SECONDS ? half : TICK_SECONDS;
}

static void on_tick(struct timer *timer)
{
    struct service_manager *manager = list_entry(timer, struct service_manager, timer);
    struct queue_views views;
    size_t consuming = 0;
    uint64_t in_flight = 0;
    char text[256];
    if (stats_view_queues(manager->stats, &views)) {
        for (size_t i = 0; i < views.count; i++) {
            consuming += views.items[i].state == SUBSCRIPTION_CONSUMING;
            in_flight += views.items[i].totals.in_flight;
        }
        bool becomes_ready = !manager->ready && consuming == views.count;
        manager->ready |= becomes_ready;
        snprintf(text, sizeof text, "%sWATCHDOG=1\nSTATUS=%zu of %zu queues consumed, %llu in flight",
                 becomes_ready ? "READY=1\n" : "", consuming, views.count, (unsigned long long)in_flight);
        tell(text);
        queue_views_destroy(&views);
    }
    timer_start(&loop_scheduler(manager->loop)->timers, timer, clock_monotonic() + tick_pause());
}

bool service_manager_begin(struct service_manager *manager, struct loop *loop, struct stats *stats)
{
    *manager = (struct service_manager){.loop = loop, .stats = stats, .timer.function = on_tick};
    if (getenv("NOTIFY_SOCKET") == NULL)
        return true;
    return timer_start(&loop_scheduler(loop)->timers, &manager->timer, loop_now(loop));
}

void service_manager_end(struct service_manager *manager)
{
    timer_stop(&loop_scheduler(manager->loop)->timers, &manager->timer);
}

void service_manager_reloading(const struct service_manager *manager)
{
    char text[80];
    if (!manager->ready)
        return;
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)(clock_monotonic() * 1e6));
    tell(text);
}

void service_manager_reloaded(const struct service_manager *manager)
{
    if (manager->ready)
        tell("READY=1");
}

void service_manager_stopping(void)
{
    tell("STOPPING=1");
}
