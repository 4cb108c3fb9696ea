/* The nightly run: one worker and one broker live through fault after fault, in an order that follows from
 * the seed, for $WHIPPET_CHAOS_MINUTES. Each round has 10,000 messages of its own, and each ends with all of
 * them settled. */
#include "faults.h"
#include "random.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ROUND = 10000,
    HEARTBEAT = 2
};

/* Some faults last: long enough to be noticed, or not. */
static double some_seconds(void)
{
    return 0.5 + random_below(4 * HEARTBEAT * 1000) / 1000.0;
}

static void broker_paused(void)
{
    fault_broker_paused(some_seconds());
}

static void memory_alarm(void)
{
    fault_memory_alarm(some_seconds());
}

static void disk_alarm(void)
{
    fault_disk_alarm(some_seconds());
}

static void held(void)
{
    fault_held(some_seconds());
}

static void swallowed(void)
{
    static const char *const ways[] = {"up", "down", "both"};

    fault_swallowed(ways[random_below(3)], 3 * HEARTBEAT + some_seconds());
}

static void refused(void)
{
    fault_refused(some_seconds());
}

static void hanging(void)
{
    fault_hanging(some_seconds());
}

static void corrupted(void)
{
    fault_corrupted(random_below(20000));
}

static void slow(void)
{
    fault_slow(random_below(500) / 1000.0, 20000 + random_below(200000), some_seconds());
}

static const struct {
    const char *name;
    void (*happens)(void);
} faults[] = {
    {"worker killed", fault_worker_killed},
    {"worker stopped", fault_worker_stopped},
    {"broker killed", fault_broker_killed},
    {"broker restarted", fault_broker_restarted},
    {"broker paused", broker_paused},
    {"memory alarm", memory_alarm},
    {"disk alarm", disk_alarm},
    {"connections cut", fault_cut},
    {"connections reset", fault_reset},
    {"network held up", held},
    {"bytes swallowed", swallowed},
    {"connections refused", refused},
    {"connections hanging", hanging},
    {"byte corrupted", corrupted},
    {"network slow", slow},
};

/* Up to three faults, at moments of their own. */
static void live_through_round(unsigned round, unsigned before)
{
    unsigned count = 1 + random_below(3);
    double started = patience_now();

    printf("round %u:", round);
    for (unsigned i = 1; i <= count; i++) {
        unsigned index = random_below(sizeof(faults) / sizeof(faults[0]));
        trial_await(before + ROUND * i / (count + 1) - random_below(ROUND / 8));
        printf(" %s%s", faults[index].name, i < count ? "," : "");
        fflush(stdout);
        faults[index].happens();
    }
    trial_await_settled();
    printf("; %.1f s\n", patience_now() - started);
    fflush(stdout);
}

Test(shuffled, faults_shuffled, .init = stage_open, .fini = stage_close)
{
    const char *minutes = getenv("WHIPPET_CHAOS_MINUTES");
    double end = patience_now() + 60 * (minutes ? strtod(minutes, NULL) : 1);
    unsigned round = 1;

    /* The first round's are published when the trial opens. */
    trial_open(&(struct trial_plan){
        .name = "faults_shuffled", .amqp = "'heartbeat': '2s'", .proxied = true, .messages = ROUND});
    trial_start_worker();
    live_through_round(round, 0);
    while (patience_now() < end) {
        trial_publish(ROUND);
        live_through_round(round + 1, round * ROUND);
        round++;
    }
    trial_remark("%u rounds", round);
    trial_close();
}
