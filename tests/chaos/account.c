#include "account.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void account_expect(struct account *account, unsigned published)
{
    account->published = published;
    account->dead = calloc(published, sizeof(*account->dead));
    cr_assert_not_null(account->dead, "out of memory");
}

void account_destroy(struct account *account)
{
    free(account->dead);
}

/* The number of a message of client_send_numbered; -1 where id and body do not agree. */
static long number_of(const struct client_message *message)
{
    amqp_bytes_t id = message->content.properties.message_id, body = message->content.body;
    char text[16] = "", *end;

    if (id.len == 0 || id.len >= sizeof(text) || body.len < id.len ||
        memcmp(id.bytes, body.bytes, id.len) != 0) {
        return -1;
    }
    memcpy(text, id.bytes, id.len);
    long number = strtol(text, &end, 10);
    return *end ? -1 : number;
}

void account_take_dead_letter(struct account *account, const struct client_message *message)
{
    long number = number_of(message);

    if (number < 0 || number >= (long)account->published) {
        account->unreadable++;
        return;
    }
    account->dead[number]++;
    account->dead_copies++;
}

void account_draw_up(struct account *account)
{
    const struct journal *journal = account->journal;

    for (unsigned i = 0; i < account->published; i++) {
        account->processed += journal->processed[i] > 0;
        account->dead_lettered += account->dead[i] > 0;
        account->missing += journal->processed[i] + account->dead[i] == 0;
        account->both += journal->processed[i] > 0 && account->dead[i] > 0;
    }
    account->duplicates = (unsigned)journal->processed_lines + account->dead_copies - account->processed -
                          account->dead_lettered + account->both;
}

/* How many may have been handled twice. */
static unsigned most_duplicates(const struct account *account)
{
    return (account->in_flight + account->copying) * account->faults;
}

static unsigned lost(const struct account *account)
{
    unsigned explained = account->destroyed + (account->damages ? account->unreadable : 0);

    return account->missing > explained ? account->missing - explained : 0;
}

static void print_to(const struct account *account, FILE *file)
{
    const struct worker_counts *worker = &account->worker;

    fprintf(file, "%s: published %u = processed %u + dead-lettered %u", account->name, account->published,
            account->processed, account->dead_lettered);
    if (account->destroyed) {
        fprintf(file, " + deleted with the queue %u", account->destroyed);
    }
    if (account->damages) {
        fprintf(file, " + unreadable %u (damaged by %u corrupted bytes: %llu)", account->unreadable,
                account->damages, (unsigned long long)account->journal->damaged_lines);
    }
    fprintf(file,
            "; lost %u; duplicates %u of at most %u (prefetch %u and %u copies, x %u faults); queues empty",
            lost(account), account->duplicates, most_duplicates(account), account->in_flight,
            account->copying, account->faults);
    fprintf(file, "; worker: consumed %lu = acked %lu + dead-lettered %lu + returned %lu", worker->consumed,
            worker->acked, worker->dead_lettered, worker->returned);
    if (account->kills) {
        fprintf(file, ", without the %u that were killed", account->kills);
    }
    if (account->knows_acknowledged) {
        fprintf(file, "; broker: acknowledged %llu", (unsigned long long)account->acknowledged);
    }
    fprintf(file, "%s\n", account->remarks);
}

/* How many acknowledgements a broker has counted that kept all its counters. It does not count what came too
 * late: by a connection that it had given up, which the worker does not know, or for a queue that was
 * deleted, of which nothing comes again. The counters of a worker that was killed went with it. */
static void print_acknowledged(const struct account *account, FILE *file)
{
    const struct worker_counts *worker = &account->worker;
    unsigned in_vain = account->destroyed ? account->destroyed + account->in_flight : 0;
    unsigned long most = account->kills ? account->published + most_duplicates(account)
                                        : worker->acked + worker->dead_lettered;

    fprintf(file, "%u %lu\n", account->published - in_vain - account->damages, most);
}

static void print_to_file(const struct account *account, const char *variable,
                          void (*print)(const struct account *account, FILE *file))
{
    const char *path = getenv(variable);
    FILE *file = path ? fopen(path, "ae") : NULL;

    if (file) {
        print(account, file);
        fclose(file);
    }
}

void account_print(const struct account *account)
{
    print_to(account, stdout);
    fflush(stdout);
    print_to_file(account, "WHIPPET_CHAOS_ACCOUNT", print_to);
    print_to_file(account, "WHIPPET_CHAOS_ACKNOWLEDGED", print_acknowledged);
}

static void check_worker(const struct account *account)
{
    const struct worker_counts *worker = &account->worker;
    const struct journal *journal = account->journal;
    unsigned long settled = worker->acked + worker->dead_lettered;
    unsigned gone = account->destroyed;

    cr_expect_leq(worker->acked, journal->processed_lines, "more were acked than the processor said");
    cr_expect_geq(worker->acked + worker->returned, journal->processed_lines,
                  "%llu verdicts to ack, but the worker acked %lu and returned %lu",
                  (unsigned long long)journal->processed_lines, worker->acked, worker->returned);
    cr_expect_leq(worker->dead_lettered, account->dead_copies + account->unreadable,
                  "more were counted as dead-lettered than were found");
    cr_expect_geq(settled + gone, account->published, "the worker settled only %lu", settled);
    cr_expect_leq(settled, account->published + most_duplicates(account), "the worker settled %lu", settled);
}

/* Each message was acknowledged once. What came too late, when the broker had given up the connection, it
 * counts too. */
static void check_broker(const struct account *account)
{
    cr_expect_geq(account->acknowledged, account->published, "the broker counts only %llu acknowledged",
                  (unsigned long long)account->acknowledged);
    cr_expect_leq(account->acknowledged, account->worker.acked + account->worker.dead_lettered,
                  "the broker counts %llu acknowledged", (unsigned long long)account->acknowledged);
}

void account_check(const struct account *account)
{
    cr_expect_eq(lost(account), 0, "%u messages are lost", lost(account));
    cr_expect_leq(account->both, account->damages, "%u were both processed and dead-lettered", account->both);
    cr_expect_geq(account->missing, account->destroyed, "%u deleted with the queue, but %u missing",
                  account->destroyed, account->missing);
    cr_expect_leq(account->unreadable, account->damages, "%u dead letters are unreadable",
                  account->unreadable);
    cr_expect_leq(account->duplicates, most_duplicates(account), "%u duplicates, %u at most",
                  account->duplicates, most_duplicates(account));
    if (!account->kills) {
        check_worker(account);
    }
    if (account->knows_acknowledged) {
        check_broker(account);
    }
}
