#include "help.h"
#include "commands.h"
#include "exit_codes.h"
#include "options.h"
#include <config/value.h>
#include <stdio.h>

void help_print(void)
{
    printf("whippet: an asynchronous RabbitMQ consumer service\n"
           "\n"
           "usage: whippet COMMAND [OPTIONS]\n"
           "\n");
    for (size_t i = 0; i < command_count; i++)
        printf("  %-12s%s\n", commands[i].name, commands[i].summary);
    printf("\n"
           "\"whippet help COMMAND\" tells more. Without a command it runs the worker:\n"
           "\n"
           "  whippet check                       is the configuration right?\n"
           "  whippet                             run the worker with ./whippet.json\n"
           "  echo hi | whippet try log -m -      what would a processor do?\n");
}

int command_unknown(const char *name)
{
    const char *nearest = value_nearest_name(name, commands, command_count, sizeof commands[0]);
    if (nearest != NULL)
        fprintf(stderr, "whippet: there is no command \"%s\"; did you mean \"whippet %s\"?\n", name, nearest);
    else
        fprintf(stderr, "whippet: there is no command \"%s\"; \"whippet help\" lists those there are.\n",
                name);
    return EXIT_USAGE;
}

int command_help(int argc, char **argv)
{
    int code = options_none("help", argc, argv);
    if (code != OPTIONS_END)
        return code;
    if (optind == argc) {
        help_print();
        return EXIT_DONE;
    }
    const struct command *command = command_find(argv[optind]);
    if (command == NULL)
        return command_unknown(argv[optind]);
    fputs(command->usage, stdout);
    return EXIT_DONE;
}
