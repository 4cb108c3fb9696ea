/* whippet top: a worker at work, on a terminal; or one look at it, for a file or a program. */
#include "admin_client.h"
#include "commands.h"
#include "exit_codes.h"
#include "options.h"
#include "safe_print.h"
#include "top_page.h"
#include "top_source.h"
#include "top_terminal.h"
#include <base/bytes.h>
#include <config/value.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- One look -------------------------------------------------------------------------------------------*/

static whippet_bytes text_of(const struct buffer *buffer)
{
    return bytes_of(buffer_begin(buffer), buffer_length(buffer));
}

static void print_member(const char *name, const struct buffer *json, const char *behind)
{
    printf("\"%s\":", name);
    if (buffer_length(json) > 0)
        safe_print_document(stdout, text_of(json));
    else
        fputs("null", stdout);
    fputs(behind, stdout);
}

static void print_json(const struct top_answers *answers)
{
    putchar('{');
    print_member("status", &answers->status, ",");
    print_member("ready", &answers->ready, ",");
    print_member("history", &answers->history, "}\n");
}

/* Spaces at the end of a line are of use on a screen only. */
static void print_line(const char *text)
{
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == ' ')
        length--;
    printf("%.*s\n", (int)length, text);
}

static int print_page(const struct top_figures *figures, struct top_view *view)
{
    const struct top_subject subject = {.where = "", .figures = figures};
    struct top_page page = top_page_make(&subject, view);
    bool whole = !page.failed;
    for (size_t i = 0; i < page.count; i++)
        print_line(page.lines[i].text);
    top_page_destroy(&page);
    if (!whole)
        fprintf(stderr, "whippet top: out of memory\n");
    return whole ? EXIT_DONE : EXIT_INTERNAL;
}

static int print_text(const struct top_answers *answers, struct top_view *view)
{
    struct top_figures figures;
    struct top_status *status = top_status_read(text_of(&answers->status), text_of(&answers->ready));
    if (status == NULL) {
        fprintf(stderr, "whippet top: what the worker says is not its status: is it of another version?\n");
        return EXIT_FAILED;
    }
    top_figures_init(&figures);
    top_figures_add(&figures, status);
    top_figures_take_history(&figures, text_of(&answers->history));
    int code = print_page(&figures, view);
    top_figures_destroy(&figures);
    return code;
}

static int look_once(const struct admin_address *address, bool json, struct top_view *view)
{
    struct top_answers answers;
    int code = EXIT_DONE;
    top_answers_init(&answers);
    if (!top_ask(address, json ? TOP_ALL_TASKS : TOP_SLOWEST_TASKS, true, &answers)) {
        fprintf(stderr, "whippet top: %s\n", answers.failure.text);
        code = EXIT_FAILED;
    } else if (json) {
        print_json(&answers);
    } else {
        code = print_text(&answers, view);
    }
    top_answers_destroy(&answers);
    return code;
}

/* --- How the terminal writes ----------------------------------------------------------------------------*/

/* Whether it shows nothing but ASCII. Where the environment does not say, as in a container, it is taken to
 * be one of today; the name says more than whether the locale is installed here, as ssh passes it on. */
static bool is_ascii(void)
{
    static const char *const VARIABLES[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *name = NULL;
    for (size_t i = 0; i < sizeof VARIABLES / sizeof VARIABLES[0] && (name == NULL || *name == '\0'); i++)
        name = getenv(VARIABLES[i]);
    bool named = name != NULL && *name != '\0';
    if (named && strcasestr(name, "utf-8") == NULL && strcasestr(name, "utf8") == NULL)
        return true;
    return setlocale(LC_CTYPE, "C.UTF-8") == NULL;
}

/* --- The command line -----------------------------------------------------------------------------------*/

struct request {
    const char *url, *file;
    bool once, json;
    struct top_view view;
};

static int sort_wrong(const char *word)
{
    const char *nearest = value_nearest_name(word, TOP_SORT_NAMES, TOP_SORT_COUNT, sizeof TOP_SORT_NAMES[0]);
    if (nearest != NULL)
        return usage_error("top", "--sort: there is no \"%s\"; did you mean \"%s\"?", word, nearest);
    return usage_error("top", "--sort: there is no \"%s\"", word);
}

/* 0, or the exit code. */
static int take_sort(const char *word, struct top_view *view)
{
    for (enum top_sort sort = 0; sort < TOP_SORT_COUNT; sort++) {
        if (strcmp(TOP_SORT_NAMES[sort].word, word) == 0) {
            view->sort = sort;
            return 0;
        }
    }
    return sort_wrong(word);
}

/* EXIT_DONE or EXIT_USAGE to end with, or -1 to go on. */
static int read_options(int argc, char **argv, struct request *request)
{
    static const struct option LONG[] = {
        {"admin", required_argument, NULL, 'a'}, {"config", required_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},        {"once", no_argument, NULL, '1'},
        {"sort", required_argument, NULL, 's'},  {0}};
    const struct options options = {.command = argv[0], .short_options = "a:c:j1s:", .long_options = LONG};
    int option;
    while ((option = options_next(&options, argc, argv)) != OPTIONS_END) {
        switch (option) {
        case 'a': request->url = optarg; break;
        case 'c': request->file = optarg; break;
        case 'j': request->json = true; break;
        case '1': request->once = true; break;
        case 's':
            if (take_sort(optarg, &request->view) != 0)
                return EXIT_USAGE;
            break;
        default: return option == OPTIONS_HELP ? EXIT_DONE : EXIT_USAGE;
        }
    }
    return optind < argc ? usage_error_operand(argv[0], argv[optind], "--admin") : -1;
}

int command_top(int argc, char **argv)
{
    struct request request = {.view = {.columns = LINE_ENDLESS}};
    struct admin_address address;
    struct whippet_failure failure;
    int code = read_options(argc, argv, &request);
    if (code >= 0)
        return code;
    if (request.url != NULL && admin_address_parse(request.url, &address, &failure) != 0)
        return usage_error(argv[0], "--admin: %s", failure.text);
    if (request.url == NULL && admin_address_find(request.file, &address, &failure) != 0) {
        fprintf(stderr, "whippet top: %s\n", failure.text);
        return EXIT_CONFIGURATION;
    }
    request.view.ascii = is_ascii();
    if (request.once || request.json || isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0)
        return look_once(&address, request.json, &request.view);
    return top_on_terminal(&address, &request.view);
}
