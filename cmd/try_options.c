#include "body.h"
#include "options.h"
#include "try.h"
#include <base/bytes.h>
#include <config/units.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LONGEST_NAME = 255, /* bytes; AMQP writes the length in one */
};

/* Values of the long options that have no short one. */
enum {
    CONTENT_TYPE = 1000,
    MESSAGE_ID,
    CORRELATION_ID,
    REPLY_TO,
    TYPE,
    APP_ID,
    JSON,
    LINES,
};

static const struct option long_options[] = {
    {"settings", required_argument, NULL, 's'},
    {"message", required_argument, NULL, 'm'},
    {"lines", required_argument, NULL, LINES},
    {"run", required_argument, NULL, 'r'},
    {"header", required_argument, NULL, 'H'},
    {"content-type", required_argument, NULL, CONTENT_TYPE},
    {"message-id", required_argument, NULL, MESSAGE_ID},
    {"correlation-id", required_argument, NULL, CORRELATION_ID},
    {"reply-to", required_argument, NULL, REPLY_TO},
    {"type", required_argument, NULL, TYPE},
    {"app-id", required_argument, NULL, APP_ID},
    {"exchange", required_argument, NULL, 'e'},
    {"routing-key", required_argument, NULL, 'k'},
    {"queue", required_argument, NULL, 'q'},
    {"attempt", required_argument, NULL, 'n'},
    {"all-attempts", no_argument, NULL, 'a'},
    {"timeout", required_argument, NULL, 't'},
    {"path", required_argument, NULL, 'p'},
    {"verbose", no_argument, NULL, 'v'},
    {"json", no_argument, NULL, JSON},
    {0},
};

static const struct options options = {"try", "s:m:r:H:e:k:q:n:at:p:v", long_options};

/* Each of these is false after it has explained what is wrong. */

static bool read_header(struct try_request *request, char *text)
{
    const char *name, *value;
    if (!header_split(text, &name, &value))
        return false;
    if (table_add_text(&request->headers, bytes_of_text(name), bytes_of_text(value)))
        return true;
    usage_error(options.command, "--header: out of memory");
    return false;
}

static bool read_attempt(struct try_request *request, const char *text)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || number < 1 || number > TRY_ATTEMPTS) {
        usage_error(options.command, "--attempt: expected a number from 1 to %d, found \"%.100s\"",
                    TRY_ATTEMPTS, text);
        return false;
    }
    request->attempt = (unsigned)number;
    return true;
}

static bool read_timeout(struct try_request *request, const char *text)
{
    if (duration_parse(text, &request->timeout) && request->timeout > 0)
        return true;
    usage_error(options.command, "--timeout: expected a duration such as \"30s\", found \"%.100s\"", text);
    return false;
}

static bool read_folder(struct try_request *request, const char *text)
{
    if (folders_add(&request->folders, text))
        return true;
    usage_error(options.command, "--path is given more than %d times", FOLDERS_MOST);
    return false;
}

static bool read_body(struct try_request *request, const char *text)
{
    if (request->body_count < TRY_BODIES_MOST) {
        request->bodies[request->body_count++] = text;
        return true;
    }
    usage_error(options.command, "--message is given more than %d times; --lines takes any number of them",
                TRY_BODIES_MOST);
    return false;
}

static bool read_run(struct try_request *request, const char *text)
{
    request->run = text;
    if (strcmp(text, "loop") == 0 || strcmp(text, "thread") == 0 || strcmp(text, "process") == 0)
        return true;
    usage_error(options.command, "--run: expected \"loop\", \"thread\" or \"process\", found \"%.100s\"",
                text);
    return false;
}

/* The member that a property's option sets; NULL for other options. */
static whippet_bytes *property_of(struct properties_draft *properties, int code)
{
    switch (code) {
    case CONTENT_TYPE: return &properties->content_type;
    case MESSAGE_ID: return &properties->message_id;
    case CORRELATION_ID: return &properties->correlation_id;
    case REPLY_TO: return &properties->reply_to;
    case TYPE: return &properties->type;
    case APP_ID: return &properties->app_id;
    default: return NULL;
    }
}

static const char **text_of(struct try_request *request, int code)
{
    switch (code) {
    case 's': return &request->settings;
    case LINES: return &request->lines;
    case 'e': return &request->exchange;
    case 'k': return &request->routing_key;
    default: return &request->queue;
    }
}

static bool read_property(whippet_bytes *property, const char *text)
{
    *property = bytes_of_text(text);
    if (property->len <= LONGEST_NAME)
        return true;
    usage_error(options.command, "a property has %zu bytes; AMQP allows 255", property->len);
    return false;
}

static bool read_option(struct try_request *request, int code)
{
    whippet_bytes *property = property_of(&request->properties, code);
    if (property != NULL)
        return read_property(property, optarg);
    switch (code) {
    case 'm': return read_body(request, optarg);
    case 'r': return read_run(request, optarg);
    case 'H': return read_header(request, optarg);
    case 'n': return read_attempt(request, optarg);
    case 't': return read_timeout(request, optarg);
    case 'p': return read_folder(request, optarg);
    case 'a': request->all_attempts = true; return true;
    case 'v': request->verbose = true; return true;
    case JSON: request->json = true; return true;
    default: *text_of(request, code) = optarg; return true;
    }
}

static bool read_operands(struct try_request *request, int argc, char **argv)
{
    if (optind == argc) {
        usage_error(options.command, "which processor? \"whippet processors\" lists those there are");
        return false;
    }
    if (optind + 1 < argc) {
        usage_error(options.command, "one processor is enough, found \"%.100s\" as well", argv[optind + 1]);
        return false;
    }
    request->processor = argv[optind];
    return true;
}

static bool check_names(const struct try_request *request)
{
    const char *const names[] = {request->exchange, request->routing_key, request->queue};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t length = bytes_of_text(names[i]).len;
        if (length > LONGEST_NAME) {
            usage_error(options.command, "a name has %zu bytes; AMQP allows 255", length);
            return false;
        }
    }
    return true;
}

int try_request_read(struct try_request *request, int argc, char **argv)
{
    *request = (struct try_request){
        .settings = "{}",
        .queue = "try",
        .exchange = "",
        .routing_key = "try",
        .attempt = 1,
        .timeout = 300,
        .properties.delivery_mode = DELIVERY_MODE_PERSISTENT,
    };
    buffer_init(&request->headers);
    int code;
    while ((code = options_next(&options, argc, argv)) != OPTIONS_END) {
        if (code == OPTIONS_HELP || code == OPTIONS_WRONG)
            return code;
        if (!read_option(request, code))
            return OPTIONS_WRONG;
    }
    if (!read_operands(request, argc, argv) || !check_names(request))
        return OPTIONS_WRONG;
    folders_complete(&request->folders);
    return OPTIONS_END;
}

void try_request_destroy(struct try_request *request)
{
    buffer_destroy(&request->headers);
}
