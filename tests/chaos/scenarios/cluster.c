/* Three nodes, of which one is lost at a time. */
#include "faults.h"
#include <stdio.h>
#include <string.h>

enum {
    NODES = 3
};

static struct broker *nodes[NODES];

static void find_nodes(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        nodes[i] = broker_node(i + 1);
    }
}

/* A list of URLs for the configuration, the one of the stage's broker first. */
static const char *node_urls(void)
{
    static char list[512];

    snprintf(list, sizeof(list), "['%s', '%s', '%s']", nodes[0]->url, nodes[1]->url, nodes[2]->url);
    return list;
}

/* Which of the nodes leads the trial's queue. */
static unsigned leader(void)
{
    const char *name = broker_eval(nodes[0],
                                   "{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, "
                                   "<<\"%s\">>)), {_, N} = amqqueue:get_pid(Q), N",
                                   trial_queue(0));

    for (unsigned i = 0; i < NODES; i++) {
        char part[32];
        snprintf(part, sizeof(part), "-%s@", broker_port(nodes[i]));
        if (strstr(name, part)) {
            return i;
        }
    }
    cr_assert_fail("no node leads the queue: \"%s\"", name);
    return 0;
}

static void open_cluster_trial(const char *name)
{
    find_nodes();
    trial_open(&(struct trial_plan){.name = name, .urls = node_urls()});
    trial_start_worker();
    trial_await(1000);
}

/* The others elect a leader, and the work goes on while the node is away. */
static void lose_leader(void)
{
    unsigned lost = leader(), handled;

    trial_publish(8000);
    trial_fault();
    broker_kill(nodes[lost]);
    handled = trial_handled();
    trial_await(handled + 1500);
    broker_start(nodes[lost]);
    if (lost == 0) {
        stage_start_broker();
    }
}

SCENARIO(cluster, leader_lost)
{
    open_cluster_trial("leader_lost");
    lose_leader();
    lose_leader();
    trial_close();
}

/* Sets the cookie under which the first node talks to the others, and hangs up on them at once: with a wrong
 * one neither side is let in again. Those are Erlang's own means; no packet filter is needed. */
static void set_cookie(const char *cookie)
{
    cr_assert_str_eq(broker_eval(nodes[0],
                                 "Ns = ['whippet-%s@localhost', 'whippet-%s@localhost'], "
                                 "[erlang:set_cookie(N, %s) || N <- Ns], "
                                 "[erlang:disconnect_node(N) || N <- Ns], ok",
                                 broker_port(nodes[1]), broker_port(nodes[2]), cookie),
                     "ok");
}

/* The first node, which the worker is connected to and which leads the queue, is on its own, and stops
 * serving; the others go on. Then they find each other again. */
SCENARIO(cluster, partition)
{
    unsigned handled;

    open_cluster_trial("partition");
    trial_fault();
    set_cookie("'wrong'");
    handled = trial_handled();
    trial_await(handled + 2000);
    set_cookie("erlang:get_cookie()");
    await(90,
          strcmp(broker_eval(nodes[0], "rabbit:is_running() andalso "
                                       "length(try rabbit_nodes:list_running() catch error:undef -> "
                                       "rabbit_mnesia:cluster_nodes(running) end) =:= 3"),
                 "true") == 0,
          "the cluster to be whole again");
    stage_start_broker();
    trial_close();
}
