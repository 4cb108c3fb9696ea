/* The configuration as the commands take it: -c FILE, and every error on standard error. */
#ifndef CMD_CONFIGURATION_H
#define CMD_CONFIGURATION_H

#include <config/config.h>
#include <stdbool.h>

/* For a command that takes -c FILE and nothing else: OPTIONS_END with `*file` filled (NULL: not given), or
 * else the exit code to end with. */
int configuration_option(int argc, char **argv, const char **file);

/* Loads it; NULL after everything that is wrong was printed. `file` NULL: the default places. */
struct config *configuration_load(const char *file);

/* Prints them all, unless they are to the letter what was printed last, and forgets them. */
void configuration_report(struct config_errors *errors, const char *file);

/* For a configuration that can't work and is to be mended by somebody: blocks for a few seconds, or until
 * SIGHUP. False when SIGTERM or SIGINT came instead. */
bool configuration_await_change(void);

/* From that wait on, its signals are held back, so that none is lost while the configuration is looked at
 * again: lets them through to those that handle them by now. */
void configuration_release_signals(void);

/* Logs each of them, in the words in which they would be printed. */
void configuration_log_errors(const struct config_errors *errors, const char *file);

/* Sends the log where the configuration wants it. */
void configuration_apply_log(const struct config *config);

#endif
