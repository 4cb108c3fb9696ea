#include "options.h"
#include "commands.h"
#include "exit_codes.h"
#include <config/value.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int usage_error(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "whippet %s: ", command);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nSee \"whippet help %s\".\n", command);
    va_end(arguments);
    return EXIT_USAGE;
}

int usage_error_operand(const char *command, const char *operand, const char *option)
{
    if (option == NULL)
        return usage_error(command, "it takes no \"%s\"", operand);
    return usage_error(command, "it takes options alone, and no \"%s\"; did you mean %s %s?", operand, option,
                       operand);
}

static size_t count_options(const struct option *options)
{
    size_t count = 0;
    while (options[count].name != NULL)
        count++;
    return count;
}

static void complain_unknown_long(const struct options *options, const char *word)
{
    char name[64];
    const struct option *known = options->long_options;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    const char *nearest = value_nearest_name(name, known, count_options(known), sizeof *known);
    if (nearest != NULL)
        usage_error(options->command, "there is no option --%s; did you mean --%s?", name, nearest);
    else
        usage_error(options->command, "there is no option --%s", name);
}

/* NULL when there is none with that value. */
static const struct option *find_option(const struct option *options, int value)
{
    for (; options->name != NULL; options++) {
        if (options->val == value)
            return options;
    }
    return NULL;
}

/* `code` is what getopt_long said of the option with the value `value` (0: a long one that is unknown),
 * `word` the word it read last. */
static void complain(const struct options *options, int code, int value, const char *word)
{
    const struct option *known = find_option(options->long_options, value);
    if (value == 0)
        complain_unknown_long(options, word);
    else if (known == NULL)
        usage_error(options->command, "there is no option -%c", value);
    else
        usage_error(options->command, "the option --%s %s", known->name,
                    code == ':' ? "needs a value" : "takes no value");
}

int options_next(const struct options *options, int argc, char **argv)
{
    struct option all[OPTIONS_MOST + 2] = {{"help", no_argument, NULL, 'h'}};
    char short_options[3 * OPTIONS_MOST + 8];
    size_t count = count_options(options->long_options);
    memcpy(all + 1, options->long_options, count * sizeof all[0]);
    /* The colon in front tells a value that is missing from an option that is unknown. */
    snprintf(short_options, sizeof short_options, ":h%s", options->short_options);
    opterr = 0;
    int code = getopt_long(argc, argv, short_options, all, NULL);
    if (code == 'h') {
        fputs(command_find(options->command)->usage, stdout);
        return OPTIONS_HELP;
    }
    if (code != '?' && code != ':')
        return code == -1 ? OPTIONS_END : code;
    complain(options, code, optopt, argv[optind - 1]);
    return OPTIONS_WRONG;
}

int options_none(const char *command, int argc, char **argv)
{
    static const struct option none[] = {{0}};
    const struct options options = {.command = command, .short_options = "", .long_options = none};
    int code = options_next(&options, argc, argv);
    if (code == OPTIONS_HELP)
        return EXIT_DONE;
    return code == OPTIONS_END ? OPTIONS_END : EXIT_USAGE;
}
