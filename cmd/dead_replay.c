/* whippet dead replay: dead letters back to where they failed. Each is published, confirmed by the broker,
 * and only then taken out of the dead-letter queue. */
#include "dead.h"
#include "exit_codes.h"
#include "progress.h"
#include "safe_print.h"
#include <base/bytes.h>
#include <base/memory.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    SHOWN = 5,             /* letters that stay, and why */
    DESTINATIONS_MAX = 32, /* told apart in the summary */
};

static const double CONFIRM_SECONDS = 60;
static const double REQUEST_SECONDS = 10;

struct destination {
    char exchange[256];
    char routing_key[256];
    uint64_t count;
};

struct replay {
    const struct dead_request *request;
    struct progress progress;
    struct destination destinations[DESTINATIONS_MAX];
    size_t destination_count;
    uint64_t elsewhere; /* letters to further destinations */
    uint64_t done;
    uint64_t refused; /* letters that were meant, and stay */
};

/* --- Where to -------------------------------------------------------------------------------------------*/

/* A name of AMQP's: at most 255 bytes, and no NUL among them. */
static bool copy_name(char name[256], whippet_bytes text)
{
    if (text.len > 255 || (text.len > 0 && memchr(text.data, 0, text.len) != NULL))
        return false;
    if (text.len > 0)
        memcpy(name, text.data, text.len);
    name[text.len] = '\0';
    return true;
}

/* NULL with `*to` filled, or why there is no way. The queue that it failed in, and no other that is bound to
 * the exchange: the others have had it. */
static const char *find_destination(const struct dead_request *request, const struct dead_letter *letter,
                                    struct destination *to)
{
    const struct dead_origin *origin = &letter->origin;
    to->exchange[0] = '\0';
    if (letter->message->headers == PROPERTIES_HEADERS_LEFT_OUT)
        return "its headers are too large";
    if (!dead_letter_is_whole(letter))
        return "its body is too large";
    if (request->to != NULL)
        return copy_name(to->routing_key, bytes_of_text(request->to)) ? NULL : "--to is too long";
    if (request->by_exchange) {
        if (origin->exchange.data == NULL || origin->routing_key.data == NULL)
            return "its headers do not tell the exchange it was published to; use --to QUEUE";
        return copy_name(to->exchange, origin->exchange) && copy_name(to->routing_key, origin->routing_key)
                   ? NULL
                   : "its headers name no exchange that can be";
    }
    if (origin->queue.data == NULL && origin->exchange.data != NULL)
        return "its headers tell the exchange, not the queue; use --exchange, or --to QUEUE";
    if (origin->queue.len == 0)
        return "its headers do not tell where it failed; use --to QUEUE";
    if (!copy_name(to->routing_key, origin->queue))
        return "its headers name no queue that can be; use --to QUEUE";
    if (strcmp(to->routing_key, request->queues[0]) == 0)
        return "it would come back to this very queue; use --to QUEUE";
    return NULL;
}

static void count_destination(struct replay *replay, const struct destination *to)
{
    for (size_t i = 0; i < replay->destination_count; i++) {
        struct destination *known = &replay->destinations[i];
        if (strcmp(known->exchange, to->exchange) != 0 || strcmp(known->routing_key, to->routing_key) != 0)
            continue;
        known->count++;
        return;
    }
    if (replay->destination_count == DESTINATIONS_MAX) {
        replay->elsewhere++;
        return;
    }
    replay->destinations[replay->destination_count] = *to;
    replay->destinations[replay->destination_count++].count = 1;
}

/* --- One letter -----------------------------------------------------------------------------------------*/

static void explain(struct replay *replay, const struct dead_letter *letter, const char *why)
{
    whippet_bytes id = properties_get(letter->message->properties, PROPERTY_MESSAGE_ID);
    if (++replay->refused > SHOWN)
        return;
    fprintf(stderr, "%swhippet dead replay: stays: ", replay->progress.terminal ? "\n" : "");
    fputs(id.len > 0 ? "message " : "a message without id", stderr);
    safe_print(stderr, id, 255);
    fprintf(stderr, ": ");
    safe_print(stderr, bytes_of_text(why), FAILURE_TEXT_SIZE);
    fprintf(stderr, "\n");
    if (replay->refused == SHOWN)
        fprintf(stderr, "whippet dead replay: further ones are only counted\n");
}

static int publish(whippet_task *task, struct dead_pass *pass, const struct dead_letter *letter,
                   const struct destination *to, struct whippet_failure *failure)
{
    struct buffer properties;
    buffer_init(&properties);
    int error = dead_letter_revive(letter, pass->link->brokers->endpoints[0].user, &properties);
    if (error != 0) {
        failure_set(failure, error, "%s", whippet_error_text(error));
    } else {
        struct publishing publishing = {
            .exchange = to->exchange,
            .routing_key = to->routing_key,
            .properties = bytes_of(buffer_begin(&properties), buffer_length(&properties)),
            .body = letter->message->body,
        };
        error = publisher_publish(task, pass->link->publisher, &publishing,
                                  loop_now(pass->link->loop) + CONFIRM_SECONDS, failure);
    }
    buffer_destroy(&properties);
    return error;
}

/* What the broker refuses of one letter says nothing of the next, not even where it closes the channel for
 * that: it does so when an exchange is missing or forbidden, and when a body is over its limit. Anything else
 * does: the connection is gone, or there is no answer. */
static bool concerns_all(const struct broker_link *link, int error)
{
    if (error == WHIPPET_E_CLOSED)
        return link->lost || connection_session(link->publish) == NULL;
    return error != WHIPPET_E_UNROUTABLE && error != WHIPPET_E_NACKED && error != WHIPPET_E_LIMIT &&
           error != WHIPPET_E_INVALID;
}

static enum dead_fate replay_letter(whippet_task *task, struct dead_pass *pass,
                                    const struct dead_letter *letter)
{
    struct replay *replay = pass->owner;
    struct destination to = {0};
    struct whippet_failure failure = {0};
    const char *obstacle = find_destination(replay->request, letter, &to);
    if (obstacle != NULL) {
        explain(replay, letter, obstacle);
        return DEAD_STAYS;
    }
    if (replay->request->dry_run) {
        count_destination(replay, &to);
        return DEAD_STAYS;
    }
    int error = publish(task, pass, letter, &to, &failure);
    if (error != 0 && concerns_all(pass->link, error)) {
        if (pass->failure.error == 0)
            pass->failure = failure;
        return DEAD_FATAL;
    }
    if (error != 0) {
        explain(replay, letter,
                error == WHIPPET_E_NACKED
                    ? "the broker refused it (basic.nack): is that queue full (x-overflow: reject-publish)?"
                    : failure.text);
        return DEAD_STAYS;
    }
    count_destination(replay, &to);
    replay->done++;
    if (replay->progress.total == 0 && !replay->request->quiet)
        progress_begin(&replay->progress, "replayed",
                       pass->limit > 0 && pass->limit < pass->ready ? pass->limit : pass->ready);
    if (!replay->request->quiet)
        progress_update(&replay->progress, replay->done);
    return DEAD_DONE;
}

/* --- All of them ----------------------------------------------------------------------------------------*/

static void print_destinations(const struct replay *replay)
{
    const char *verb = replay->request->dry_run ? "would go" : "went";
    for (size_t i = 0; i < replay->destination_count; i++) {
        const struct destination *to = &replay->destinations[i];
        printf("%" PRIu64 " %s to %s", to->count, verb, to->exchange[0] != '\0' ? "the exchange " : "");
        if (to->exchange[0] != '\0') {
            safe_print(stdout, bytes_of_text(to->exchange), 255);
            fputs(", routing key ", stdout);
        }
        safe_print(stdout, bytes_of_text(to->routing_key), 255);
        putchar('\n');
    }
    if (replay->elsewhere > 0)
        printf("%" PRIu64 " %s to others\n", replay->elsewhere, verb);
}

static void print_summary(struct replay *replay, const struct dead_pass *pass)
{
    if (replay->progress.total > 0)
        progress_end(&replay->progress, replay->done);
    print_destinations(replay);
    if (replay->request->dry_run)
        printf("looked at %" PRIu64 " of %" PRIu64 " messages; nothing was changed\n", pass->met,
               pass->ready);
    else
        printf("%" PRIu64 " replayed of %" PRIu64 " messages\n", replay->done, pass->ready);
    if (replay->refused > 0)
        printf("%" PRIu64 " that were meant %s in %s\n", replay->refused,
               replay->request->dry_run ? "would stay" : "stay", pass->queue);
    dead_report_unmatched(replay->request, pass);
    dead_report_moved(replay->request, pass);
}

/* Whether there is the queue of --to; else each letter would be tried, and most be moved to the end. */
static bool destination_exists(whippet_task *task, struct broker_link *link,
                               const struct dead_request *request)
{
    static const struct channel_handlers NO_HANDLERS = {0};
    struct channel channel = {0};
    struct queue_declaration look = {.queue = request->to, .passive = true};
    if (request->to == NULL)
        return true;
    int error = channel_open(task, &channel, link->consume, &NO_HANDLERS, NULL, REQUEST_SECONDS);
    if (error == 0)
        error = channel_queue_declare(task, &channel, &look, REQUEST_SECONDS);
    if (error != 0)
        fprintf(stderr, "whippet dead replay: --to %s: %s; nothing was replayed\n", request->to,
                channel_error_text(&channel, error));
    channel_abandon(&channel);
    return error == 0;
}

static int replay_all(whippet_task *task, struct broker_link *link, void *arg)
{
    struct replay *replay = arg;
    const struct dead_request *request = replay->request;
    struct dead_pass pass = {
        .link = link,
        .queue = request->queues[0],
        .filter = request->filter,
        .limit = request->limit,
        .look = request->dry_run ? DEAD_LOOK_MAX : 0,
        .hands = request->dry_run ? 1 : DEAD_HANDS_MAX,
        .rate = request->dry_run ? 0 : request->rate,
        .handle = replay_letter,
        .owner = replay,
    };
    if (!destination_exists(task, link, request))
        return EXIT_FAILED;
    int error = dead_pass_run(task, &pass);
    if (!pass.missing)
        print_summary(replay, &pass);
    if (error != 0)
        return dead_report_failure(request, &pass);
    if (link->interrupted)
        fprintf(stderr, "whippet dead replay: interrupted; run it again for the rest\n");
    return link->interrupted || replay->refused > 0 ? EXIT_FAILED : EXIT_DONE;
}

int dead_replay(const struct dead_request *request)
{
    struct replay *replay = memory_allocate_zeroed(sizeof *replay);
    if (replay == NULL) {
        fprintf(stderr, "whippet dead replay: out of memory\n");
        return EXIT_INTERNAL;
    }
    replay->request = request;
    int code = broker_link_run(request->command, request->brokers, replay_all, replay);
    memory_free(replay);
    return code;
}
