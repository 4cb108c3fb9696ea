/* whippet publish: messages to a queue or an exchange, each confirmed by the broker. */
#include "body.h"
#include "broker.h"
#include "commands.h"
#include "configuration.h"
#include "exit_codes.h"
#include "options.h"
#include "progress.h"
#include <base/clock.h>
#include <base/log.h>
#include <base/memory.h>
#include <config/units.h>
#include <io/publisher.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SENDERS_MAX = 256, /* messages under way at once */
    ERRORS_SHOWN = 5,
};

static const double LOOK_UP_SECONDS = 0.2; /* how soon a pause is ended by Ctrl-C */
static const double LOST_SECONDS = 30;     /* how long a connection that went is waited for */

/* What the command line asks for. */
struct request {
    struct broker_request broker;
    const char *exchange;
    const char *routing_key;
    const char *text; /* --body */
    const char *file; /* --file */
    const char *message_id;
    const char *content_type;
    const char *correlation_id;
    const char *reply_to;
    const char *type;
    const char *expiration;
    uint64_t priority;
    bool transient;
    bool quiet;
    uint64_t count;
    double rate; /* messages a second; 0: as fast as they are confirmed */
    struct buffer headers;
};

/* The work. */
struct publication {
    const struct request *request;
    struct loop *loop;
    struct connection *connection;
    struct publisher *publisher;
    struct waiter ready; /* connected, or could not be */
    size_t untried;      /* addresses of the broker, before it is found unreachable */
    struct progress progress;
    whippet_bytes body;
    char run_id[32]; /* the beginning of every message id */
    double started;
    uint64_t next; /* the number of the message to be sent next, from 0 */
    uint64_t confirmed;
    uint64_t failed;
    bool interrupted;
    int code;
};

/* --- One message ----------------------------------------------------------------------------------------*/

static whippet_bytes text_or_nothing(const char *text)
{
    return text != NULL ? bytes_of_text(text) : (whippet_bytes){0};
}

/* Appends `text` with each {n} replaced by the message's number, counted from 1. */
static bool append_numbered(struct buffer *out, const char *text, uint64_t number)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number + 1);
    for (const char *mark; (mark = strstr(text, "{n}")) != NULL; text = mark + 3)
        if (!buffer_append(out, text, (size_t)(mark - text)) || !buffer_append(out, digits, (size_t)length))
            return false;
    return buffer_append(out, text, strlen(text));
}

static bool append_message_id(const struct publication *publication, struct buffer *out, uint64_t number)
{
    if (publication->request->message_id != NULL)
        return append_numbered(out, publication->request->message_id, number);
    char id[64];
    int length = snprintf(id, sizeof id, "%s-%llu", publication->run_id, (unsigned long long)number + 1);
    return buffer_append(out, id, (size_t)length);
}

static int write_properties(const struct publication *publication, whippet_bytes message_id,
                            struct buffer *properties)
{
    const struct request *request = publication->request;
    struct properties_draft draft = {
        .content_type = text_or_nothing(request->content_type),
        .correlation_id = text_or_nothing(request->correlation_id),
        .reply_to = text_or_nothing(request->reply_to),
        .type = text_or_nothing(request->type),
        .expiration = text_or_nothing(request->expiration),
        .message_id = message_id,
        .priority = (uint8_t)request->priority,
        .timestamp = (uint64_t)clock_wall(),
        .delivery_mode = request->transient ? DELIVERY_MODE_TRANSIENT : DELIVERY_MODE_PERSISTENT,
        .header_entries = bytes_of(buffer_begin(&request->headers), buffer_length(&request->headers)),
    };
    return properties_write(properties, &draft);
}

/* Publishes until it is confirmed or refused; a lost connection is waited for, and the message sent again: it
 * may arrive twice then, with the same message id. Where the connection stands, the broker has closed the
 * channel alone, which is how it refuses. */
static int publish_until_answered(whippet_task *task, struct publication *publication,
                                  const struct publishing *publishing, struct whippet_failure *failure)
{
    int error;
    do
        error = publisher_publish(task, publication->publisher, publishing,
                                  loop_now(publication->loop) + LOST_SECONDS, failure);
    while (error == WHIPPET_E_CLOSED && !publication->interrupted &&
           connection_session(publication->connection) == NULL);
    return error;
}

static int publish_one(whippet_task *task, struct publication *publication, uint64_t number,
                       struct whippet_failure *failure)
{
    const struct request *request = publication->request;
    struct buffer id, properties, text;
    buffer_init(&id);
    buffer_init(&properties);
    buffer_init(&text);
    int error = WHIPPET_E_MEMORY;
    if (append_message_id(publication, &id, number) &&
        (request->text == NULL || append_numbered(&text, request->text, number)))
        error = write_properties(publication, bytes_of(buffer_begin(&id), buffer_length(&id)), &properties);
    if (error != 0) {
        failure_set(failure, error, "%s",
                    error == WHIPPET_E_INVALID ? "a property is longer than 255 bytes"
                                               : whippet_error_text(error));
    } else {
        struct publishing publishing = {
            .exchange = request->exchange,
            .routing_key = request->routing_key,
            .properties = bytes_of(buffer_begin(&properties), buffer_length(&properties)),
            .body = request->text != NULL ? bytes_of(buffer_begin(&text), buffer_length(&text))
                                          : publication->body,
        };
        error = publish_until_answered(task, publication, &publishing, failure);
    }
    buffer_destroy(&id);
    buffer_destroy(&properties);
    buffer_destroy(&text);
    return error;
}

/* --- All of them ----------------------------------------------------------------------------------------*/

static void note_failure(struct publication *publication, uint64_t number,
                         const struct whippet_failure *failure)
{
    publication->failed++;
    publication->code = EXIT_FAILED;
    if (publication->failed <= ERRORS_SHOWN)
        fprintf(stderr, "%swhippet publish: message %llu: %s\n", publication->progress.terminal ? "\n" : "",
                (unsigned long long)number + 1, failure->text);
    if (publication->failed == ERRORS_SHOWN)
        fprintf(stderr, "whippet publish: further errors are only counted\n");
}

/* Waits for the message's moment, looking up now and then; false when it is not to be sent any more. */
static bool await_due(whippet_task *task, const struct publication *publication, uint64_t number)
{
    double due = publication->started + (double)number / publication->request->rate;
    double left;
    while (!publication->interrupted && (left = due - loop_refresh_now(publication->loop)) > 0)
        if (whippet_sleep(task, fmin(left, LOOK_UP_SECONDS)) != 0)
            return false;
    return !publication->interrupted;
}

/* The others go to the same exchange, and would fare no better; nor would they with a broker that has been
 * away for as long as it is waited for. */
static bool concerns_all(const struct publication *publication, int error)
{
    bool away = connection_session(publication->connection) == NULL;
    return error == WHIPPET_E_CLOSED || (error == WHIPPET_E_TIMEOUT && away);
}

static int sender(whippet_task *task, void *arg)
{
    struct publication *publication = arg;
    const struct request *request = publication->request;
    while (publication->next < request->count && !publication->interrupted) {
        uint64_t number = publication->next++;
        if (request->rate > 0 && !await_due(task, publication, number))
            return 0;
        struct whippet_failure failure = {0};
        int error = publish_one(task, publication, number, &failure);
        if (error == WHIPPET_E_CANCELLED)
            return 0;
        if (error == 0)
            publication->confirmed++;
        else
            note_failure(publication, number, &failure);
        if (concerns_all(publication, error))
            publication->interrupted = true;
        if (!request->quiet)
            progress_update(&publication->progress, publication->confirmed);
    }
    return 0;
}

static int publish_all(whippet_task *task, struct publication *publication)
{
    const struct request *request = publication->request;
    /* At a slow rate, as many as a second's messages do. */
    double useful = request->rate > 0 ? fmin(request->rate + 1, SENDERS_MAX) : SENDERS_MAX;
    uint64_t senders = request->count < (uint64_t)useful ? request->count : (uint64_t)useful;
    progress_begin(&publication->progress, "published", publication->request->count);
    publication->started = loop_now(publication->loop);
    for (uint64_t i = 0; i < senders; i++)
        if (whippet_spawn(task, sender, publication) == NULL && i == 0)
            return WHIPPET_E_MEMORY;
    return whippet_join_all(task);
}

static void report_unreachable(const struct publication *publication)
{
    fprintf(
        stderr,
        "whippet publish: %s\nThe address is taken from --url or -c, else from AMQP_URL or RABBITMQ_URL; the "
        "password from there, --password-file or AMQP_PASSWORD_FILE.\n",
        connection_failure(publication->connection)->text);
}

static int publish_main(whippet_task *task, void *arg)
{
    struct publication *publication = arg;
    int error = waiter_wait(task, &publication->ready, INFINITY, "connecting");
    if (error == 0) {
        error = publish_all(task, publication);
    } else {
        publication->code = EXIT_BROKER;
        report_unreachable(publication);
    }
    if (error == WHIPPET_E_MEMORY)
        publication->code = EXIT_INTERNAL;
    publisher_stop(task, publication->publisher);
    connection_stop(task, publication->connection, loop_now(publication->loop) + 5);
    loop_stop(publication->loop);
    return 0;
}

/* --- Connection and signals -----------------------------------------------------------------------------*/

static void on_opened(void *owner)
{
    struct publication *publication = owner;
    publisher_connection_changed(publication->publisher);
    waiter_wake(&publication->ready, 0);
}

static void on_failed(void *owner)
{
    struct publication *publication = owner;
    if (publication->untried > 0)
        publication->untried--;
    if (publication->untried == 0)
        waiter_wake(&publication->ready, WHIPPET_E_UNAVAILABLE);
}

static void on_changed(void *owner)
{
    struct publication *publication = owner;
    publisher_connection_changed(publication->publisher);
}

static void on_blocked(void *owner, bool blocked)
{
    (void)blocked;
    on_changed(owner);
}

static void on_interrupt(void *owner)
{
    struct publication *publication = owner;
    if (publication->interrupted)
        _exit(EXIT_FAILED);
    publication->interrupted = true;
    publication->code = EXIT_FAILED;
}

static const struct connection_handlers HANDLERS = {
    .opened = on_opened,
    .failed = on_failed,
    .blocked = on_blocked,
    .flushed = on_changed,
};

static void make_run_id(struct publication *publication)
{
    snprintf(publication->run_id, sizeof publication->run_id, "%llx-%x",
             (unsigned long long)(clock_wall() * 1000), (unsigned)getpid());
}

static bool start(struct publication *publication, const struct brokers *brokers)
{
    struct connection_options options = {
        .name = "publish",
        .version = WHIPPET_VERSION,
        .endpoints = brokers->endpoints,
        .endpoint_count = brokers->count,
        .heartbeat = 20,
        .connect_timeout = 10,
        .reconnect_min = 0.5,
        .reconnect_max = 5,
    };
    bool started = false;
    publication->untried = brokers->count;
    publication->connection = connection_create(publication->loop, &options, &HANDLERS, publication);
    publication->publisher =
        publication->connection != NULL ? publisher_create(publication->connection, "publish") : NULL;
    if (publication->publisher == NULL)
        return false;
    task_start(loop_scheduler(publication->loop), publish_main, publication, INFINITY, NULL, NULL, &started);
    return started && publisher_start(publication->publisher) && connection_start(publication->connection) &&
           loop_on_signal(publication->loop, SIGINT, on_interrupt, publication) &&
           loop_on_signal(publication->loop, SIGTERM, on_interrupt, publication);
}

static int publish_to(struct publication *publication, const struct brokers *brokers)
{
    struct whippet_failure failure;
    signal(SIGPIPE, SIG_IGN);
    log_configure(STDERR_FILENO, WHIPPET_ERROR, LOG_FORMAT_TEXT);
    publication->loop = loop_create(256 * 1024, &failure);
    if (publication->loop == NULL) {
        fprintf(stderr, "whippet publish: %s\n", failure.text);
        return EXIT_INTERNAL;
    }
    waiter_init(&publication->ready);
    make_run_id(publication);
    if (!start(publication, brokers)) {
        fprintf(stderr, "whippet publish: out of memory\n");
        _exit(EXIT_INTERNAL);
    }
    loop_run(publication->loop);
    if (publication->code != EXIT_BROKER && !publication->request->quiet)
        progress_end(&publication->progress, publication->confirmed);
    if (publication->code != EXIT_BROKER && (publication->failed > 0 || publication->interrupted))
        fprintf(stderr, "whippet publish: %llu of %llu confirmed, %llu failed\n",
                (unsigned long long)publication->confirmed, (unsigned long long)publication->request->count,
                (unsigned long long)publication->failed);
    publisher_destroy(publication->publisher);
    connection_destroy(publication->connection);
    loop_destroy(publication->loop);
    return publication->code;
}

static int publish(struct publication *publication)
{
    struct broker broker;
    int code = broker_find("publish", &publication->request->broker, &broker);
    if (code == EXIT_DONE)
        code = publish_to(publication, broker.brokers);
    broker_destroy(&broker);
    return code;
}

/* --- The command line -----------------------------------------------------------------------------------*/

enum long_option {
    OPTION_BODY = 256,
    OPTION_PASSWORD_FILE,
    OPTION_CA,
    OPTION_CERT,
    OPTION_KEY,
    OPTION_CONTENT_TYPE,
    OPTION_MESSAGE_ID,
    OPTION_CORRELATION_ID,
    OPTION_REPLY_TO,
    OPTION_TYPE,
    OPTION_EXPIRATION,
    OPTION_PRIORITY,
    OPTION_TRANSIENT,
};

static const struct option LONG_OPTIONS[] = {
    {"exchange", required_argument, NULL, 'e'},
    {"routing-key", required_argument, NULL, 'k'},
    {"file", required_argument, NULL, 'f'},
    {"body", required_argument, NULL, OPTION_BODY},
    {"count", required_argument, NULL, 'n'},
    {"rate", required_argument, NULL, 'r'},
    {"header", required_argument, NULL, 'H'},
    {"url", required_argument, NULL, 'u'},
    {"config", required_argument, NULL, 'c'},
    {"password-file", required_argument, NULL, OPTION_PASSWORD_FILE},
    {"ca", required_argument, NULL, OPTION_CA},
    {"cert", required_argument, NULL, OPTION_CERT},
    {"key", required_argument, NULL, OPTION_KEY},
    {"content-type", required_argument, NULL, OPTION_CONTENT_TYPE},
    {"message-id", required_argument, NULL, OPTION_MESSAGE_ID},
    {"correlation-id", required_argument, NULL, OPTION_CORRELATION_ID},
    {"reply-to", required_argument, NULL, OPTION_REPLY_TO},
    {"type", required_argument, NULL, OPTION_TYPE},
    {"expiration", required_argument, NULL, OPTION_EXPIRATION},
    {"priority", required_argument, NULL, OPTION_PRIORITY},
    {"transient", no_argument, NULL, OPTION_TRANSIENT},
    {"quiet", no_argument, NULL, 'q'},
    {0},
};

static bool parse_number(const char *option, const char *text, double least, double most, double *number)
{
    char *end;
    *number = strtod(text, &end);
    if (end != text && *end == '\0' && *number >= least && *number <= most)
        return true;
    usage_error("publish", "%s %s: expected a number from %g to %g", option, text, least, most);
    return false;
}

static bool parse_whole(const char *option, const char *text, double least, double most, uint64_t *whole)
{
    double number;
    if (!parse_number(option, text, least, most, &number))
        return false;
    *whole = (uint64_t)number;
    if ((double)*whole == number)
        return true;
    usage_error("publish", "%s %s: expected a whole number", option, text);
    return false;
}

static bool parse_header(struct request *request, char *text)
{
    const char *name, *value;
    return header_split(text, &name, &value) &&
           table_add_text(&request->headers, bytes_of_text(name), bytes_of_text(value));
}

/* False after it said what is wrong. */
static bool parse_option(struct request *request, int option, char *argument)
{
    switch (option) {
    case 'e': request->exchange = argument; return true;
    case 'k': request->routing_key = argument; return true;
    case 'f': request->file = argument; return true;
    case 'u': return broker_request_take_url(&request->broker, argument);
    case 'c': request->broker.config = argument; return true;
    case OPTION_PASSWORD_FILE: request->broker.password_file = argument; return true;
    case OPTION_CA: request->broker.ca = argument; return true;
    case OPTION_CERT: request->broker.cert = argument; return true;
    case OPTION_KEY: request->broker.key = argument; return true;
    case 'q': request->quiet = true; return true;
    case 'n': return parse_whole("--count", argument, 1, 1e12, &request->count);
    case 'r': return parse_number("--rate", argument, 0.001, 1e9, &request->rate);
    case 'H': return parse_header(request, argument);
    case OPTION_BODY: request->text = argument; return true;
    case OPTION_CONTENT_TYPE: request->content_type = argument; return true;
    case OPTION_MESSAGE_ID: request->message_id = argument; return true;
    case OPTION_CORRELATION_ID: request->correlation_id = argument; return true;
    case OPTION_REPLY_TO: request->reply_to = argument; return true;
    case OPTION_TYPE: request->type = argument; return true;
    case OPTION_EXPIRATION: request->expiration = argument; return true;
    case OPTION_PRIORITY: return parse_whole("--priority", argument, 0, 255, &request->priority);
    case OPTION_TRANSIENT: request->transient = true; return true;
    default: return false;
    }
}

static bool complain(const char *text)
{
    usage_error("publish", "%s", text);
    return false;
}

/* Where to: a queue by its name, through the default exchange, or an exchange with a routing key. */
static bool settle_target(struct request *request, int argc, char **argv, int rest)
{
    if (argc - rest > 1)
        return complain("more than one QUEUE; a body is given with --body or --file");
    if (rest < argc) {
        if (request->exchange != NULL || request->routing_key != NULL)
            return complain("QUEUE stands alone, without --exchange and --routing-key");
        request->exchange = "";
        request->routing_key = argv[rest];
    } else if (request->exchange == NULL) {
        return complain("where to? Give a QUEUE, or --exchange and --routing-key");
    }
    if (request->routing_key == NULL)
        request->routing_key = "";
    if (strlen(request->exchange) > 255 || strlen(request->routing_key) > 255)
        return complain("names in AMQP have at most 255 bytes");
    return true;
}

static bool names_one_body(const struct request *request)
{
    if (request->text != NULL && request->file != NULL)
        return complain("--body and --file exclude each other");
    if (request->text == NULL && request->file == NULL && isatty(STDIN_FILENO) == 1)
        return complain("no body; give --body TEXT or --file FILE, or pipe one in");
    return true;
}

/* Its exit code. */
static int read_and_publish(const struct request *request)
{
    struct publication publication = {.request = request, .code = EXIT_DONE};
    if (request->text == NULL && !body_read(request->file != NULL ? request->file : "-", &publication.body))
        return EXIT_FAILED;
    int code = publish(&publication);
    memory_free((void *)publication.body.data);
    return code;
}

int command_publish(int argc, char **argv)
{
    const struct options options = {
        .command = argv[0], .short_options = "e:k:f:n:r:H:u:c:q", .long_options = LONG_OPTIONS};
    struct request request = {.count = 1};
    int option, code = OPTIONS_END;
    buffer_init(&request.headers);
    while (code == OPTIONS_END && (option = options_next(&options, argc, argv)) != OPTIONS_END) {
        if (option == OPTIONS_HELP)
            code = EXIT_DONE;
        else if (option == OPTIONS_WRONG || !parse_option(&request, option, optarg))
            code = EXIT_USAGE;
    }
    if (code == OPTIONS_END)
        code = settle_target(&request, argc, argv, optind) && names_one_body(&request)
                   ? read_and_publish(&request)
                   : EXIT_USAGE;
    buffer_destroy(&request.headers);
    broker_request_destroy(&request.broker);
    return code;
}
