/* whippet healthcheck: one question, for Compose and Kubernetes; no shell is needed. */
#include "admin_client.h"
#include "commands.h"
#include "exit_codes.h"
#include "options.h"
#include <stdbool.h>
#include <stdio.h>

static const double PATIENCE = 2; /* seconds */

struct question {
    const char *url;      /* NULL: what the configuration says */
    const char *file;     /* NULL: the usual one */
    const char *fallback; /* where to ask when nobody is to be found there; NULL: nowhere */
    bool ready;
};

/* The HTTP status; 0 with the failure, UNAVAILABLE or INVALID where nobody was found to ask. */
static int ask(const struct admin_address *address, const struct question *question, struct buffer *body,
               struct whippet_failure *failure)
{
    return admin_get(address, question->ready ? "/readyz" : "/livez", PATIENCE, body, failure);
}

/* The file may have been edited since the worker has read it. */
static int ask_as_configured(const struct question *question, struct buffer *body,
                             struct whippet_failure *failure)
{
    struct admin_address address;
    int status = 0;
    int error = question->url != NULL ? admin_address_parse(question->url, &address, failure)
                                      : admin_address_find(question->file, &address, failure);
    if (error == 0)
        status = ask(&address, question, body, failure);
    if (status != 0 || question->fallback == NULL || failure->error == WHIPPET_E_TIMEOUT)
        return status;
    fprintf(stderr, "whippet healthcheck: %s; asking %s\n", failure->text, question->fallback);
    if (admin_address_parse(question->fallback, &address, failure) != 0)
        return 0;
    return ask(&address, question, body, failure);
}

static int answer(const struct question *question)
{
    struct whippet_failure failure;
    struct buffer body;
    buffer_init(&body);
    int status = ask_as_configured(question, &body, &failure);
    if (status == 0)
        fprintf(stderr, "whippet healthcheck: %s\n", failure.text);
    else if (status == 200)
        printf("the worker is %s\n", question->ready ? "ready" : "alive");
    else
        fprintf(stderr, "whippet healthcheck: the worker is not %s (HTTP status %d): %.*s\n",
                question->ready ? "ready" : "alive", status, (int)buffer_length(&body),
                (const char *)buffer_begin(&body));
    buffer_destroy(&body);
    return status == 200 ? EXIT_DONE : EXIT_FAILED;
}

static bool is_url(const char *command, const char *option, const char *url)
{
    struct whippet_failure failure;
    struct admin_address address;
    if (url == NULL || admin_address_parse(url, &address, &failure) == 0)
        return true;
    usage_error(command, "%s: %s", option, failure.text);
    return false;
}

int command_healthcheck(int argc, char **argv)
{
    static const struct option LONG[] = {{"admin", required_argument, NULL, 'a'},
                                         {"config", required_argument, NULL, 'c'},
                                         {"fallback", required_argument, NULL, 'f'},
                                         {"ready", no_argument, NULL, 'r'},
                                         {0}};
    const struct options options = {.command = argv[0], .short_options = "a:c:f:r", .long_options = LONG};
    struct question question = {0};
    int option;
    while ((option = options_next(&options, argc, argv)) != OPTIONS_END) {
        switch (option) {
        case 'a': question.url = optarg; break;
        case 'c': question.file = optarg; break;
        case 'f': question.fallback = optarg; break;
        case 'r': question.ready = true; break;
        default: return option == OPTIONS_HELP ? EXIT_DONE : EXIT_USAGE;
        }
    }
    if (optind < argc)
        return usage_error_operand(argv[0], argv[optind], "--admin");
    if (!is_url(argv[0], "--admin", question.url) || !is_url(argv[0], "--fallback", question.fallback))
        return EXIT_USAGE;
    return answer(&question);
}
