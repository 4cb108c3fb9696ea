/* Networks that break between worker and broker. */
#include "network.h"
#include "faults.h"
#include "random.h"
#include <stdio.h>

enum {
    HEARTBEAT = 2 /* seconds; a cut lasts three of them */
};

#define HEARTBEATS "'heartbeat': '2s'"

static void cut_cable(void)
{
    trial_fault();
    network_cut();
    trial_last(3 * HEARTBEAT);
    network_join();
}

/* With a cable where there are network namespaces, else with the proxy. */
SCENARIO(shared, network_cut)
{
    bool cable = network_available();
    struct trial_plan plan = {.name = "network_cut", .amqp = HEARTBEATS, .proxied = !cable};
    char url[128];

    if (cable) {
        network_create();
        snprintf(url, sizeof(url), "'amqp://guest:guest@%s:%s/'", network_address(),
                 broker_port(stage_broker()));
        plan.urls = url;
    }
    trial_open(&plan);
    trial_remark("by %s", cable ? "a network namespace" : "the proxy");
    trial_start_worker();
    for (unsigned i = 1; i <= 2; i++) {
        trial_await(3000 * i);
        if (cable) {
            cut_cable();
        } else {
            fault_held(3 * HEARTBEAT);
        }
    }
    trial_close();
}

SCENARIO(shared, half_open)
{
    const char *const ways[] = {"down", "up", "both"};

    trial_open(&(struct trial_plan){.name = "half_open", .amqp = HEARTBEATS, .proxied = true});
    trial_start_worker();
    for (unsigned i = 0; i < 3; i++) {
        trial_await(2000 * (i + 1));
        fault_swallowed(ways[i], 3 * HEARTBEAT);
    }
    trial_close();
}

SCENARIO(shared, connections_broken)
{
    trial_open(&(struct trial_plan){.name = "connections_broken", .proxied = true});
    trial_start_worker();
    for (unsigned i = 1; i <= 4; i++) {
        trial_await(2000 * i - 1000);
        fault_cut();
        trial_await(2000 * i);
        fault_reset();
    }
    trial_close();
}

SCENARIO(shared, broker_unreachable)
{
    trial_open(&(struct trial_plan){.name = "broker_unreachable", .proxied = true});
    trial_start_worker();
    trial_await(3000);
    fault_refused(3);
    trial_await(6000);
    fault_hanging(5);
    trial_close();
}

/* Slow is no fault: nothing is lost, nothing done twice. */
SCENARIO(shared, network_slow)
{
    trial_open(&(struct trial_plan){.name = "network_slow", .delay = "50ms", .proxied = true});
    trial_start_worker();
    trial_await(3000);
    fault_slow(0.3, 50000, 6);
    trial_close();
}

/* From the broker only. The other way a byte may turn an ack into that of another message, and nothing in
 * AMQP 0-9-1 could tell: TCP's checksum, and TLS, are what stands against that. For the same
 * reason few are rejected: the confirm of a dead letter may turn into that of another one. */
SCENARIO(shared, bytes_corrupted)
{
    enum {
        TIMES = 20
    };

    trial_open(&(struct trial_plan){
        .name = "bytes_corrupted", .reject_every = 2500, .size = 100, .amqp = HEARTBEATS, .proxied = true});
    trial_start_worker();
    for (unsigned i = 1; i <= TIMES; i++) {
        trial_await(9000 / TIMES * i);
        fault_corrupted(random_below(5000));
    }
    trial_close();
}
