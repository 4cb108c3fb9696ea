#include "configuration.h"
#include "exit_codes.h"
#include "options.h"
#include <base/log.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LOOK_AGAIN_SECONDS = 5
};

int configuration_option(int argc, char **argv, const char **file)
{
    static const struct option LONG[] = {{"config", required_argument, NULL, 'c'}, {0}};
    const struct options options = {.command = argv[0], .short_options = "c:", .long_options = LONG};
    int option;
    *file = NULL;
    while ((option = options_next(&options, argc, argv)) == 'c')
        *file = optarg;
    if (option == OPTIONS_HELP)
        return EXIT_DONE;
    if (option == OPTIONS_WRONG)
        return EXIT_USAGE;
    if (optind < argc)
        return usage_error_operand(argv[0], argv[optind], "--config");
    return OPTIONS_END;
}

/* All of them as one text, to be freed; NULL when memory is short. */
static char *errors_text(const struct config_errors *errors, const char *file)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        return NULL;
    config_errors_print(errors, file, stream);
    fclose(stream);
    return text;
}

void configuration_report(struct config_errors *errors, const char *file)
{
    static char *reported;
    char *text = errors_text(errors, file);
    if (text == NULL)
        config_errors_print(errors, file, stderr);
    else if (reported == NULL || strcmp(text, reported) != 0)
        fputs(text, stderr);
    free(reported);
    reported = text;
    config_errors_destroy(errors);
}

static sigset_t awaited_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    return signals;
}

void configuration_release_signals(void)
{
    sigset_t signals = awaited_signals();
    sigprocmask(SIG_UNBLOCK, &signals, NULL);
}

bool configuration_await_change(void)
{
    static bool said;
    if (!said)
        fprintf(stderr,
                "whippet run: waiting until that is mended; looking again every %d s, and at SIGHUP\n",
                LOOK_AGAIN_SECONDS);
    said = true;
    const struct timespec pause = {.tv_sec = LOOK_AGAIN_SECONDS};
    sigset_t signals = awaited_signals();
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int number = sigtimedwait(&signals, NULL, &pause);
    return number != SIGTERM && number != SIGINT;
}

void configuration_log_errors(const struct config_errors *errors, const char *file)
{
    char *rest = NULL, *text = errors_text(errors, file);
    if (text == NULL) {
        log_event(WHIPPET_ERROR, NULL, "out of memory for %zu errors of the configuration", errors->count);
        return;
    }
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        log_event(WHIPPET_ERROR, NULL, "%s", line);
    free(text);
}

struct config *configuration_load(const char *file)
{
    struct config_errors errors = {0};
    struct config *config = config_load(file, &errors);
    if (config == NULL)
        configuration_report(&errors, file);
    return config;
}

void configuration_apply_log(const struct config *config)
{
    bool text = config->log_format == CONFIG_LOG_TEXT ||
                (config->log_format == CONFIG_LOG_AUTO && isatty(STDERR_FILENO) == 1);
    log_configure(STDERR_FILENO, config->log_level, text ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON);
}
