/* whippet dead purge: dead letters thrown away, after a question. */
#include "dead.h"
#include "dead_count.h"
#include "exit_codes.h"
#include "progress.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const double REQUEST_SECONDS = 10;

struct purge {
    const struct dead_request *request;
    struct progress progress;
    uint64_t asked_about; /* messages in the queue when it was asked; 0: it was not */
};

/* --- Asking ---------------------------------------------------------------------------------------------*/

static int count(whippet_task *task, struct broker_link *link, void *arg)
{
    static const struct channel_handlers NO_HANDLERS = {0};
    struct purge *purge = arg;
    struct dead_pass nothing = {.queue = purge->request->queues[0]};
    struct channel channel;
    int error = channel_open(task, &channel, link->consume, &NO_HANDLERS, purge, REQUEST_SECONDS);
    if (error == 0)
        error = dead_count_ready(task, &channel, link->loop, nothing.queue, &purge->asked_about);
    if (error != 0) {
        failure_set(&nothing.failure, error, "looking at \"%s\": %s", nothing.queue,
                    channel.closed_by.error != 0 ? channel.closed_by.text : whippet_error_text(error));
        nothing.missing = channel.closed_code == 404;
        return dead_report_failure(purge->request, &nothing);
    }
    channel_close(task, &channel, REQUEST_SECONDS);
    return link->interrupted ? EXIT_FAILED : EXIT_DONE;
}

static bool is_filtered(const struct dead_request *request)
{
    return request->filter.reason != NULL || request->filter.match != NULL || request->limit > 0;
}

/* True when a person at a terminal says yes. */
static bool confirm(const struct purge *purge)
{
    char answer[16] = "";
    fprintf(stderr, "Delete %s%" PRIu64 " messages of \"%s\" for good? [y/N] ",
            is_filtered(purge->request) ? "what matches of the " : "the ", purge->asked_about,
            purge->request->queues[0]);
    fflush(stderr);
    if (fgets(answer, sizeof answer, stdin) == NULL)
        return false;
    answer[strcspn(answer, "\r\n")] = '\0';
    return strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
}

/* EXIT_DONE: go on, unless there is nothing that it could be asked about. */
static int ask(struct purge *purge)
{
    const struct dead_request *request = purge->request;
    if (isatty(STDIN_FILENO) != 1) {
        fprintf(stderr, "whippet dead purge: nobody can be asked here; --yes deletes without a question\n");
        return EXIT_USAGE;
    }
    int code = broker_link_run(request->command, request->brokers, count, purge);
    if (code != EXIT_DONE)
        return code;
    if (purge->asked_about == 0) {
        printf("0 of 0 messages deleted\n");
        return EXIT_DONE;
    }
    if (confirm(purge))
        return EXIT_DONE;
    fprintf(stderr, "nothing was deleted\n");
    return EXIT_FAILED;
}

/* --- Deleting -------------------------------------------------------------------------------------------*/

static enum dead_fate purge_letter(whippet_task *task, struct dead_pass *pass,
                                   const struct dead_letter *letter)
{
    struct purge *purge = pass->owner;
    (void)task;
    (void)letter;
    if (purge->request->dry_run)
        return DEAD_STAYS;
    if (purge->progress.total == 0 && !purge->request->quiet)
        progress_begin(&purge->progress, "deleted",
                       pass->among > 0 && pass->among < pass->ready ? pass->among : pass->ready);
    if (!purge->request->quiet)
        progress_update(&purge->progress, pass->done + 1);
    return DEAD_DONE;
}

static int purge_all(whippet_task *task, struct broker_link *link, void *arg)
{
    struct purge *purge = arg;
    const struct dead_request *request = purge->request;
    struct dead_pass pass = {
        .link = link,
        .queue = request->queues[0],
        .filter = request->filter,
        .limit = request->limit,
        .among = purge->asked_about,
        .look = request->dry_run ? DEAD_LOOK_MAX : 0,
        .hands = 1,
        .handle = purge_letter,
        .owner = purge,
    };
    int error = dead_pass_run(task, &pass);
    if (purge->progress.total > 0)
        progress_end(&purge->progress, pass.done);
    if (request->dry_run && error == 0)
        printf("%" PRIu64 " of the first %" PRIu64 " of %" PRIu64 " messages would be deleted\n",
               pass.matched, pass.met, pass.ready);
    else if (!pass.missing)
        printf("%" PRIu64 " of %" PRIu64 " messages deleted\n", pass.done, pass.ready);
    dead_report_unmatched(request, &pass);
    dead_report_moved(request, &pass);
    if (error != 0)
        return dead_report_failure(request, &pass);
    return link->interrupted ? EXIT_FAILED : EXIT_DONE;
}

int dead_purge(const struct dead_request *request)
{
    struct purge purge = {.request = request};
    bool asks = !request->yes && !request->dry_run;
    int code = asks ? ask(&purge) : EXIT_DONE;
    if (code != EXIT_DONE || (asks && purge.asked_about == 0))
        return code;
    return broker_link_run(request->command, request->brokers, purge_all, &purge);
}
