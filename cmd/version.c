#include "commands.h"
#include "exit_codes.h"
#include "options.h"
#include <stdio.h>
#include <whippet/processor.h>

int command_version(int argc, char **argv)
{
    static const struct option none[] = {{0}};
    static const struct options options = {.command = "version", .short_options = "", .long_options = none};
    int code = options_next(&options, argc, argv);
    if (code != OPTIONS_END)
        return code == OPTIONS_HELP ? EXIT_DONE : EXIT_USAGE;
    printf("whippet %s (%s)\n"
           "processor ABI %u, coroutines by %s\n"
           "built with %s, rabbitmq-c %s, cJSON %s\n",
           WHIPPET_VERSION, WHIPPET_COMMIT, WHIPPET_ABI, WHIPPET_CONTEXT, __VERSION__, RABBITMQ_VERSION,
           CJSON_VERSION);
    return EXIT_DONE;
}
