/* Gathering what is wrong, in the order of the lines. */
#ifndef CONFIG_ERRORS_H
#define CONFIG_ERRORS_H

#include <config/config.h>

/* What config_load looks for when it is given no file. */
#define CONFIG_LOCAL_FILE     "whippet.json"
#define CONFIG_INSTALLED_FILE "/etc/whippet/whippet.json"

enum {
    ERRORS_MOST = 1000
};

/* Behind those of the same line. Where memory is short, that alone is what the list says afterwards. Beyond
 * ERRORS_MOST only the first that was found too many leaves a trace: a line that says there are more. */
void errors_add(struct config_errors *errors, int line, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void errors_add_v(struct config_errors *errors, int line, const char *path, const char *format,
                  va_list arguments) __attribute__((format(printf, 4, 0)));

/* Whether what is added from here on leaves no trace, so that it need not be worked out. */
bool errors_are_full(const struct config_errors *errors);

/* Drops what was gathered and says only that memory is short; takes none itself. */
void errors_out_of_memory(struct config_errors *errors);

#endif
