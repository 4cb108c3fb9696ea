/* URLs on the command line, which may hold passwords. */
#ifndef CMD_URL_ARGUMENT_H
#define CMD_URL_ARGUMENT_H

#include <stdbool.h>

/* Keeps the URL in `*url`, in place of what is there, and overwrites the password in it where it stands, so
 * that neither ps nor /proc show it any longer. Given back with secret_destroy. False when memory is short.
 */
bool url_argument_take(char **url, char *argument);

#endif
