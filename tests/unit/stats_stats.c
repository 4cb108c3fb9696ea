#include <base/clock.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <stats/stats.h>
#include <stdio.h>

static struct stats stats;

static void begin(void)
{
    stats_init(&stats, "1.2.3");
}

static void end(void)
{
    stats_destroy(&stats);
}

TestSuite(stats, .init = begin, .fini = end);

static void add(struct queue_stats *queue, const char *name, const char *processor)
{
    cr_assert(stats_add_queue(&stats, queue, name, processor));
}

Test(stats, show_queues_in_the_order_they_came)
{
    struct queue_stats first = {.concurrency = 3, .prefetch = 7}, second = {0};
    struct queue_views views;
    add(&first, "orders", "log");
    add(&second, "emails", "exec");
    cr_assert(stats_view_queues(&stats, &views));
    cr_assert_eq(views.count, 2);
    cr_assert_str_eq(views.items[0].queue, "orders");
    cr_assert_str_eq(views.items[0].processor, "log");
    cr_assert_eq(views.items[0].concurrency, 3);
    cr_assert_eq(views.items[0].prefetch, 7);
    cr_assert_str_eq(views.items[1].queue, "emails");
    queue_views_destroy(&views);
    stats_remove_queue(&stats, &first);
    stats_remove_queue(&stats, &second);
}

Test(stats, forget_a_queue_that_was_removed)
{
    struct queue_stats queue = {0}, never_added = {0};
    struct queue_views views;
    add(&queue, "orders", "log");
    stats_remove_queue(&stats, &queue);
    stats_remove_queue(&stats, &never_added);
    cr_assert(stats_view_queues(&stats, &views));
    cr_assert_eq(views.count, 0);
    queue_views_destroy(&views);
}

Test(stats, show_a_subscription_and_the_one_that_replaces_it_as_one)
{
    struct queue_stats old = {0}, new = {0};
    struct queue_views views;
    add(&old, "orders", "log");
    queue_counters_arrived(&old.counters, PHASE_RUNNING, 1);
    queue_stats_fail(&old, "no luck", 5);
    queue_stats_enter(&old, SUBSCRIPTION_DRAINING, 1);
    add(&new, "orders", "log");
    queue_counters_arrived(&new.counters, PHASE_WAITING, 2);
    queue_stats_enter(&new, SUBSCRIPTION_CONSUMING, 2);
    cr_assert(stats_view_queues(&stats, &views));
    cr_assert_eq(views.count, 1);
    cr_assert_str_eq(views.items[0].queue, "orders");
    cr_assert_eq(views.items[0].totals.consumed, 2);
    cr_assert_eq(views.items[0].totals.in_flight, 2);
    cr_assert_eq(views.items[0].state, SUBSCRIPTION_CONSUMING);
    cr_assert_str_eq(views.items[0].last_error, "no luck");
    queue_views_destroy(&views);

    queue_counters_ended(&old.counters, PHASE_RUNNING, OUTCOME_ACKED);
    stats_remove_queue(&stats, &old);
    cr_assert(stats_view_queues(&stats, &views));
    cr_assert_eq(views.items[0].totals.consumed, 2, "what the old one counted is lost");
    cr_assert_eq(views.items[0].totals.outcomes[OUTCOME_ACKED], 1);
    queue_views_destroy(&views);
    stats_remove_queue(&stats, &new);
}

Test(stats, keep_the_last_delivery_and_error_when_a_subscription_is_replaced)
{
    struct queue_stats old = {0}, new = {0};
    struct queue_views views;
    add(&old, "orders", "log");
    queue_counters_arrived(&old.counters, PHASE_RUNNING, 7);
    queue_stats_fail(&old, "no luck", 8);
    add(&new, "orders", "log");
    queue_counters_arrived(&new.counters, PHASE_RUNNING, 5);
    queue_stats_fail(&new, "none before either", 6);
    stats_remove_queue(&stats, &old);
    cr_assert(stats_view_queues(&stats, &views));
    cr_assert_eq(views.items[0].totals.last_delivery, 7);
    cr_assert_str_eq(views.items[0].last_error, "no luck");
    cr_assert_eq(views.items[0].last_error_at, 8);
    queue_views_destroy(&views);
    stats_remove_queue(&stats, &new);
}

Test(stats, keep_the_newer_of_two_errors_when_a_subscription_is_replaced)
{
    struct queue_stats old = {0}, new = {0};
    char error[SHARED_TEXT_SIZE];
    add(&old, "orders", "log");
    queue_stats_fail(&old, "no luck", 8);
    add(&new, "orders", "log");
    queue_stats_fail(&new, "no luck again", 9);
    queue_counters_arrived(&new.counters, PHASE_RUNNING, 10);
    stats_remove_queue(&stats, &old);
    shared_text_get(&new.last_error, error);
    cr_assert_str_eq(error, "no luck again");
    cr_assert_eq(new.counters.last_delivery, 10);
    stats_remove_queue(&stats, &new);
}

Test(stats, count_a_subscription_and_the_one_that_replaces_it_as_one)
{
    struct queue_stats old = {0}, new = {0}, other = {0};
    add(&old, "orders", "log");
    queue_stats_enter(&old, SUBSCRIPTION_CONSUMING, 1);
    queue_counters_arrived(&old.counters, PHASE_RUNNING, 1);
    add(&new, "orders", "log");
    add(&other, "orders", "exec");
    queue_stats_enter(&other, SUBSCRIPTION_CONSUMING, 1);
    queue_counters_arrived(&other.counters, PHASE_WAITING, 1);
    struct queue_counts counts = stats_count_queues(&stats);
    cr_assert_eq(counts.queues, 2);
    cr_assert_eq(counts.consuming, 1, "that of the newer counts");
    cr_assert_eq(counts.in_flight, 2);
    stats_remove_queue(&stats, &new);
    counts = stats_count_queues(&stats);
    cr_assert_eq(counts.queues, 2);
    cr_assert_eq(counts.consuming, 2);
    stats_remove_queue(&stats, &old);
    stats_remove_queue(&stats, &other);
}

Test(stats, tell_thousands_of_queues_apart)
{
    enum {
        MANY = 3000
    };
    static struct queue_stats old[MANY], new[MANY];
    struct queue_views views;
    char name[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "orders.%d", i);
        add(&old[i], name, "log");
        queue_counters_arrived(&old[i].counters, PHASE_WAITING, 1);
    }
    for (int i = 0; i < MANY; i += 2) {
        snprintf(name, sizeof name, "orders.%d", i);
        add(&new[i], name, "log");
        queue_counters_arrived(&new[i].counters, PHASE_WAITING, 1);
    }
    cr_assert(stats_view_queues(&stats, &views));
    cr_assert_eq(views.count, MANY);
    for (int i = 0; i < MANY; i++) {
        cr_assert_str_eq(views.items[i].queue, old[i].queue);
        cr_assert_eq(views.items[i].totals.consumed, i % 2 == 0 ? 2 : 1);
    }
    queue_views_destroy(&views);
    cr_assert_eq(stats_count_queues(&stats).queues, MANY);
    for (int i = 0; i < MANY; i++)
        stats_remove_queue(&stats, &old[i]);
    cr_assert_eq(stats_count_queues(&stats).in_flight, MANY, "every second one had an heir, of two");
    for (int i = 0; i < MANY; i++)
        stats_remove_queue(&stats, &new[i]);
    cr_assert_eq(stats_count_queues(&stats).queues, 0);
}

static bool refuse(size_t size)
{
    (void)size;
    return false;
}

Test(stats, say_so_when_memory_is_short)
{
    struct queue_stats queue = {0};
    struct queue_views views;
    memory_permit = refuse;
    cr_assert_not(stats_add_queue(&stats, &queue, "orders", "log"));
    cr_assert_not(stats_view_queues(&stats, &views));
    cr_assert_null(in_flight_list_create(0));
    memory_permit = NULL;
    cr_assert_eq(stats.queue_count, 0);
}

Test(stats, remember_since_when_a_state_holds)
{
    struct queue_stats queue = {0};
    add(&queue, "orders", "log");
    queue_stats_enter(&queue, SUBSCRIPTION_CONSUMING, 10);
    queue_stats_enter(&queue, SUBSCRIPTION_CONSUMING, 20);
    cr_assert_eq(queue.state_since, 10);
    stats_remove_queue(&stats, &queue);
}

Test(stats, count_the_times_a_connection_came_back)
{
    struct connection_stats *connection = &stats.connections[CONNECTION_PUBLISH];
    char text[SHARED_TEXT_SIZE];
    connection_stats_down(connection, "refused", 1);
    cr_assert_not(connection->up);
    connection_stats_up(connection, "amqp://guest@rabbit/", 2);
    cr_assert_eq(counter_get(&connection->reconnects), 0);
    connection->blocked = true;
    connection_stats_down(connection, "hung up", 3);
    connection_stats_down(connection, "refused", 4);
    cr_assert_eq(connection->since, 3);
    cr_assert_not(connection->blocked, "a connection that is down is not blocked");
    connection_stats_up(connection, "amqp://guest@rabbit/", 5);
    cr_assert_eq(counter_get(&connection->epoch), 2);
    cr_assert_eq(counter_get(&connection->reconnects), 1);
    shared_text_get(&connection->address, text);
    cr_assert_str_eq(text, "amqp://guest@rabbit/");
    shared_text_get(&connection->last_error, text);
    cr_assert_str_eq(text, "refused");
}

Test(stats, do_not_take_a_connection_that_is_opened_on_demand_for_one_that_came_back)
{
    struct connection_stats *connection = &stats.connections[CONNECTION_RELAY];
    cr_assert_not(connection->needed);
    for (double now = 1; now < 3; now++) {
        connection_stats_needed(connection);
        connection_stats_up(connection, "amqp://guest@rabbit/", now);
        cr_assert(connection->needed && connection->up);
        connection_stats_closed(connection, now + 0.5);
        cr_assert(!connection->needed && !connection->up);
    }
    cr_assert_eq(counter_get(&connection->epoch), 2);
    cr_assert_eq(counter_get(&connection->reconnects), 0);
    connection_stats_needed(connection);
    connection_stats_up(connection, "amqp://guest@rabbit/", 3);
    connection_stats_down(connection, "hung up", 4);
    connection_stats_up(connection, "amqp://guest@rabbit/", 5);
    cr_assert_eq(counter_get(&connection->reconnects), 1);
}

Test(stats, know_a_lag_that_goes_on)
{
    loop_stats_tick(&stats.loop, 100, 0.25);
    cr_assert_float_eq(loop_stats_lag(&stats.loop, 100.1), 0.25, 1e-9);
    cr_assert_float_eq(loop_stats_lag(&stats.loop, 107.5), 7, 1e-9);
    loop_stats_tick(&stats.loop, 107.5, 7);
    loop_stats_tick(&stats.loop, 108, 0);
    cr_assert_float_eq(loop_stats_lag(&stats.loop, 108.1), 0, 1e-9);
    cr_assert_eq(stats.loop.lag_max, 7);
}
