#include "assets.h"
#include "authority.h"
#include "events.h"
#include "listener.h"
#include "pages.h"
#include "visitors.h"
#include <admin/admin.h>
#include <base/clock.h>
#include <base/memory.h>
#include <base/thread.h>
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    CONNECTIONS = 64, /* in all; more wait in the listen queue */
    CONNECTIONS_PER_ADDRESS = 48,
    CONNECTION_MEMORY = 16 * 1024, /* bytes: a request's line and headers, and buffers */
    IDLE_SECONDS = 15,             /* without a byte in either direction */
    TICK_MILLISECONDS = 200,
};

static const char EVENTS[] = "/api/events";

struct admin {
    struct admin_options options;
    int descriptor; /* listening; the HTTP library closes it */
    uint16_t port;
    bool loopback; /* only this machine can connect */
    int wake;      /* an eventfd: admin_stop's word to the thread */
    struct MHD_Daemon *daemon;
    struct list visitors;
    struct history history;
    struct events events;
    pthread_t thread;
};

/* --- Answers --------------------------------------------------------------------------------------------*/

static const char NEVER_KEPT[] = "no-store";
static const char KEPT_AND_ASKED_FOR[] = "no-cache"; /* whether it is still the same, by its ETag */

/* The dashboard's own files, and nothing else: no inline script, no foreign host, no frame around it. */
static const char POLICY[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static enum MHD_Result send_answer(struct MHD_Connection *connection, unsigned code,
                                   struct MHD_Response *response, const char *caching)
{
    if (response == NULL)
        return MHD_NO; /* memory is short: the connection is closed */
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, caching);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Content-Security-Policy", POLICY);
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

/* Takes the answer's text along; its memory goes to the response, uncopied. */
static enum MHD_Result send_page(struct MHD_Connection *connection, struct page_answer *answer)
{
    struct MHD_Response *response = NULL;
    struct buffer *page = &answer->text.buffer;
    if (!answer->text.failed)
        response = MHD_create_response_from_buffer_with_free_callback(buffer_length(page), buffer_begin(page),
                                                                      memory_free);
    if (response != NULL) {
        buffer_init(page);
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type);
    }
    text_destroy(&answer->text);
    return send_answer(connection, answer->code, response, NEVER_KEPT);
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static bool has_body(struct MHD_Connection *connection)
{
    const char *length = header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return header(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL ||
           (length != NULL && strtoull(length, NULL, 10) != 0);
}

static const char STRANGE_NAME[] =
    "This port is for its own machine, and the request's Host header has a name that anybody could have:\n"
    "a web page might read it by DNS rebinding. Ask by address, such as http://127.0.0.1:9464/, as\n"
    "localhost, or by the name that admin.listen has; a proxy must send one of these as Host.";

/* Why a request gets no page; 0: it may get one. */
static unsigned refusal(const struct admin *admin, struct MHD_Connection *connection, const char *path,
                        const char *method, const char **why)
{
    if (admin->loopback &&
        !authority_is_ours(header(connection, MHD_HTTP_HEADER_HOST), admin->options.host)) {
        *why = STRANGE_NAME;
        return MHD_HTTP_MISDIRECTED_REQUEST;
    }
    bool known = page_find(path) != NULL || asset_find(path) != NULL || strcmp(path, EVENTS) == 0;
    if (!known) {
        *why = "There is nothing at this path. See / for what there is.";
        return MHD_HTTP_NOT_FOUND;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        *why = "This port only tells; it changes nothing. Use GET or HEAD.";
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    }
    if (has_body(connection)) {
        *why = "A request here has no body.";
        return MHD_HTTP_CONTENT_TOO_LARGE;
    }
    return 0;
}

static struct visitor *visitor_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

static enum MHD_Result answer_page(struct admin *admin, struct MHD_Connection *connection, const char *path)
{
    struct page_answer answer = {.code = MHD_HTTP_OK};
    const struct page_request asked = {
        .stats = admin->options.stats,
        .history = &admin->history,
        .commit = admin->options.commit,
        .accept = header(connection, MHD_HTTP_HEADER_ACCEPT),
        .tasks = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "tasks")};
    visitor_enter(visitor_of(connection), VISITOR_ANSWERED, clock_monotonic());
    text_init(&answer.text);
    page_find(path)->write(&asked, &answer);
    return send_page(connection, &answer);
}

static enum MHD_Result answer_asset(struct MHD_Connection *connection, const struct asset *asset)
{
    bool current = asset_is_current(asset, header(connection, MHD_HTTP_HEADER_IF_NONE_MATCH));
    bool compressed = asset_goes_compressed(header(connection, MHD_HTTP_HEADER_ACCEPT_ENCODING));
    struct asset_bytes bytes = compressed ? asset->gzip : asset->plain;
    visitor_enter(visitor_of(connection), VISITOR_ANSWERED, clock_monotonic());
    struct MHD_Response *response = MHD_create_response_from_buffer(
        current ? 0 : bytes.size, (void *)(uintptr_t)bytes.data, MHD_RESPMEM_PERSISTENT);
    if (response != NULL) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, asset->content_type);
        MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, asset->etag);
        MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT_ENCODING);
        if (compressed && !current)
            MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
    }
    return send_answer(connection, current ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response,
                       KEPT_AND_ASKED_FOR);
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned code, const char *why)
{
    struct page_answer answer;
    visitor_enter(visitor_of(connection), VISITOR_ANSWERED, clock_monotonic());
    text_init(&answer.text);
    page_refuse(&answer, code, why);
    return send_page(connection, &answer);
}

static enum MHD_Result answer_events(struct admin *admin, struct MHD_Connection *connection)
{
    if (!events_have_room(&admin->events))
        return refuse(
            connection, MHD_HTTP_SERVICE_UNAVAILABLE,
            "As many listen to events as may: 16. Close a dashboard, or ask /api/status each second.");
    visitor_enter(visitor_of(connection), VISITOR_LISTENING, clock_monotonic());
    return send_answer(connection, MHD_HTTP_OK, events_answer(&admin->events, connection), NEVER_KEPT);
}

/* Called when the headers are there, and again when there is nothing more of the request: an answer to the
 * first call ends the connection, so that only those get it who are refused. */
static enum MHD_Result on_request(void *owner, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *body,
                                  size_t *body_size, void **seen)
{
    struct admin *admin = owner;
    const char *why;
    (void)version, (void)body, (void)body_size;
    unsigned code = refusal(admin, connection, path, method, &why);
    if (code != 0)
        return refuse(connection, code, why);
    if (*seen == NULL) {
        *seen = admin;
        return MHD_YES;
    }
    const struct asset *asset = asset_find(path);
    if (asset != NULL)
        return answer_asset(connection, asset);
    return page_find(path) != NULL ? answer_page(admin, connection, path) : answer_events(admin, connection);
}

/* --- Connections ----------------------------------------------------------------------------------------*/

static void on_connection(void *owner, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct admin *admin = owner;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = visitor_create(&admin->visitors, info->connect_fd, clock_monotonic());
    } else {
        visitor_destroy(*context);
        *context = NULL;
    }
}

static void on_answered(void *owner, struct MHD_Connection *connection, void **request,
                        enum MHD_RequestTerminationCode code)
{
    (void)owner, (void)request, (void)code;
    visitor_enter(visitor_of(connection), VISITOR_ASKING, clock_monotonic());
}

/* --- The thread -----------------------------------------------------------------------------------------*/

static int milliseconds_until(double moment)
{
    double seconds = moment - clock_monotonic();
    return seconds > 0 ? (int)(seconds * 1000) + 1 : 0;
}

/* False when it is told to end. */
static bool await_something(const struct admin *admin)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(admin->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd polled[] = {{.fd = info->epoll_fd, .events = POLLIN},
                              {.fd = admin->wake, .events = POLLIN}};
    MHD_UNSIGNED_LONG_LONG wanted;
    int timeout = TICK_MILLISECONDS;
    if (list_empty(&admin->visitors))
        timeout = milliseconds_until(admin->history.next);
    if (MHD_get_timeout(admin->daemon, &wanted) == MHD_YES && wanted < (MHD_UNSIGNED_LONG_LONG)timeout)
        timeout = (int)wanted;
    poll(polled, 2, timeout);
    return polled[1].revents == 0;
}

static void *admin_main(void *arg)
{
    struct admin *admin = arg;
    while (await_something(admin)) {
        double now = clock_monotonic();
        visitors_cut(&admin->visitors, now);
        events_tick(&admin->events, now, history_tick(&admin->history, now));
        MHD_run(admin->daemon);
    }
    events_end(&admin->events);
    MHD_run(admin->daemon);
    return NULL;
}

/* --- Beginning and end ----------------------------------------------------------------------------------*/

static struct MHD_Daemon *start_daemon(struct admin *admin)
{
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, admin,
                            MHD_OPTION_LISTEN_SOCKET, admin->descriptor, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                            (unsigned)CONNECTIONS_PER_ADDRESS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, admin, MHD_OPTION_NOTIFY_COMPLETED,
                            on_answered, admin, MHD_OPTION_END);
}

/* Without a thread. */
static void release(struct admin *admin)
{
    if (admin->daemon != NULL)
        MHD_stop_daemon(admin->daemon);
    else if (admin->descriptor >= 0)
        close(admin->descriptor);
    if (admin->wake >= 0)
        close(admin->wake);
    events_destroy(&admin->events);
    history_destroy(&admin->history);
    memory_free(admin);
}

static int begin(struct admin *admin, struct whippet_failure *failure)
{
    admin->descriptor = listener_open(admin->options.host, admin->options.port, &admin->port, failure);
    if (admin->descriptor < 0)
        return failure->error;
    admin->loopback = listener_is_loopback(admin->descriptor);
    admin->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (admin->wake < 0)
        return failure_set(failure, WHIPPET_E_SYSTEM, "cannot make an eventfd: %s", strerror(errno));
    admin->daemon = start_daemon(admin);
    if (admin->daemon == NULL)
        return failure_set(failure, WHIPPET_E_SYSTEM,
                           "libmicrohttpd cannot start: memory or descriptors are short");
    int error = thread_start(&admin->thread, "whippet-admin", admin_main, admin);
    return error == 0 ? 0
                      : failure_set(failure, WHIPPET_E_SYSTEM, "cannot start a thread: %s", strerror(error));
}

struct admin *admin_start(const struct admin_options *options, struct whippet_failure *failure)
{
    struct admin *admin = memory_allocate_zeroed(sizeof *admin);
    if (admin == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        return NULL;
    }
    admin->options = *options;
    admin->descriptor = -1;
    admin->wake = -1;
    list_init(&admin->visitors);
    history_init(&admin->history, options->stats, clock_monotonic());
    events_init(&admin->events, options->stats, &admin->history, options->commit);
    if (begin(admin, failure) == 0)
        return admin;
    release(admin);
    return NULL;
}

void admin_stop(struct admin *admin)
{
    if (admin == NULL)
        return;
    eventfd_write(admin->wake, 1);
    pthread_join(admin->thread, NULL);
    release(admin);
}

uint16_t admin_port(const struct admin *admin)
{
    return admin->port;
}
