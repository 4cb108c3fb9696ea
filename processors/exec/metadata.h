/* A message without its body, as JSON for descriptor 3 of a command. */
#ifndef EXEC_METADATA_H
#define EXEC_METADATA_H

#include <whippet/processor.h>

/* The text belongs to the task; data is NULL when memory is short. */
whippet_bytes metadata_make(whippet_task *task, const whippet_message *message);

#endif
