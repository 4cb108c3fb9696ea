/* whippet healthcheck: one question, for Compose and Kubernetes; no shell is needed. */
#include "admin_client.h"
#include "commands.h"
#include "exit_codes.h"
#include "options.h"
#include <stdbool.h>
#include <stdio.h>

static const double PATIENCE = 2; /* seconds */

static int ask(const struct admin_address *address, bool ready)
{
    struct whippet_failure failure;
    struct buffer body;
    buffer_init(&body);
    int status = admin_get(address, ready ? "/readyz" : "/livez", PATIENCE, &body, &failure);
    if (status == 0)
        fprintf(stderr, "whippet healthcheck: %s\n", failure.text);
    else if (status == 200)
        printf("the worker is %s\n", ready ? "ready" : "alive");
    else
        fprintf(stderr, "whippet healthcheck: the worker is not %s (HTTP status %d): %.*s\n",
                ready ? "ready" : "alive", status, (int)buffer_length(&body),
                (const char *)buffer_begin(&body));
    buffer_destroy(&body);
    return status == 200 ? EXIT_DONE : EXIT_FAILED;
}

int command_healthcheck(int argc, char **argv)
{
    static const struct option LONG[] = {{"admin", required_argument, NULL, 'a'},
                                         {"config", required_argument, NULL, 'c'},
                                         {"ready", no_argument, NULL, 'r'},
                                         {0}};
    const struct options options = {.command = argv[0], .short_options = "a:c:r", .long_options = LONG};
    const char *url = NULL, *file = NULL;
    struct admin_address address;
    struct whippet_failure failure;
    bool ready = false;
    int option;
    while ((option = options_next(&options, argc, argv)) != OPTIONS_END) {
        switch (option) {
        case 'a': url = optarg; break;
        case 'c': file = optarg; break;
        case 'r': ready = true; break;
        default: return option == OPTIONS_HELP ? EXIT_DONE : EXIT_USAGE;
        }
    }
    if (optind < argc)
        return usage_error_operand(argv[0], argv[optind], "--admin");
    if (url != NULL && admin_address_parse(url, &address, &failure) != 0)
        return usage_error(argv[0], "--admin: %s", failure.text);
    if (url == NULL && admin_address_find(file, &address, &failure) != 0) {
        fprintf(stderr, "whippet healthcheck: %s\n", failure.text);
        return EXIT_FAILED;
    }
    return ask(&address, ready);
}
