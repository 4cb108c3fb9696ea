/* Where a value comes from: a key of the JSON body, or a property of the message. */
#ifndef POSTGRES_SOURCE_H
#define POSTGRES_SOURCE_H

#include <whippet/postgres.h>

struct source {
    const char *key;    /* as it is written in the settings; borrowed */
    const char *column; /* that it fills; borrowed; NULL: a statement's parameter */
    bool optional;      /* NULL where it is missing */
};

/* That it can be one: a path ("customer.address[0].city"), a JSON pointer ("/customer/address/0/city"), ""
 * for the whole body, or a property ("@message_id", "@header:tenant"). False with the failure filled. */
bool source_check(const char *option, const char *key, whippet_failure *failure);

/* Whether it looks into the body, which must be JSON then. */
bool source_is_in_body(const struct source *source);

/* Its value: text as it is, true, false and numbers as they are written, null as NULL, arrays and objects as
 * JSON. NULL with `*problem` saying what is wrong with the message, or memory is short: then "". The
 * parameter and the text are the task's. */
bool source_read(whippet_task *task, const whippet_message *message, const struct source *source,
                 whippet_pg_parameter *parameter, const char **problem);

#endif
