/* Settings for a processor under test. */
#ifndef TESTING_SETTINGS_H
#define TESTING_SETTINGS_H

#include <worker/plugin.h>

/* Checks the descriptor and the settings (JSON; NULL: none), and calls setup(). 0, and the processor is to be
 * given to processor_teardown; else `*complaints` takes a text, to be freed, with a line for each; NULL when
 * memory is short. */
int settings_set_up(struct processor *processor, const whippet_processor *descriptor, const char *settings,
                    char **complaints);

#endif
