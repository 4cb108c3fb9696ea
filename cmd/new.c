/* `whippet new`: a processor's folder that builds, tests and runs as it is. */
#include "new.h"
#include "commands.h"
#include "exit_codes.h"
#include "options.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* --- The name -------------------------------------------------------------------------------------------*/

enum {
    LONGEST_NAME = 64,
    PATH_SIZE = 4096,
};

/* What C, CMake or this folder has taken already. */
static const char *const TAKEN[] = {
    "auto",   "break",    "case",     "char",     "const",   "continue", "default", "do",     "double",
    "else",   "enum",     "extern",   "float",    "for",     "goto",     "if",      "inline", "int",
    "long",   "register", "restrict", "return",   "short",   "signed",   "sizeof",  "static", "struct",
    "switch", "typedef",  "union",    "unsigned", "void",    "volatile", "while",   "all",    "clean",
    "help",   "install",  "package",  "test",     "whippet",
};

static bool is_taken(const char *name)
{
    for (size_t i = 0; i < sizeof TAKEN / sizeof TAKEN[0]; i++) {
        if (strcmp(TAKEN[i], name) == 0)
            return true;
    }
    return false;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_identifier(const char *name)
{
    if (!is_letter(*name))
        return false;
    while (is_letter(*name) || (*name >= '0' && *name <= '9'))
        name++;
    return *name == '\0';
}

/* False after it has said what is wrong. */
static bool check_name(const char *name)
{
    if (!is_identifier(name))
        usage_error(
            "new",
            "\"%.100s\" is no name for a processor: it takes letters, digits and underscores, and begins "
            "with no digit%s",
            name, strchr(name, '/') != NULL ? "; the folder comes second: whippet new NAME DIR" : "");
    else if (strlen(name) > LONGEST_NAME)
        usage_error("new", "the name has %zu letters; %d are enough", strlen(name), LONGEST_NAME);
    else if (is_taken(name))
        usage_error("new", "\"%s\" means something to C or CMake already; choose another name", name);
    else
        return true;
    return false;
}

/* --- Writing --------------------------------------------------------------------------------------------*/

static const char PLACE[] = "@NAME@";

/* Writes the text with the name in its place; `path` may hold it too. */
static bool write_template(const struct template *template, const char *folder, const char *name)
{
    char path[PATH_SIZE];
    int length = snprintf(path, sizeof path, "%s/%s%s%s", folder, template->before,
                          template->named ? name : "", template->after);
    FILE *file = length < (int)sizeof path ? fopen(path, "wxe") : NULL;
    bool written = file != NULL;
    const char *text = template->text;
    for (const char *place; written && (place = strstr(text, PLACE)) != NULL; text = place + strlen(PLACE))
        written = fprintf(file, "%.*s%s", (int)(place - text), text, name) >= 0;
    written = written && fputs(text, file) >= 0;
    if (file != NULL && fclose(file) != 0)
        written = false;
    if (!written)
        fprintf(stderr, "whippet new: can't write %s: %s\n", path, strerror(errno));
    return written;
}

static bool make_folder(const char *path)
{
    if (mkdir(path, 0777) == 0)
        return true;
    if (errno == EEXIST)
        fprintf(stderr,
                "whippet new: %s exists already, and is left as it is; name another folder: whippet new NAME "
                "DIR\n",
                path);
    else
        fprintf(stderr, "whippet new: can't make the folder %s: %s\n", path, strerror(errno));
    return false;
}

static bool write_folder(const char *folder, const char *name)
{
    char tests[PATH_SIZE];
    if (snprintf(tests, sizeof tests, "%s/tests", folder) >= (int)sizeof tests) {
        fprintf(stderr, "whippet new: the path of the folder is too long\n");
        return false;
    }
    if (!make_folder(folder) || !make_folder(tests))
        return false;
    for (size_t i = 0; i < template_count; i++) {
        if (!write_template(&templates[i], folder, name))
            return false;
    }
    return true;
}

static void tell_next(const char *folder, const char *name)
{
    printf("%s is ready: %s/%s.c, its tests, and what builds and ships them.\n"
           "\n"
           "  cd %s\n"
           "  cmake -B build && cmake --build build && ctest --test-dir build\n"
           "  echo '{\"name\": \"Ada\"}' | whippet try %s --message -\n"
           "\n"
           "README.md goes on from there.\n",
           name, folder, name, folder, name);
}

int command_new(int argc, char **argv)
{
    int code = options_none("new", argc, argv);
    if (code != OPTIONS_END)
        return code;
    if (optind == argc)
        return usage_error("new", "which name is the processor to have?");
    if (optind + 2 < argc)
        return usage_error("new", "a name and a folder are enough, found \"%.100s\" as well",
                           argv[optind + 2]);
    const char *name = argv[optind], *folder = optind + 1 < argc ? argv[optind + 1] : name;
    if (!check_name(name))
        return EXIT_USAGE;
    if (*folder == '\0')
        return usage_error("new", "the folder has no name");
    if (!write_folder(folder, name))
        return EXIT_FAILED;
    tell_next(folder, name);
    return EXIT_DONE;
}
