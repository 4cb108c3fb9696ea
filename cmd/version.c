#include "commands.h"
#include "exit_codes.h"
#include "options.h"
#include <stdio.h>
#include <whippet/processor.h>

int command_version(int argc, char **argv)
{
    int code = options_none("version", argc, argv);
    if (code != OPTIONS_END)
        return code;
    if (optind < argc)
        return usage_error_operand("version", argv[optind], NULL);
    printf("whippet %s (%s)\n"
           "processor ABI %u, coroutines by %s\n"
           "built with %s, rabbitmq-c %s, cJSON %s\n",
           WHIPPET_VERSION, WHIPPET_COMMIT, WHIPPET_ABI, WHIPPET_CONTEXT, WHIPPET_COMPILER, RABBITMQ_VERSION,
           CJSON_VERSION);
    return EXIT_DONE;
}
