/* The configuration: one validated struct. Everything is owned by it and never changes after config_load. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <base/log.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <whippet/retry.h>

struct cJSON;

enum queue_declare {
    QUEUE_DECLARE_IF_MISSING,
    QUEUE_DECLARE_PASSIVE,
    QUEUE_DECLARE_CREATE
};
enum queue_type {
    QUEUE_TYPE_QUORUM,
    QUEUE_TYPE_CLASSIC,
    QUEUE_TYPE_STREAM
};
enum run_mode {
    RUN_AS_WISHED, /* by the processor; "loop" where it wishes for nothing */
    RUN_LOOP,
    RUN_THREAD,
    RUN_PROCESS
};
enum retry_via {
    RETRY_VIA_MEMORY, /* the delivery is held unacknowledged between two attempts */
    RETRY_VIA_BROKER, /* a copy waits in a delay queue */
};
enum on_failure {
    ON_FAILURE_DEAD_LETTER,
    ON_FAILURE_DISCARD
};

/* A broker's address, taken apart from an amqp:// URL. */
struct broker_address {
    const char *host;
    uint16_t port;
    const char *user;
    const char *password; /* never printed */
    const char *vhost;
    char *display;     /* the URL without its password, for logs: "amqp://guest@localhost:5672/" */
    bool tls;          /* amqps:// */
    bool has_password; /* the URL names one; else `password` is the default */
};

/* amqp.tls; what is not given is NULL. */
struct tls_config {
    const char *ca;
    const char *cert; /* goes with `key` */
    const char *key;
    const char *key_password_file;
    const char *server_name;
    bool verify;
};

/* Arguments, here and below, are a free-form table as a JSON object, or NULL: strings, numbers (whole ones to
 * 2^53), booleans, null, lists, objects; names of at most 255 bytes. */
struct binding_config {
    const char *exchange;
    const char *exchange_type; /* NULL: the exchange must exist */
    const char *routing_key;   /* "" when none is given */
    const struct cJSON *arguments;
};

struct queue_config {
    const char *name;
    const char *processor;
    const struct cJSON *settings; /* an object, or NULL */
    enum queue_declare declare;
    enum queue_type type;
    const struct cJSON *arguments;
    struct binding_config *bindings;
    size_t binding_count;
    unsigned concurrency; /* attempts at once */
    unsigned prefetch;    /* 1 to 65535 */
    int priority;         /* the consumer's, -2^31 … */
    bool exclusive;
    const struct cJSON *consume_arguments;
    enum run_mode run;
    unsigned processes; /* with RUN_PROCESS */
    double timeout;     /* seconds, for one attempt */
    whippet_retry_policy retry;
    enum retry_via retry_via;
    enum on_failure on_failure;
    const char *dead_letter;   /* queue; NULL with ON_FAILURE_DISCARD */
    uint64_t max_message_size; /* bytes */
    unsigned max_crashes;      /* of the worker, before a message is given up unrun */
    int line;                  /* where it starts in the file */
};

/* Where the admin port listens. */
struct listen_address {
    const char *host; /* NULL: off */
    uint16_t port;    /* 0: the kernel picks one */
};

/* RabbitMQ's management API. */
struct management_config {
    const char *url;      /* "http://host:15672", with or without user and password; NULL: it is not asked */
    const char *user;     /* NULL, as the next two: those of the broker's first address */
    const char *password; /* never printed */
    const char *password_file; /* holds it */
    double interval;           /* seconds between two rounds */
};

struct config {
    const char *file;
    struct broker_address *addresses; /* at least one, tried in turn */
    size_t address_count;
    const char *password_file; /* in place of the addresses' own passwords; NULL: none */
    struct tls_config tls;     /* for those addresses that are amqps:// */
    double heartbeat;          /* seconds; 0: none */
    double connect_timeout;
    double reconnect_min;
    double reconnect_max;
    double consumer_timeout; /* seconds that the broker lets a message be unacknowledged; 0: for ever */
    struct queue_config *queues;
    size_t queue_count;
    unsigned threads;   /* the most that attempts of RUN_THREAD run in, of all queues together */
    unsigned max_tasks; /* at once, of all kinds; at least config_tasks_reserved */
    uint64_t stack_size;
    const char **processor_path; /* folders, in the order to search them; NULL when the file names none */
    size_t processor_path_count;
    double shutdown_timeout;
    struct listen_address admin_listen;
    struct management_config management;
    const char *state_dir; /* where the ledger is kept; NULL: the file names none */
    double stall_limit;    /* seconds; INFINITY: off */
    enum whippet_log_level log_level;
    enum {
        CONFIG_LOG_AUTO,
        CONFIG_LOG_TEXT,
        CONFIG_LOG_JSON
    } log_format;
    struct config_arena *arena; /* owns everything above */
};

/* Tasks that the worker itself may come to need at once: attempts, and what keeps connections and
 * subscriptions up. What is left of max_tasks is for processors to spawn. */
size_t config_tasks_reserved(const struct config *config);

/* One thing that is wrong. */
struct config_error {
    int line;   /* from 1; 0: no place in the file */
    char *path; /* "queues[1].retry.delay"; "" for the file as a whole */
    char *text; /* "expected a duration such as \"3s\", found true" */
};

struct config_errors {
    struct config_error *items;
    size_t count;
};

/* What is read when no file is named: whippet.json where there is one, else /etc/whippet/whippet.json. */
const char *config_default_file(void);

/* Reads and validates `file`; NULL: config_default_file(). NULL when anything is wrong, with every error
 * there is in `errors`, in the order of their lines. `errors` need not be initialised; config_errors_destroy
 * it in either case. */
struct config *config_load(const char *file, struct config_errors *errors);

/* The same with the errors, NULL only where nothing could be read. For who looks for a key that may be sound:
 * admin.listen, where a worker goes on under what the file said before. What is not sound has its default, or
 * nothing. */
struct config *config_load_faulty(const char *file, struct config_errors *errors);

/* The same as config_load from text; `file` is only a name for messages. */
struct config *config_parse(const char *text, const char *file, struct config_errors *errors);

/* Whoever lets strings of a configuration live on, as subscriptions and their deliveries do over a reload,
 * holds a reference to it. The last config_destroy frees it. One thread only. */
const struct config *config_retain(const struct config *config);
void config_destroy(const struct config *config);

/* For what is found wrong later with the same file: a processor that is unknown, its settings. The line is
 * looked up from the path. */
void config_errors_add(struct config_errors *errors, const struct config *config, const char *path,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));
/* "whippet.json:12: queues[1].retry.delay: expected …", one a line, to the stream, a FILE *. `file` as
 * config_load was given it. */
void config_errors_print(const struct config_errors *errors, const char *file, void *stream);
void config_errors_destroy(struct config_errors *errors);

#endif
