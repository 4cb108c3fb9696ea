/* whippet dead: its verbs, and what the command line asks of them. */
#ifndef CMD_DEAD_H
#define CMD_DEAD_H

#include "broker.h"
#include "dead_pass.h"
#include <config/config.h>

struct dead_request {
    const char *verb;
    const char *command; /* "dead list", for messages */
    char **queues;       /* the operands */
    size_t queue_count;
    struct broker_request broker;
    char *management;            /* the URL of the management API, owned; NULL: it is not asked */
    const struct config *config; /* that names the queues; NULL: the command line does */
    const struct brokers *brokers;
    struct dead_filter filter;
    const char *to;
    uint64_t limit;
    uint64_t bytes; /* of a body to show */
    double rate;
    bool by_exchange;
    bool dry_run;
    bool json;
    bool yes;
    bool quiet;
};

/* One to a file; each returns an exit code. The queue of all but list is queues[0]. */
int dead_list(const struct dead_request *request);
int dead_show(const struct dead_request *request);
int dead_replay(const struct dead_request *request);
int dead_purge(const struct dead_request *request);

/* Says why a pass did not come to its end; returns the exit code for it. */
int dead_report_failure(const struct dead_request *request, const struct dead_pass *pass);

/* Says that none was meant, where a filter let none through. */
void dead_report_unmatched(const struct dead_request *request, const struct dead_pass *pass);

/* Says what looking at the letters did to their order, where it did. */
void dead_report_moved(const struct dead_request *request, const struct dead_pass *pass);

#endif
