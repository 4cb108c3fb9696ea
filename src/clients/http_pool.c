#include "http_pool.h"
#include "http_lookups.h"
#include <base/memory.h>
#include <string.h>

enum {
    SPARE_MOST = 1024 /* easy handles that are kept, of those that were at work at once: 22 KiB each */
};

static const double IDLE_SECONDS = 120; /* after the last transfer; servers have hung up long before */

struct http_pool {
    struct loop_resident resident;
    struct loop *loop;
    const struct curl_library *library;
    CURLM *multi;         /* owned */
    struct timer timer;   /* when libcurl wants to be called, whatever happens */
    struct timer idle;    /* armed while there is no transfer */
    struct posted work;   /* takes on what is in the first two lists */
    struct list starting; /* transfers that libcurl has not seen */
    struct list stopping; /* transfers that it is to forget */
    struct list running;  /* transfers that it has */
    struct list waiting;  /* transfers that wait for another's look-up of their name */
    struct list sockets;  /* all that are watched */
    struct http_lookups lookups;
    size_t transfers;        /* in all four lists of them */
    size_t most;             /* there ever were at once: as many connections are kept */
    bool starved;            /* some of those running are short of memory */
    CURL *spare[SPARE_MOST]; /* easy handles as good as new; owned */
    size_t spares;           /* how many */
};

/* A descriptor of libcurl's. */
struct pool_socket {
    struct list link;
    struct http_pool *pool;
    struct watch *watch;
    curl_socket_t descriptor;
};

static const char KIND; /* its address is the pools' */

static void act(struct http_pool *pool, curl_socket_t descriptor, int events);
static void act_in_time(struct http_pool *pool);

/* --- Transfers ------------------------------------------------------------------------------------------*/

static void take_off(struct http_pool *pool, struct http_transfer *transfer)
{
    list_remove(&transfer->link);
    pool->transfers--;
}

static void arm_idle(struct http_pool *pool);

/* To be begun at the end of this turn. */
static void start_soon(struct http_pool *pool, struct http_transfer *transfer)
{
    list_remove(&transfer->link);
    list_append(&pool->starting, &transfer->link);
    scheduler_post(loop_scheduler(pool->loop), &pool->work);
}

/* To make one is a good part of what a request costs. */
static CURL *take_handle(struct http_pool *pool)
{
    return pool->spares > 0 ? pool->spare[--pool->spares] : pool->library->easy_init();
}

/* Only one that has come to a good end is trusted with another request. */
static void give_back_handle(struct http_pool *pool, struct http_transfer *transfer, bool is_good)
{
    pool->library->multi_remove_handle(pool->multi, transfer->easy);
    CURL *easy = http_transfer_close(transfer);
    if (is_good && pool->spares < SPARE_MOST) {
        pool->library->easy_reset(easy);
        pool->spare[pool->spares++] = easy;
    } else {
        pool->library->easy_cleanup(easy);
    }
}

/* Those that wait for this one's look-up go on. */
static void release_waiting(struct http_pool *pool, const struct http_transfer *transfer)
{
    struct list *next;
    for (struct list *link = pool->waiting.next; link != &pool->waiting; link = next) {
        struct http_transfer *other = list_entry(link, struct http_transfer, link);
        next = link->next;
        if (http_same_place(other, transfer))
            start_soon(pool, other);
    }
}

/* Those that wait for this one's look-up fail as it did. */
static void fail_waiting(struct http_pool *pool, const struct http_transfer *transfer, int error)
{
    struct list *next;
    for (struct list *link = pool->waiting.next; link != &pool->waiting; link = next) {
        struct http_transfer *other = list_entry(link, struct http_transfer, link);
        next = link->next;
        if (!http_same_place(other, transfer))
            continue;
        take_off(pool, other);
        memcpy(other->words, transfer->words, sizeof other->words);
        waiter_wake(&other->done, error);
    }
}

/* Its handle is given up for another, later: libcurl has sent nothing yet. */
static void begin_again(struct http_pool *pool, struct http_transfer *transfer)
{
    give_back_handle(pool, transfer, false);
    transfer->fault = HTTP_SOUND;
    transfer->words[0] = '\0';
    start_soon(pool, transfer);
}

/* It is out of all lists, and its task goes on. */
static void end(struct http_pool *pool, struct http_transfer *transfer, CURLcode code)
{
    if (transfer->fault == HTTP_NAME_IS_ASKED) {
        begin_again(pool, transfer);
        return;
    }
    bool was_asking = http_lookups_end(transfer);
    take_off(pool, transfer);
    int error = http_transfer_conclude(transfer, code);
    give_back_handle(pool, transfer, code == CURLE_OK);
    if (was_asking && code == CURLE_COULDNT_RESOLVE_HOST)
        fail_waiting(pool, transfer, error);
    else if (was_asking)
        release_waiting(pool, transfer);
    waiter_wake(&transfer->done, error);
    arm_idle(pool);
}

bool http_pool_may_look_up(struct http_pool *pool, struct http_transfer *transfer)
{
    if (http_lookups_is_asked(&pool->lookups, transfer)) {
        transfer->fault = HTTP_NAME_IS_ASKED;
        return false;
    }
    http_lookups_begin(&pool->lookups, transfer);
    return true;
}

void http_pool_name_is_known(struct http_pool *pool, struct http_transfer *transfer)
{
    if (http_lookups_end(transfer))
        release_waiting(pool, transfer);
}

/* A connection that is used again is worth more than one that is not kept open. */
static void keep_enough_connections(struct http_pool *pool)
{
    if (pool->transfers <= pool->most)
        return;
    pool->most = 2 * pool->transfers;
    pool->library->multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, (long)pool->most);
}

static void begin(struct http_pool *pool, struct http_transfer *transfer)
{
    list_remove(&transfer->link);
    if (transfer->done.task == NULL)
        return; /* cancelled within this turn: it is stopped in the next */
    if (http_lookups_is_asked(&pool->lookups, transfer)) {
        list_append(&pool->waiting, &transfer->link);
        return;
    }
    list_append(&pool->running, &transfer->link);
    if (!http_transfer_open(transfer, take_handle(pool)) ||
        pool->library->multi_add_handle(pool->multi, transfer->easy) != CURLM_OK)
        end(pool, transfer, CURLE_OUT_OF_MEMORY);
}

static void stop(struct http_pool *pool, struct http_transfer *transfer)
{
    take_off(pool, transfer);
    if (transfer->easy != NULL)
        give_back_handle(pool, transfer, false);
    if (http_lookups_end(transfer))
        release_waiting(pool, transfer);
    waiter_wake(&transfer->stopped, 0);
    arm_idle(pool);
}

static void work(struct posted *posted)
{
    struct http_pool *pool = list_entry(posted, struct http_pool, work);
    while (!list_empty(&pool->stopping))
        stop(pool, list_entry(pool->stopping.next, struct http_transfer, link));
    keep_enough_connections(pool);
    while (!list_empty(&pool->starting))
        begin(pool, list_entry(pool->starting.next, struct http_transfer, link));
    act_in_time(pool);
}

void http_pool_start(struct http_pool *pool, struct http_transfer *transfer)
{
    struct scheduler *scheduler = loop_scheduler(pool->loop);
    timer_stop(&scheduler->timers, &pool->idle);
    pool->transfers++;
    transfer->pool = pool;
    start_soon(pool, transfer);
}

void http_pool_stop(struct http_pool *pool, struct http_transfer *transfer)
{
    list_remove(&transfer->link);
    list_append(&pool->stopping, &transfer->link);
    scheduler_post(loop_scheduler(pool->loop), &pool->work);
}

/* --- What libcurl wants of the loop ---------------------------------------------------------------------*/

static void socket_destroy(struct pool_socket *socket)
{
    list_remove(&socket->link);
    watch_destroy(socket->watch);
    memory_free(socket);
}

/* libcurl may have closed the socket when this returns. */
static void on_ready(void *owner, int events)
{
    struct pool_socket *socket = owner;
    int readable = (events & WHIPPET_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    int writable = (events & WHIPPET_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    act(socket->pool, socket->descriptor, readable | writable);
}

/* NULL when memory is short. */
static struct pool_socket *socket_create(struct http_pool *pool, curl_socket_t descriptor)
{
    struct pool_socket *socket = memory_allocate_zeroed(sizeof *socket);
    struct watch *watch = socket != NULL ? watch_create(pool->loop, descriptor, on_ready, socket) : NULL;
    if (watch == NULL) {
        memory_free(socket);
        return NULL;
    }
    *socket = (struct pool_socket){.pool = pool, .watch = watch, .descriptor = descriptor};
    list_append(&pool->sockets, &socket->link);
    return socket;
}

/* Never says no: libcurl would give up on all transfers for ever. The one it is about ends instead. */
static int on_socket(CURL *easy, curl_socket_t descriptor, int what, void *owner, void *known)
{
    struct http_pool *pool = owner;
    struct pool_socket *socket = known;
    if (what == CURL_POLL_REMOVE) {
        if (socket != NULL)
            socket_destroy(socket);
        return 0;
    }
    if (socket == NULL) {
        socket = socket_create(pool, descriptor);
        struct http_transfer *transfer = http_transfer_of(pool->library, easy);
        if (socket != NULL)
            pool->library->multi_assign(pool->multi, descriptor, socket);
        else if (transfer != NULL)
            transfer->fault = HTTP_STARVED;
        pool->starved = pool->starved || socket == NULL;
    }
    if (socket != NULL)
        watch_set(socket->watch, ((what & CURL_POLL_IN) != 0 ? WHIPPET_READABLE : 0) |
                                     ((what & CURL_POLL_OUT) != 0 ? WHIPPET_WRITABLE : 0));
    return 0;
}

static void set_timer(struct http_pool *pool, long milliseconds)
{
    struct scheduler *scheduler = loop_scheduler(pool->loop);
    if (milliseconds < 0)
        timer_stop(&scheduler->timers, &pool->timer);
    else if (!timer_start(&scheduler->timers, &pool->timer,
                          loop_now(pool->loop) + (double)milliseconds / 1000))
        scheduler_post(scheduler, &pool->work); /* without memory: each turn, until there is some */
}

static int on_timer(CURLM *multi, long milliseconds, void *owner)
{
    (void)multi;
    set_timer(owner, milliseconds);
    return 0;
}

static void on_due(struct timer *timer)
{
    act_in_time(list_entry(timer, struct http_pool, timer));
}

/* --- Turning --------------------------------------------------------------------------------------------*/

static void end_starved(struct http_pool *pool, bool all)
{
    struct list *next;
    pool->starved = false;
    for (struct list *link = pool->running.next; link != &pool->running; link = next) {
        struct http_transfer *transfer = list_entry(link, struct http_transfer, link);
        next = link->next;
        if (all || transfer->fault == HTTP_STARVED)
            end(pool, transfer, CURLE_OUT_OF_MEMORY);
    }
}

/* Has libcurl do what is to be done, and ends what has come to its end. */
static void act(struct http_pool *pool, curl_socket_t descriptor, int events)
{
    int count;
    CURLMsg *message;
    CURLMcode code = pool->library->multi_socket_action(pool->multi, descriptor, events, &count);
    while ((message = pool->library->multi_info_read(pool->multi, &count)) != NULL) {
        struct http_transfer *transfer = http_transfer_of(pool->library, message->easy_handle);
        if (message->msg == CURLMSG_DONE && transfer != NULL)
            end(pool, transfer, message->data.result);
    }
    /* Without memory it may have lost sight of a socket, and does not say whose. */
    if (pool->starved || code == CURLM_OUT_OF_MEMORY)
        end_starved(pool, code == CURLM_OUT_OF_MEMORY);
}

/* The loop's moment is that of the turn's beginning, so that the timer may be early by a little: libcurl then
 * does nothing, and does not ask again. */
static void act_in_time(struct http_pool *pool)
{
    long milliseconds = -1;
    act(pool, CURL_SOCKET_TIMEOUT, 0);
    if (!timer_armed(&pool->timer) && pool->library->multi_timeout(pool->multi, &milliseconds) == CURLM_OK &&
        milliseconds >= 0)
        set_timer(pool, milliseconds > 0 ? milliseconds : 1);
}

/* --- Coming and going -----------------------------------------------------------------------------------*/

static void pool_destroy(struct http_pool *pool)
{
    struct timers *timers = &loop_scheduler(pool->loop)->timers;
    while (pool->spares > 0)
        pool->library->easy_cleanup(take_handle(pool));
    pool->library->multi_cleanup(pool->multi);
    while (!list_empty(&pool->sockets))
        socket_destroy(list_entry(pool->sockets.next, struct pool_socket, link));
    timer_stop(timers, &pool->timer);
    timer_stop(timers, &pool->idle);
    posted_cancel(&pool->work);
    memory_free(pool);
}

static void on_loop_end(struct loop_resident *resident)
{
    pool_destroy(list_entry(resident, struct http_pool, resident));
}

static void on_idle(struct timer *timer)
{
    struct http_pool *pool = list_entry(timer, struct http_pool, idle);
    loop_leave(&pool->resident);
    pool_destroy(pool);
}

/* Where there is no memory for the timer, the pool stays until the loop ends, or the next transfer. */
static void arm_idle(struct http_pool *pool)
{
    if (pool->transfers == 0)
        timer_start(&loop_scheduler(pool->loop)->timers, &pool->idle, loop_now(pool->loop) + IDLE_SECONDS);
}

static bool set_options(struct http_pool *pool)
{
    const struct curl_library *library = pool->library;
    return library->multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
           library->multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool) == CURLM_OK &&
           library->multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
           library->multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool) == CURLM_OK;
}

static struct http_pool *pool_create(struct loop *loop, const struct curl_library *library)
{
    struct http_pool *pool = memory_allocate_zeroed(sizeof *pool);
    if (pool == NULL)
        return NULL;
    *pool = (struct http_pool){
        .resident = {.kind = &KIND, .destroy = on_loop_end},
        .loop = loop,
        .library = library,
        .multi = library->multi_init(),
        .timer.function = on_due,
        .idle.function = on_idle,
        .work.function = work,
    };
    list_init(&pool->starting);
    list_init(&pool->stopping);
    list_init(&pool->running);
    list_init(&pool->waiting);
    list_init(&pool->sockets);
    http_lookups_init(&pool->lookups);
    if (pool->multi == NULL || !set_options(pool)) {
        library->multi_cleanup(pool->multi);
        memory_free(pool);
        return NULL;
    }
    loop_keep(loop, &pool->resident);
    return pool;
}

struct http_pool *http_pool_of(struct loop *loop, const struct curl_library *library)
{
    struct loop_resident *resident = loop_find(loop, &KIND);
    return resident != NULL ? list_entry(resident, struct http_pool, resident) : pool_create(loop, library);
}
