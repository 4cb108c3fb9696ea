/* The limits and defaults that more than one key shares. docs/configuration.md and docs/whippet.schema.json
 * say the same. */
#ifndef CONFIG_LIMITS_H
#define CONFIG_LIMITS_H

#define SHORTEST_TIME 0.001           /* seconds */
#define LONGEST_TIME  (365.0 * 86400) /* seconds */

enum {
    LONGEST_NAME = 255, /* bytes of a short string, as AMQP has it */
    LONGEST_HOST = 255,
    LONGEST_TEXT = 65535, /* bytes of any other, such as a path */
};

#endif
