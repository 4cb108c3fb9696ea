#include <amqp/session.h>
#include <criterion/criterion.h>
#include <io/publisher.h>
#include <worker/bound.h>

static const struct config CONFIG = {.stack_size = 262144};

static struct queue_config queue_of(unsigned prefetch, unsigned concurrency, uint64_t size)
{
    return (struct queue_config){.prefetch = prefetch, .concurrency = concurrency, .max_message_size = size};
}

Test(bound, counts_every_prefetched_message_with_its_envelope)
{
    struct queue_config queue = queue_of(10, 1, 1000);
    uint64_t messages = bound_of_queue(&CONFIG, &queue).messages;
    cr_assert_geq(messages, 10 * (1000 + SESSION_FRAME_MAX), "%llu", (unsigned long long)messages);
    cr_assert_leq(messages, 10 * (1000 + SESSION_FRAME_MAX + 4096), "%llu", (unsigned long long)messages);
}

Test(bound, counts_a_full_stack_for_every_attempt)
{
    struct queue_config queue = queue_of(500, 64, 1000);
    uint64_t stacks = bound_of_queue(&CONFIG, &queue).stacks;
    cr_assert_eq(stacks, 64 * 262144, "%llu", (unsigned long long)stacks);
}

Test(bound, counts_what_child_processes_copy)
{
    struct queue_config queue = queue_of(500, 64, 1000000);
    cr_assert_eq(bound_of_queue(&CONFIG, &queue).children, 0);
    queue.run = RUN_PROCESS;
    queue.processes = 4;
    uint64_t children = bound_of_queue(&CONFIG, &queue).children;
    cr_assert_geq(children, UINT64_C(68) * 1000000, "%llu", (unsigned long long)children);
    cr_assert_leq(children, UINT64_C(68) * 1200000 + (UINT64_C(4) << 23), "%llu",
                  (unsigned long long)children);
    queue.processes = 1000;
    cr_assert_leq(bound_of_queue(&CONFIG, &queue).children, UINT64_C(128) * 1200000 + (UINT64_C(64) << 23),
                  "there are no more children than attempts");
}

Test(bound, does_not_overflow_with_the_largest_of_all)
{
    struct queue_config queue = queue_of(65535, 65535, UINT64_C(1) << 32);
    struct memory_bound bound = bound_of_queue(&CONFIG, &queue);
    cr_assert_gt(bound.messages, UINT64_C(65535) << 32);
    cr_assert_eq(bound.stacks, UINT64_C(65535) * 262144);
}

Test(bound, adds_the_queues_up)
{
    struct queue_config queues[] = {queue_of(10, 5, 1000), queue_of(20, 7, 5000)};
    struct config config = CONFIG;
    config.queues = queues;
    config.queue_count = 2;
    config.max_tasks = (unsigned)config_tasks_reserved(&config) + 100;
    struct memory_bound first = bound_of_queue(&config, &queues[0]),
                        second = bound_of_queue(&config, &queues[1]);
    struct memory_bound all = bound_of_config(&config);
    cr_assert_eq(all.messages, first.messages + second.messages);
    cr_assert_eq(all.stacks, first.stacks + second.stacks);
    cr_assert_eq(all.spawned, 100 * 262144);
}

Test(bound, counts_the_buffers_of_both_connections_and_one_dead_letter_beyond)
{
    struct queue_config queues[] = {queue_of(1, 1, 7000000), queue_of(1, 1, 10)};
    struct config config = CONFIG;
    config.queues = queues;
    config.queue_count = 2;
    config.max_tasks = (unsigned)config_tasks_reserved(&config) + 100;
    uint64_t buffers = bound_of_config(&config).buffers;
    cr_assert_geq(buffers, PUBLISHER_BACKLOG_MAX + 7000000 + 4 * SESSION_FRAME_MAX, "%llu",
                  (unsigned long long)buffers);
    config.queue_count = 0;
    config.max_tasks = 16;
    cr_assert_eq(bound_of_config(&config).messages, 0);
    cr_assert_eq(bound_of_config(&config).stacks, 0);
}
