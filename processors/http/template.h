/* Header values with holes for what the message carries: "{message_id}", "{header.tenant}"; "{{" is a brace.
 */
#ifndef HTTP_TEMPLATE_H
#define HTTP_TEMPLATE_H

#include <whippet/processor.h>

/* For setup(): false with the failure filled when a hole of the header `name` is none. */
bool template_check(const char *template, const char *name, whippet_failure *failure);

/* The value for this message, in memory of the task's; "" where all of it is absent. NULL when memory is
 * short.
 */
const char *template_fill(whippet_task *task, const char *template, const whippet_message *message);

#endif
