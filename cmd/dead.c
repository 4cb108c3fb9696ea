/* whippet dead: the command line of its verbs. */
#include "dead.h"
#include "commands.h"
#include "configuration.h"
#include "exit_codes.h"
#include "options.h"
#include "url_argument.h"
#include <base/secret.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum verb_number {
    LIST = 1,
    SHOW = 2,
    REPLAY = 4,
    PURGE = 8,
};

static const struct verb {
    const char *name;
    const char *command;
    enum verb_number number;
    int (*function)(const struct dead_request *request);
} VERBS[] = {
    {"list", "dead list", LIST, dead_list},
    {"show", "dead show", SHOW, dead_show},
    {"replay", "dead replay", REPLAY, dead_replay},
    {"purge", "dead purge", PURGE, dead_purge},
};

enum {
    VERB_COUNT = sizeof VERBS / sizeof VERBS[0],
    BYTES_MAX = 1 << 30,
};

enum long_option {
    OPTION_REASON = 256,
    OPTION_MATCH,
    OPTION_TO,
    OPTION_EXCHANGE,
    OPTION_DRY_RUN,
    OPTION_BYTES,
    OPTION_MANAGEMENT,
    OPTION_PASSWORD_FILE,
    OPTION_CA,
    OPTION_CERT,
    OPTION_KEY,
};

static const struct option LONG_OPTIONS[] = {
    {"limit", required_argument, NULL, 'n'},
    {"reason", required_argument, NULL, OPTION_REASON},
    {"match", required_argument, NULL, OPTION_MATCH},
    {"to", required_argument, NULL, OPTION_TO},
    {"exchange", no_argument, NULL, OPTION_EXCHANGE},
    {"rate", required_argument, NULL, 'r'},
    {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
    {"bytes", required_argument, NULL, OPTION_BYTES},
    {"json", no_argument, NULL, 'j'},
    {"yes", no_argument, NULL, 'y'},
    {"quiet", no_argument, NULL, 'q'},
    {"management", required_argument, NULL, OPTION_MANAGEMENT},
    {"url", required_argument, NULL, 'u'},
    {"password-file", required_argument, NULL, OPTION_PASSWORD_FILE},
    {"ca", required_argument, NULL, OPTION_CA},
    {"cert", required_argument, NULL, OPTION_CERT},
    {"key", required_argument, NULL, OPTION_KEY},
    {"config", required_argument, NULL, 'c'},
    {0},
};

/* Which verbs take an option, of those that not all take: one that a verb would ignore is a mistake. */
static const struct option_use {
    int option;
    const char *name;
    unsigned verbs;
} USES[] = {

    {OPTION_TO, "--to", REPLAY},
    {OPTION_EXCHANGE, "--exchange", REPLAY},
    {'r', "--rate", REPLAY},
    {OPTION_DRY_RUN, "--dry-run", REPLAY | PURGE},
    {OPTION_BYTES, "--bytes", SHOW},
    {'j', "--json", LIST | SHOW},
    {'y', "--yes", PURGE},

    {OPTION_MANAGEMENT, "--management", LIST},
};

enum {
    USE_COUNT = sizeof USES / sizeof USES[0]
};

/* --- What the verbs have in common ----------------------------------------------------------------------*/

int dead_report_failure(const struct dead_request *request, const struct dead_pass *pass)
{
    fprintf(stderr, "whippet %s: %s\n", request->command, pass->failure.text);
    if (strcmp(request->verb, "replay") == 0 && pass->matched > 0 && !request->dry_run)
        fprintf(
            stderr,
            "What was replayed stays replayed: run it again for the rest. Of those that were under way, at "
            "most %d may come twice.\n",
            (int)DEAD_HANDS_MAX);
    else if (strcmp(request->verb, "purge") == 0 && pass->done > 0)
        fprintf(stderr, "What was deleted is gone: run it again for the rest.\n");
    return EXIT_FAILED;
}

void dead_report_unmatched(const struct dead_request *request, const struct dead_pass *pass)
{
    bool filtered = request->filter.reason != NULL || request->filter.match != NULL;
    if (filtered && pass->matched == 0 && pass->met > 0 && !request->quiet)
        fprintf(stderr, "whippet %s: none of the %" PRIu64 " messages that were looked at matches\n",
                request->command, pass->met);
}

void dead_report_moved(const struct dead_request *request, const struct dead_pass *pass)
{
    if (pass->moved > 0 && !request->quiet)
        fprintf(stderr, "whippet %s: %" PRIu64 " that stay were put back at the end of \"%s\", as copies\n",
                request->command, pass->moved, pass->queue);
}

/* --- The command line -----------------------------------------------------------------------------------*/

static bool parse_number(const char *option, const char *text, double least, double most, double *number)
{
    char *end;
    *number = strtod(text, &end);
    if (end != text && *end == '\0' && *number >= least && *number <= most)
        return true;
    usage_error("dead", "%s %s: expected a number from %.15g to %.15g", option, text, least, most);
    return false;
}

static bool parse_whole(const char *option, const char *text, double most, uint64_t *whole)
{
    double number;
    if (!parse_number(option, text, 1, most, &number))
        return false;
    *whole = (uint64_t)number;
    if ((double)*whole == number)
        return true;
    usage_error("dead", "%s %s: expected a whole number", option, text);
    return false;
}

/* An empty one, as of a variable that is not set, would let through what nobody meant. */
static bool parse_text(const char *option, const char *text, const char **value)
{
    *value = text;
    if (text[0] != '\0')
        return true;
    usage_error("dead", "%s: expected a text; leave it out, if it is to be of no account", option);
    return false;
}

/* False after it said what is wrong. */
static bool parse_option(struct dead_request *request, int option, char *argument)
{
    switch (option) {
    case 'n': return parse_whole("--limit", argument, 1e12, &request->limit);
    case OPTION_BYTES: return parse_whole("--bytes", argument, BYTES_MAX, &request->bytes);
    case 'r': return parse_number("--rate", argument, 0.001, 1e9, &request->rate);
    case OPTION_REASON: return parse_text("--reason", argument, &request->filter.reason);
    case OPTION_MATCH: return parse_text("--match", argument, &request->filter.match);
    case OPTION_TO: return parse_text("--to", argument, &request->to);
    case OPTION_EXCHANGE: request->by_exchange = true; return true;
    case OPTION_DRY_RUN: request->dry_run = true; return true;
    case 'j': request->json = true; return true;
    case 'y': request->yes = true; return true;
    case 'q': request->quiet = true; return true;
    case OPTION_MANAGEMENT: return url_argument_take(&request->management, argument);
    case 'u': return broker_request_take_url(&request->broker, argument);
    case 'c': request->broker.config = argument; return true;
    case OPTION_PASSWORD_FILE: request->broker.password_file = argument; return true;
    case OPTION_CA: request->broker.ca = argument; return true;
    case OPTION_CERT: request->broker.cert = argument; return true;
    case OPTION_KEY: request->broker.key = argument; return true;
    default: return false;
    }
}

/* NULL after it said what is wrong. */
static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (name != NULL && strcmp(VERBS[i].name, name) == 0)
            return &VERBS[i];
    if (name == NULL)
        usage_error("dead", "what to do? list, show, replay or purge");
    else
        usage_error("dead", "there is no \"%s\"; it knows list, show, replay and purge", name);
    return NULL;
}

/* The options given, as a set of indices into USES. */
static bool uses_are_right(const struct verb *verb, unsigned given)
{
    for (unsigned i = 0; i < USE_COUNT; i++) {
        if ((given & 1u << i) == 0 || (USES[i].verbs & verb->number) != 0)
            continue;
        usage_error("dead", "%s does not go with %s", USES[i].name, verb->name);
        return false;
    }
    return true;
}

static bool operands_are_right(const struct dead_request *request)
{
    for (size_t i = 0; i < request->queue_count; i++) {
        if (request->queues[i][0] != '\0' && strlen(request->queues[i]) <= 255)
            continue;
        usage_error("dead", "a queue's name has 1 to 255 bytes");
        return false;
    }
    if (strcmp(request->verb, "list") != 0 && request->queue_count != 1) {
        usage_error("dead", request->queue_count == 0 ? "%s of which QUEUE?" : "%s takes one QUEUE at a time",
                    request->verb);
        return false;
    }
    if (request->to != NULL && request->by_exchange) {
        usage_error("dead", "--to and --exchange exclude each other");
        return false;
    }
    return true;
}

/* Without a queue's name the configuration has to tell which there are, and where unless --url does. */
static int load_configuration(struct dead_request *request, struct config **config)
{
    struct broker_request *broker = &request->broker;
    if (request->queue_count > 0 || request->management != NULL)
        return EXIT_DONE;
    *config = configuration_load(broker->config);
    if (*config == NULL)
        return EXIT_CONFIGURATION;
    request->config = *config;
    if (broker->url == NULL && broker->config == NULL) {
        broker->config = config_default_file();
        broker->config_is_default = true;
    }
    return EXIT_DONE;
}

static int run(const struct verb *verb, struct dead_request *request)
{
    struct config *config = NULL;
    struct broker broker;
    int code = load_configuration(request, &config);
    if (code == EXIT_DONE)
        code = broker_find(verb->command, &request->broker, &broker);
    if (code == EXIT_DONE) {
        request->brokers = broker.brokers;
        code = verb->function(request);
        broker_destroy(&broker);
    }
    config_destroy(config);
    return code;
}

/* OPTIONS_END with all of them taken, and noted in `*given`; or the exit code to end with. */
static int take_options(struct dead_request *request, unsigned *given, int argc, char **argv)
{
    const struct options options = {
        .command = argv[0], .short_options = "n:r:jyqu:c:", .long_options = LONG_OPTIONS};
    int option;
    while ((option = options_next(&options, argc, argv)) != OPTIONS_END) {
        if (option == OPTIONS_HELP)
            return EXIT_DONE;
        if (option == OPTIONS_WRONG || !parse_option(request, option, optarg))
            return EXIT_USAGE;
        for (unsigned i = 0; i < USE_COUNT; i++)
            *given |= USES[i].option == option ? 1u << i : 0;
    }
    return OPTIONS_END;
}

static int run_verb(struct dead_request *request, unsigned given, int argc, char **argv)
{
    const struct verb *verb = find_verb(argv[optind]);
    if (verb == NULL || !uses_are_right(verb, given))
        return EXIT_USAGE;
    request->verb = verb->name;
    request->command = verb->command;
    request->queues = argv + optind + 1;
    request->queue_count = (size_t)(argc - optind - 1);
    return operands_are_right(request) ? run(verb, request) : EXIT_USAGE;
}

int command_dead(int argc, char **argv)
{
    struct dead_request request = {0};
    unsigned given = 0;
    int code = take_options(&request, &given, argc, argv);
    if (code == OPTIONS_END)
        code = run_verb(&request, given, argc, argv);
    broker_request_destroy(&request.broker);
    secret_destroy(request.management);
    return code;
}
