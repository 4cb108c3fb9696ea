#include "try.h"
#include "commands.h"
#include "exit_codes.h"
#include "options.h"
#include <base/log.h>
#include <base/memory.h>
#include <unistd.h>

static int try_it(const struct try_request *request)
{
    struct message **messages;
    int code = EXIT_CONFIGURATION;
    struct config *config = try_config_make(request);
    if (config == NULL)
        return code;
    size_t count = try_messages_make(request, &messages);
    code = count > 0 ? try_attempts(request, config, messages, count) : EXIT_FAILED;
    memory_free(messages);
    config_destroy(config);
    return code;
}

int command_try(int argc, char **argv)
{
    struct try_request request;
    int code = try_request_read(&request, argc, argv);
    if (code == OPTIONS_END) {
        log_configure(STDERR_FILENO, request.verbose ? WHIPPET_DEBUG : WHIPPET_INFO, LOG_FORMAT_TEXT);
        code = try_it(&request);
    } else {
        code = code == OPTIONS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    try_request_destroy(&request);
    return code;
}
