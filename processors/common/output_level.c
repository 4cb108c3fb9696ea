#include "output_level.h"
#include <string.h>

bool output_level_read(const char *option, const whippet_settings *settings, struct output_level *output,
                       whippet_failure *failure)
{
    static const char *const names[] = {[WHIPPET_DEBUG] = "debug",
                                        [WHIPPET_INFO] = "info",
                                        [WHIPPET_WARNING] = "warning",
                                        [WHIPPET_ERROR] = "error"};
    const char *text = whippet_setting_string(settings, option);
    output->is_logged = strcmp(text, "discard") != 0;
    if (!output->is_logged)
        return true;
    for (int level = WHIPPET_DEBUG; level <= WHIPPET_ERROR; level++) {
        if (strcmp(text, names[level]) == 0) {
            output->level = (enum whippet_log_level)level;
            return true;
        }
    }
    whippet_fail(failure,
                 "%s: expected \"debug\", \"info\", \"warning\", \"error\" or \"discard\", found \"%s\"",
                 option, text);
    return false;
}
