#include <base/log.h>
#include <base/memory.h>
#include <base/secret.h>
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

/* What there is to ask, with texts of its own. */
struct assignment {
    struct management_access access; /* without a URL: nothing */
    double interval;                 /* seconds */
    char texts[];
};

struct management_poller {
    struct assignment *_Atomic next; /* in place of the current one; NULL: that stays */
    const struct assignment *newest; /* of both; for who hands them out */
    struct stats *stats;
    pthread_t thread;
    int wake;        /* an eventfd: something is new, or the end has come */
    atomic_bool cut; /* whatever is being asked */
    atomic_bool stopping;

    /* The thread's. */
    struct assignment *current;
    struct management_client *client; /* NULL: not yet, or not any more */
    bool introduced;                  /* the API has said what it is, since it last failed */
    int told;                         /* the error that the log has heard of last; 0: that all is well */
};

/* --- What there is to ask -------------------------------------------------------------------------------*/

static size_t size_of(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

static const char *copy(const char *text, char **room)
{
    size_t size = size_of(text);
    if (text == NULL)
        return NULL;
    char *copied = memcpy(*room, text, size);
    *room += size;
    return copied;
}

/* NULL when memory is short. Given back with secret_free. */
static struct assignment *assignment_create(const struct management_access *access, double interval)
{
    size_t size = size_of(access->url) + size_of(access->user) + size_of(access->password) +
                  size_of(access->password_file) + size_of(access->vhost);
    struct assignment *assignment = secret_allocate(sizeof *assignment + size);
    if (assignment == NULL)
        return NULL;
    char *room = assignment->texts;
    assignment->interval = interval;
    assignment->access.url = copy(access->url, &room);
    assignment->access.user = copy(access->user, &room);
    assignment->access.password = copy(access->password, &room);
    assignment->access.password_file = copy(access->password_file, &room);
    assignment->access.vhost = copy(access->vhost, &room);
    return assignment;
}

static bool is_same_text(const char *one, const char *other)
{
    return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

static bool is_same(const struct assignment *assignment, const struct management_access *access,
                    double interval)
{
    const struct management_access *own = &assignment->access;
    if (own->url == NULL && access->url == NULL)
        return true;
    return is_same_text(own->url, access->url) && is_same_text(own->user, access->user) &&
           is_same_text(own->password, access->password) &&
           is_same_text(own->password_file, access->password_file) &&
           is_same_text(own->vhost, access->vhost) && assignment->interval == interval;
}

static void announce(const struct management_access *access)
{
    char where[MANAGEMENT_WHERE_SIZE];
    if (access->url == NULL) {
        log_event(WHIPPET_INFO, NULL, "no figures of the broker are asked for any more");
        return;
    }
    management_describe(access->url, where);
    log_event(WHIPPET_INFO, NULL, "figures of the broker are asked for at %s, of the virtual host \"%s\"",
              where, access->vhost);
}

/* What is known is of what was asked before. */
static void take(struct management_poller *poller, struct assignment *assignment)
{
    char where[MANAGEMENT_WHERE_SIZE];
    management_client_destroy(poller->client);
    poller->client = NULL;
    poller->introduced = false;
    poller->told = 0;
    secret_free(poller->current);
    poller->current = assignment;
    if (assignment->access.url != NULL)
        management_describe(assignment->access.url, where);
    stats_begin_management(poller->stats, assignment->access.url != NULL ? where : NULL);
}

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
        poller->client = management_client_create(&poller->current->access, &poller->cut, failure);
    if (poller->client == NULL)
        return failure->error;
    cJSON *overview = management_client_get(poller->client, "/api/overview", NULL, NULL, failure);
    if (overview == NULL)
        return failure->error;
    management_describe(poller->current->access.url, where);
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
    for (size_t i = 0; i < views.count && error == 0 && !atomic_load(&poller->cut); i++)
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
    if (atomic_load(&poller->cut))
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

/* The pause between two rounds, unless something is new. */
static void rest(const struct management_poller *poller)
{
    const struct assignment *current = poller->current;
    struct pollfd wake = {.fd = poller->wake, .events = POLLIN};
    eventfd_t count;
    poll(&wake, 1, current->access.url != NULL ? (int)(current->interval * 1000) : -1);
    eventfd_read(poller->wake, &count);
}

static void *poller_main(void *arg)
{
    struct management_poller *poller = arg;
    for (;;) {
        /* First, so that no cut is lost that comes with what is looked at after this. */
        atomic_store(&poller->cut, false);
        if (atomic_load(&poller->stopping))
            return NULL;
        struct assignment *next = atomic_exchange(&poller->next, NULL);
        if (next != NULL) {
            take(poller, next);
            announce(&next->access);
        }
        if (poller->current->access.url != NULL)
            poll_once(poller);
        rest(poller);
    }
}

static void interrupt(struct management_poller *poller)
{
    atomic_store(&poller->cut, true);
    eventfd_write(poller->wake, 1);
}

static void release(struct management_poller *poller)
{
    management_client_destroy(poller->client);
    secret_free(poller->current);
    secret_free(atomic_load(&poller->next));
    if (poller->wake >= 0)
        close(poller->wake);
    memory_free(poller);
}

/* --- For the others -------------------------------------------------------------------------------------*/

struct management_poller *management_poller_start(const struct management_access *access, double interval,
                                                  struct stats *stats, struct whippet_failure *failure)
{
    struct management_poller *poller = memory_allocate_zeroed(sizeof *poller);
    struct assignment *assignment = poller != NULL ? assignment_create(access, interval) : NULL;
    if (assignment == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        memory_free(poller);
        return NULL;
    }
    poller->stats = stats;
    poller->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    poller->newest = assignment;
    take(poller, assignment);
    int error =
        poller->wake < 0 ? errno : thread_start(&poller->thread, "whippet-manage", poller_main, poller);
    if (error == 0)
        return poller;
    failure_set(failure, WHIPPET_E_SYSTEM, "cannot start a thread for the management API: %s",
                strerror(error));
    release(poller);
    return NULL;
}

int management_poller_change(struct management_poller *poller, const struct management_access *access,
                             double interval, struct whippet_failure *failure)
{
    if (is_same(poller->newest, access, interval))
        return 0;
    struct assignment *assignment = assignment_create(access, interval);
    if (assignment == NULL)
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    poller->newest = assignment;
    secret_free(atomic_exchange(&poller->next, assignment));
    interrupt(poller);
    return 0;
}

void management_poller_stop(struct management_poller *poller)
{
    if (poller == NULL)
        return;
    atomic_store(&poller->stopping, true);
    interrupt(poller);
    pthread_join(poller->thread, NULL);
    release(poller);
}
