#include <base/log.h>
#include <base/memory.h>
#include <base/thread.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <management/poller.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    NOT_FOUND = 404,
    OLDEST_MAJOR = 3, /* RabbitMQ 3.8: older ones are asked by nobody any more */
    OLDEST_MINOR = 8,
};

struct management_poller {
    struct management_access access;
    struct stats *stats;
    double interval; /* seconds */
    pthread_t thread;
    int wake; /* an eventfd: the end */
    atomic_bool stopping;
    struct management_client *client; /* NULL: not yet, or not any more */
    bool introduced;                  /* the API has said what it is, since it last failed */
    int told;                         /* the error that the log has heard of last; 0: that all is well */
};

/* --- One round ------------------------------------------------------------------------------------------*/

static int check_overview(const cJSON *overview, const char *where, struct whippet_failure *failure)
{
    const char *version =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(overview, "rabbitmq_version"));
    char *rest = NULL;
    if (version == NULL)
        return failure_set(failure, WHIPPET_E_INVALID,
                           "%s does not say which RabbitMQ it is: is that the management API?", where);
    unsigned long major = strtoul(version, &rest, 10);
    unsigned long minor = *rest == '.' ? strtoul(rest + 1, NULL, 10) : 0;
    if (major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR))
        return failure_set(failure, WHIPPET_E_INVALID,
                           "RabbitMQ %.40s at %s is too old: figures are had from 3.8 on", version, where);
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(overview, "disable_stats")))
        return failure_set(failure, WHIPPET_E_UNAVAILABLE,
                           "the management API at %s has no figures: they are switched off there "
                           "(management_agent.disable_metrics_collector)",
                           where);
    return 0;
}

static int introduce(struct management_poller *poller, struct whippet_failure *failure)
{
    char where[MANAGEMENT_WHERE_SIZE];
    if (poller->client == NULL)
        poller->client = management_client_create(&poller->access, &poller->stopping, failure);
    if (poller->client == NULL)
        return failure->error;
    cJSON *overview = management_client_get(poller->client, "/api/overview", NULL, NULL, failure);
    if (overview == NULL)
        return failure->error;
    management_describe(poller->access.url, where);
    int error = check_overview(overview, where, failure);
    cJSON_Delete(overview);
    return error;
}

static bool take_number(const cJSON *queue, const char *name, uint64_t *number)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(queue, name);
    bool is_one = cJSON_IsNumber(item) && item->valuedouble >= 0;
    if (is_one)
        *number = (uint64_t)item->valuedouble;
    return is_one;
}

/* A queue that is not there has no figures, and neither has one that was just made: that is no error. */
static int ask_queue(struct management_poller *poller, const char *queue, struct whippet_failure *failure)
{
    struct broker_numbers numbers;
    long status;
    cJSON *found = management_client_get(
        poller->client, "/api/queues/%s?columns=messages_ready,messages_unacknowledged,consumers", queue,
        &status, failure);
    bool known = found != NULL && take_number(found, "messages_ready", &numbers.ready) &&
                 take_number(found, "messages_unacknowledged", &numbers.unacknowledged) &&
                 take_number(found, "consumers", &numbers.consumers);
    int error = found == NULL && status != NOT_FOUND ? failure->error : 0;
    cJSON_Delete(found);
    if (error == 0)
        stats_set_broker(poller->stats, queue, known ? &numbers : NULL);
    return error;
}

static int ask_queues(struct management_poller *poller, struct whippet_failure *failure)
{
    struct queue_views views;
    int error = 0;
    if (!stats_view_queues(poller->stats, &views))
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    for (size_t i = 0; i < views.count && error == 0 && !atomic_load(&poller->stopping); i++)
        error = ask_queue(poller, views.items[i].queue, failure);
    queue_views_destroy(&views);
    return error;
}

/* Once in the log, for as long as it is the same kind of error: its words may tell milliseconds. */
static void tell(struct management_poller *poller, const struct whippet_failure *failure)
{
    if (poller->told == failure->error)
        return;
    if (failure->error != 0)
        log_event(WHIPPET_WARNING, NULL, "no figures of the broker: %s", failure->text);
    else
        log_event(WHIPPET_INFO, NULL, "the management API answers: there are figures of the broker again");
    poller->told = failure->error;
}

/* The client is made anew after a failure, so that a password file that was changed is read again. */
static void poll_once(struct management_poller *poller)
{
    struct whippet_failure failure = {0};
    failure.error = poller->introduced ? 0 : introduce(poller, &failure);
    if (failure.error == 0)
        failure.error = ask_queues(poller, &failure);
    if (atomic_load(&poller->stopping))
        return;
    poller->introduced = failure.error == 0;
    if (failure.error != 0) {
        management_client_destroy(poller->client);
        poller->client = NULL;
    }
    stats_set_management(poller->stats, failure.error != 0 ? failure.text : NULL);
    tell(poller, &failure);
}

/* --- The thread -----------------------------------------------------------------------------------------*/

static void *poller_main(void *arg)
{
    struct management_poller *poller = arg;
    struct pollfd end = {.fd = poller->wake, .events = POLLIN};
    do
        poll_once(poller);
    while (poll(&end, 1, (int)(poller->interval * 1000)) <= 0 && !atomic_load(&poller->stopping));
    return NULL;
}

static void release(struct management_poller *poller)
{
    management_client_destroy(poller->client);
    if (poller->wake >= 0)
        close(poller->wake);
    memory_free(poller);
}

struct management_poller *management_poller_start(const struct management_access *access, double interval,
                                                  struct stats *stats, struct whippet_failure *failure)
{
    char where[MANAGEMENT_WHERE_SIZE];
    struct management_poller *poller = memory_allocate_zeroed(sizeof *poller);
    if (poller == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        return NULL;
    }
    poller->access = *access;
    poller->interval = interval;
    poller->stats = stats;
    poller->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    management_describe(access->url, where);
    shared_text_set(&stats->management.where, where);
    atomic_store_explicit(&stats->management.asked, true, memory_order_release);
    int error =
        poller->wake < 0 ? errno : thread_start(&poller->thread, "whippet-manage", poller_main, poller);
    if (error == 0)
        return poller;
    failure_set(failure, WHIPPET_E_SYSTEM, "cannot start a thread for the management API: %s",
                strerror(error));
    release(poller);
    return NULL;
}

void management_poller_stop(struct management_poller *poller)
{
    if (poller == NULL)
        return;
    atomic_store(&poller->stopping, true);
    eventfd_write(poller->wake, 1);
    pthread_join(poller->thread, NULL);
    release(poller);
}
