/* What differs between two configurations of one worker. They are compared as they are written, once ${…} is
 * replaced: so no key can be forgotten here, and "3s" and 3 are two things. */
#ifndef CONFIG_DIFFERENCE_H
#define CONFIG_DIFFERENCE_H

#include <config/config.h>

/* Called with the path of each key that differs, in no order; the path is valid during the call only. Values
 * are never told: they may be secrets. */
typedef void difference_found(void *owner, const char *path);

/* Everything but the queues: "log.level", "amqp.url". */
void config_differences(const struct config *before, const struct config *after, difference_found *found,
                        void *owner);

/* Queue `before_index` of the one and `after_index` of the other: "timeout", "retry", "settings". */
void config_queue_differences(const struct config *before, size_t before_index, const struct config *after,
                              size_t after_index, difference_found *found, void *owner);

#endif
