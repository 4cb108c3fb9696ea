/* A registry of queues that no worker stands behind, for tests of what the admin port tells of it. */
#ifndef TESTS_UNIT_ADMIN_TESTING_H
#define TESTS_UNIT_ADMIN_TESTING_H

#include <base/clock.h>
#include <criterion/criterion.h>
#include <stats/stats.h>

static struct stats stats;
static struct queue_stats orders, emails;

/* Two queues that are consumed, over connections that are up. */
static inline void registry_open(void)
{
    double now = clock_monotonic();
    stats_init(&stats, "1.2.3");
    loop_stats_tick(&stats.loop, now, 0);
    for (int i = 0; i < CONNECTION_ROLES; i++)
        connection_stats_up(&stats.connections[i], "amqp://guest@rabbit:5672/", now);
    orders.concurrency = orders.prefetch = 64;
    emails.concurrency = 8;
    emails.prefetch = 20;
    cr_assert(stats_add_queue(&stats, &orders, "orders", "log"));
    cr_assert(stats_add_queue(&stats, &emails, "emails", "exec"));
    queue_stats_enter(&orders, SUBSCRIPTION_CONSUMING, now);
    queue_stats_enter(&emails, SUBSCRIPTION_CONSUMING, now);
}

static inline void registry_close(void)
{
    stats_remove_queue(&stats, &orders);
    stats_remove_queue(&stats, &emails);
    stats_destroy(&stats);
}

/* One delivery of the queue that comes to that end after one attempt. */
static inline void registry_deliver(struct queue_stats *queue, enum attempt_result result, double seconds,
                                    enum delivery_outcome outcome)
{
    queue_counters_arrived(&queue->counters, PHASE_WAITING, clock_monotonic());
    queue_counters_moved(&queue->counters, PHASE_WAITING, PHASE_RUNNING);
    queue_counters_attempted(&queue->counters, result, seconds);
    queue_counters_ended(&queue->counters, PHASE_RUNNING, outcome);
}

#endif
