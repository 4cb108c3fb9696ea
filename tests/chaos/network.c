#include "network.h"

#include "command.h"
#include "patience.h"
#include "worker.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    pid_t holder; /* a process that does nothing but keep the namespace */
    char device[16];
    char near[40], far[40]; /* addresses with their prefix length */
    char address[32];
    char namespace[64];
    const char *prefix[3];
} network;

bool network_available(void)
{
    return getenv("WHIPPET_CHAOS_NAMESPACE") != NULL;
}

static bool ip(const char *const *arguments)
{
    return command_run(arguments, NULL, 0) == 0;
}

#define IP(...) ip((const char *const[]){"ip", __VA_ARGS__, NULL})

/* Inside the worker's namespace. */
#define IP_FAR(...) ip((const char *const[]){"nsenter", network.namespace, "ip", __VA_ARGS__, NULL})

/* Two addresses that no other test of this run has. */
static void choose_addresses(void)
{
    unsigned pair = (unsigned)getpid() % (1u << 14), third = pair >> 6, fourth = (pair & 63) * 4;

    snprintf(network.device, sizeof(network.device), "cable%u", pair);
    snprintf(network.address, sizeof(network.address), "10.77.%u.%u", third, fourth + 1);
    snprintf(network.near, sizeof(network.near), "%s/30", network.address);
    snprintf(network.far, sizeof(network.far), "10.77.%u.%u/30", third, fourth + 2);
}

static bool same_namespace(void)
{
    char path[64], ours[64] = "", theirs[64] = "";

    snprintf(path, sizeof(path), "/proc/%d/ns/net", network.holder);
    return readlink("/proc/self/ns/net", ours, sizeof(ours) - 1) < 0 ||
           readlink(path, theirs, sizeof(theirs) - 1) < 0 || strcmp(ours, theirs) == 0;
}

void network_create(void)
{
    const char *holder[] = {"unshare", "--net", "sleep", "infinity", NULL};
    char pid[16];

    choose_addresses();
    network.holder = command_start(holder, -1, -1, -1);
    snprintf(pid, sizeof(pid), "%d", network.holder);
    snprintf(network.namespace, sizeof(network.namespace), "--net=/proc/%d/ns/net", network.holder);
    await(10, !same_namespace(), "a network namespace");
    cr_assert(IP("link", "add", network.device, "type", "veth", "peer", "name", "eth0", "netns", pid) &&
                  IP("address", "add", network.near, "dev", network.device) &&
                  IP("link", "set", network.device, "up") && IP_FAR("link", "set", "lo", "up") &&
                  IP_FAR("address", "add", network.far, "dev", "eth0") && IP_FAR("link", "set", "eth0", "up"),
              "cannot make a network of its own for the worker");
    network.prefix[0] = "nsenter";
    network.prefix[1] = network.namespace;
    worker_run_by(network.prefix);
}

const char *network_address(void)
{
    return network.address;
}

void network_cut(void)
{
    cr_assert(IP("link", "set", network.device, "down"));
}

void network_join(void)
{
    cr_assert(IP("link", "set", network.device, "up"));
}
