/* The account of a trial: what was published is what was processed, dead-lettered or destroyed by the broker;
 * nothing is lost, and what was done twice is no more than what was in flight when something broke. */
#ifndef TESTS_CHAOS_ACCOUNT_H
#define TESTS_CHAOS_ACCOUNT_H

#include "client.h"
#include "journal.h"
#include "worker.h"
#include <stdbool.h>

struct account {
    const char *name;
    unsigned published;
    unsigned in_flight; /* the most that can be at a time: prefetch, over all queues */
    unsigned copying;   /* of these the most that can be on their way to a dead-letter queue: a copy whose
                         * confirm the fault swallows is made once more, besides what comes again */
    unsigned faults;    /* after each of them what was in flight may come again */
    unsigned kills;     /* workers whose counters are lost */
    unsigned destroyed; /* by the broker together with their queue, as it says */
    unsigned damages;   /* bytes corrupted: each may have made one message unreadable */
    struct worker_counts worker;
    const struct journal *journal;
    uint64_t acknowledged; /* by the broker's own count */
    bool knows_acknowledged;
    char remarks[512];

    /* Found by account_take_dead_letter. */
    uint32_t *dead; /* copies by number */
    unsigned dead_copies, unreadable;

    /* Found by account_draw_up; different messages each. */
    unsigned processed, dead_lettered, missing;
    unsigned both; /* processed, and dead-lettered too: damaged when it was delivered the first time */
    unsigned duplicates;
};

/* Makes room for dead letters. */
void account_expect(struct account *account, unsigned published);
void account_destroy(struct account *account);

/* Takes one that was found in the dead-letter queue. */
void account_take_dead_letter(struct account *account, const struct client_message *message);

void account_draw_up(struct account *account);

/* One line: to standard output, and to the file $WHIPPET_CHAOS_ACCOUNT. To $WHIPPET_CHAOS_ACKNOWLEDGED, how
 * many acknowledgements of it the broker has to have counted at the least, and at the most. */
void account_print(const struct account *account);

/* Fails the test unless it balances. */
void account_check(const struct account *account);

#endif
