#include "commands.h"
#include "exit_codes.h"
#include "folders.h"
#include "options.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <worker/plugin.h>

/* --- The list -------------------------------------------------------------------------------------------*/

static int wider(int width, const char *text)
{
    int length = text != NULL ? (int)strlen(text) : 0;
    return length > width ? length : width;
}

static const char *or_none(const char *text)
{
    return text != NULL ? text : "-";
}

static void print_list(const struct plugin_listing *listings, size_t count)
{
    int name_width = (int)strlen("NAME"), version_width = (int)strlen("VERSION"),
        summary_width = (int)strlen("SUMMARY");
    for (size_t i = 0; i < count; i++) {
        if (listings[i].plugin == NULL)
            continue;
        const whippet_processor *descriptor = &listings[i].plugin->descriptor;
        name_width = wider(name_width, descriptor->name);
        version_width = wider(version_width, descriptor->version);
        summary_width = wider(summary_width, descriptor->summary);
    }
    printf("%-*s  %-*s  %-*s  FILE\n", name_width, "NAME", version_width, "VERSION", summary_width,
           "SUMMARY");
    for (size_t i = 0; i < count; i++) {
        if (listings[i].plugin == NULL)
            continue;
        const whippet_processor *descriptor = &listings[i].plugin->descriptor;
        printf("%-*s  %-*s  %-*s  %s\n", name_width, descriptor->name, version_width,
               or_none(descriptor->version), summary_width, or_none(descriptor->summary), listings[i].file);
    }
}

/* How many there are. */
static size_t print_failures(const struct plugin_listing *listings, size_t count)
{
    size_t failures = 0;
    for (size_t i = 0; i < count; i++) {
        if (listings[i].plugin != NULL)
            continue;
        fprintf(stderr, "whippet processors: %s\n", listings[i].failure.text);
        failures++;
    }
    return failures;
}

static int list_all(const struct folders *folders)
{
    struct plugin_listing *listings;
    size_t count = plugin_list(folders->paths, folders->count, &listings);
    size_t failures = print_failures(listings, count);
    if (failures < count)
        print_list(listings, count);
    plugin_list_destroy(listings, count);
    if (count > 0)
        return failures == 0 ? EXIT_DONE : EXIT_FAILED;
    fprintf(stderr, "whippet processors: none found. Looked in:");
    for (size_t i = 0; i < folders->count; i++)
        fprintf(stderr, " %s", folders->paths[i]);
    fprintf(stderr, "\n");
    return EXIT_FAILED;
}

/* --- One of them ----------------------------------------------------------------------------------------*/

static const char *type_name(enum whippet_option_type type)
{
    switch (type) {
    case WHIPPET_OPTION_STRING: return "string";
    case WHIPPET_OPTION_INTEGER: return "whole number";
    case WHIPPET_OPTION_NUMBER: return "number";
    case WHIPPET_OPTION_BOOLEAN: return "true or false";
    case WHIPPET_OPTION_DURATION: return "duration";
    case WHIPPET_OPTION_SIZE: return "size";
    case WHIPPET_OPTION_STRINGS: return "list of strings";
    case WHIPPET_OPTION_MAP: return "map of strings";
    }
    return "unknown";
}

static const char *default_text(const whippet_option *option)
{
    if (option->default_value != NULL)
        return option->default_value;
    return option->required ? "required" : "-";
}

static void print_options(const whippet_option *options)
{
    int name_width = (int)strlen("OPTION"), type_width = (int)strlen("TYPE"),
        default_width = (int)strlen("DEFAULT");
    for (const whippet_option *option = options; option->name != NULL; option++) {
        name_width = wider(name_width, option->name);
        type_width = wider(type_width, type_name(option->type));
        default_width = wider(default_width, default_text(option));
    }
    printf("\n%-*s  %-*s  %-*s  HELP\n", name_width, "OPTION", type_width, "TYPE", default_width, "DEFAULT");
    for (const whippet_option *option = options; option->name != NULL; option++)
        printf("%-*s  %-*s  %-*s  %s\n", name_width, option->name, type_width, type_name(option->type),
               default_width, default_text(option), option->help != NULL ? option->help : "");
}

static int describe(const char *name, const struct folders *folders)
{
    struct whippet_failure failure;
    struct plugin *plugin = plugin_load(name, folders->paths, folders->count, &failure);
    if (plugin == NULL) {
        fprintf(stderr, "whippet processors: %s\n", failure.text);
        return EXIT_FAILED;
    }
    const whippet_processor *descriptor = &plugin->descriptor;
    printf("%s %s: %s\n", descriptor->name, or_none(descriptor->version), or_none(descriptor->summary));
    printf("from %s\n", plugin->path);
    if (descriptor->options != NULL && descriptor->options[0].name != NULL)
        print_options(descriptor->options);
    else
        printf("It has no options.\n");
    plugin_unload(plugin);
    return EXIT_DONE;
}

int command_processors(int argc, char **argv)
{
    static const struct option long_options[] = {{"path", required_argument, NULL, 'p'}, {0}};
    static const struct options options = {"processors", "p:", long_options};
    struct folders folders = {0};
    int code;
    while ((code = options_next(&options, argc, argv)) != OPTIONS_END) {
        if (code != 'p')
            return code == OPTIONS_HELP ? EXIT_DONE : EXIT_USAGE;
        if (!folders_add(&folders, optarg))
            return usage_error(options.command, "--path is given more than %d times", FOLDERS_MOST);
    }
    if (argc - optind > 1)
        return usage_error(options.command, "one name is enough, found \"%s\" as well", argv[optind + 1]);
    folders_complete(&folders);
    return optind < argc ? describe(argv[optind], &folders) : list_all(&folders);
}
