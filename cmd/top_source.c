#include "top_source.h"
#include <base/bytes.h>
#include <base/json.h>
#include <base/memory.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const double PATIENCE = 2; /* seconds, for each question */

enum {
    OK = 200,
    UNAVAILABLE = 503,
    PAUSE_MILLISECONDS = 1000,
    HISTORY_EVERY = 10 /* questions: as often as a step of it ends */
};

/* --- One time -------------------------------------------------------------------------------------------*/

void top_answers_init(struct top_answers *answers)
{
    buffer_init(&answers->status);
    buffer_init(&answers->ready);
    buffer_init(&answers->history);
    answers->failure.error = 0;
}

void top_answers_destroy(struct top_answers *answers)
{
    buffer_destroy(&answers->status);
    buffer_destroy(&answers->ready);
    buffer_destroy(&answers->history);
}

static bool is_json(const struct buffer *text)
{
    struct json_problem problem;
    return json_check(bytes_of(buffer_begin(text), buffer_length(text)), &problem);
}

/* What is not the answer wanted is left out. */
static int ask_for(const struct admin_address *address, const char *path, struct buffer *body,
                   struct whippet_failure *failure)
{
    buffer_clear(body);
    int status = admin_get(address, path, PATIENCE, body, failure);
    if ((status != OK && status != UNAVAILABLE) || !is_json(body))
        buffer_clear(body);
    return status;
}

bool top_ask(const struct admin_address *address, enum top_extent extent, bool with_history,
             struct top_answers *answers)
{
    static const char *const PATHS[] = {
        [TOP_SLOWEST_TASKS] = "/api/status?tasks=100", [TOP_ALL_TASKS] = "/api/status"};
    struct whippet_failure ignored;
    answers->failure.error = 0;
    buffer_clear(&answers->ready);
    buffer_clear(&answers->history);
    int status = ask_for(address, PATHS[extent], &answers->status, &answers->failure);
    if (status == 0)
        return false;
    if (status != OK || buffer_length(&answers->status) == 0) {
        failure_set(&answers->failure, WHIPPET_E_INVALID,
                    "%s port %s answers /api/status with HTTP status %d%s: is that a worker's admin port?",
                    address->host, address->port, status, status == OK ? " and no JSON" : "");
        return false;
    }
    ask_for(address, "/readyz", &answers->ready, &ignored);
    if (with_history)
        ask_for(address, "/api/history", &answers->history, &ignored);
    return true;
}

/* --- Once a second --------------------------------------------------------------------------------------*/

struct top_feed {
    struct admin_address address;
    int event; /* an eventfd */
    pthread_mutex_t lock;
    struct top_answers newest; /* under the lock */
    bool fresh;                /* under the lock: it was not taken yet */
};

static void swap(struct top_answers *a, struct top_answers *b)
{
    struct top_answers kept = *a;
    *a = *b;
    *b = kept;
}

static void hand_over(struct top_feed *feed, struct top_answers *answers)
{
    pthread_mutex_lock(&feed->lock);
    swap(&feed->newest, answers);
    feed->fresh = true;
    pthread_mutex_unlock(&feed->lock);
    eventfd_write(feed->event, 1);
}

static void *run(void *argument)
{
    struct top_feed *feed = argument;
    struct top_answers answers;
    top_answers_init(&answers);
    for (unsigned count = 0;; count++) {
        bool answered = top_ask(&feed->address, TOP_SLOWEST_TASKS, count % HISTORY_EVERY == 0, &answers);
        if (!answered)
            count = HISTORY_EVERY - 1; /* so that the next one brings the history */
        hand_over(feed, &answers);
        poll(NULL, 0, PAUSE_MILLISECONDS);
    }
    return NULL;
}

static struct top_feed *create(const struct admin_address *address)
{
    struct top_feed *feed = memory_allocate_zeroed(sizeof *feed);
    if (feed == NULL)
        return NULL;
    feed->address = *address;
    pthread_mutex_init(&feed->lock, NULL);
    top_answers_init(&feed->newest);
    feed->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return feed;
}

struct top_feed *top_feed_start(const struct admin_address *address, struct whippet_failure *failure)
{
    pthread_t thread;
    struct top_feed *feed = create(address);
    int error = feed == NULL ? ENOMEM : feed->event < 0 ? errno : 0;
    if (error == 0)
        error = pthread_create(&thread, NULL, run, feed);
    if (error == 0) {
        pthread_detach(thread);
        return feed;
    }
    if (feed != NULL && feed->event >= 0)
        close(feed->event);
    memory_free(feed);
    failure_set(failure, WHIPPET_E_UNAVAILABLE, "can't begin to ask the worker: %s", strerror(error));
    return NULL;
}

int top_feed_descriptor(const struct top_feed *feed)
{
    return feed->event;
}

bool top_feed_take(struct top_feed *feed, struct top_answers *answers)
{
    eventfd_t ignored;
    eventfd_read(feed->event, &ignored);
    pthread_mutex_lock(&feed->lock);
    bool fresh = feed->fresh;
    if (fresh)
        swap(&feed->newest, answers);
    feed->fresh = false;
    pthread_mutex_unlock(&feed->lock);
    return fresh;
}
