/* Much of something. */
#include "faults.h"

SCENARIO(shared, hundred_queues)
{
    trial_open(&(struct trial_plan){.name = "hundred_queues", .queues = 100, .prefetch = 5, .proxied = true});
    trial_start_worker();
    trial_await(3000);
    fault_reset();
    trial_await(6000);
    fault_worker_killed();
    trial_close();
}

/* Every 740th has 16 MiB, and of these every fifth is to be dead-lettered. */
SCENARIO(shared, large_messages)
{
    trial_open(&(struct trial_plan){.name = "large_messages",
                                    .type = "classic",
                                    .delay = "20ms",
                                    .large_every = 740,
                                    .large_size = 16 * 1024 * 1024,
                                    .proxied = true});
    trial_start_worker();
    trial_await(3000);
    fault_cut();
    trial_await(6000);
    fault_worker_killed();
    trial_close();
}

/* Cuts both of the worker's connections, so many times, and awaits that it consumes again. */
static void reconnect(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        unsigned long before = proxy_status(trial_proxy()).accepted;
        fault_cut();
        await(60,
              proxy_status(trial_proxy()).accepted >= before + 2 && proxy_status(trial_proxy()).open == 2 &&
                  client_consumers(stage_client(), trial_queue(0)) == 1,
              "the worker to consume again");
    }
}

/* Nothing may be left of a connection that has gone: no descriptor, thread or mapping (a task's stack is
 * one), and no memory. AddressSanitizer looks for leaks besides, when the worker ends. */
SCENARIO(shared, thousand_reconnects)
{
    enum {
        CONNECTIONS = 2, /* each cut takes both of the worker's */
        WARM_UP = 100,
        TIMES = 1000,
        MORE_MEMORY = 2 * 1024 * 1024
    };
    struct worker_holdings before, after;
    uint64_t memory;

    trial_open(&(struct trial_plan){.name = "thousand_reconnects",
                                    .type = "classic",
                                    .prefetch = 20,
                                    .amqp = "'heartbeat': '20s'",
                                    .patience = "50ms",
                                    .proxied = true});
    trial_start_worker();
    reconnect(WARM_UP / CONNECTIONS);
    before = worker_holdings(trial_worker());
    memory = worker_memory(trial_worker());
    reconnect(TIMES / CONNECTIONS);
    trial_await_settled();
    after = worker_holdings(trial_worker());
    cr_expect_leq(after.descriptors, before.descriptors, "%u descriptors, %u before", after.descriptors,
                  before.descriptors);
    cr_expect_leq(after.threads, before.threads, "%u threads, %u before", after.threads, before.threads);
    cr_expect_leq(after.mappings, before.mappings + 2, "%u mappings, %u before", after.mappings,
                  before.mappings);
    cr_expect_leq(worker_memory(trial_worker()), memory + MORE_MEMORY, "%lu bytes resident, %lu before",
                  (unsigned long)worker_memory(trial_worker()), (unsigned long)memory);
    trial_remark("%u reconnects: %u descriptors (%u before), %u threads (%u), %u mappings (%u), %+ld KiB",
                 TIMES, after.descriptors, before.descriptors, after.threads, before.threads, after.mappings,
                 before.mappings, ((long)worker_memory(trial_worker()) - (long)memory) / 1024);
    trial_close();
}
