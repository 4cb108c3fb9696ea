/* What the tests of the configuration share. */
#ifndef TESTS_UNIT_CONFIG_TESTING_H
#define TESTS_UNIT_CONFIG_TESTING_H

#include <base/memory.h>
#include <config/config.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEST_FILE "test.json"

/* Two queues' worth of keys, for texts in one line. */
#define ONE_QUEUE "\"queues\": [{ \"name\": \"orders\", \"processor\": \"log\" }]"

/* The configuration with that one queue, to which `keys` are added: "\"prefetch\": 3". */
#define WITH_QUEUE_KEYS(keys) "{ \"queues\": [{ \"name\": \"orders\", \"processor\": \"log\", " keys " }] }"

/* The configuration with one plain queue and `keys` at its top. */
#define WITH_KEYS(keys) "{ " ONE_QUEUE ", " keys " }"

static inline void forget_environment(void)
{
    static const char *const names[] = {"AMQP_URL", "RABBITMQ_URL", "LOG_LEVEL"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unsetenv(names[i]);
}

/* What config_errors_print prints; freed by the caller. */
static inline char *print_errors(const struct config_errors *errors)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    cr_assert_not_null(stream);
    config_errors_print(errors, TEST_FILE, stream);
    fclose(stream);
    return text;
}

/* The configuration that `text` must give. */
static inline struct config *parse(const char *text)
{
    struct config_errors errors;
    struct config *config = config_parse(text, TEST_FILE, &errors);
    char *printed = print_errors(&errors);
    cr_assert_not_null(config, "refused %s:\n%s", text, printed);
    cr_assert_eq(errors.count, 0);
    free(printed);
    config_errors_destroy(&errors);
    return config;
}

/* Fails unless exactly these errors are printed for `text`, each without the file's name: "3: amqp.url: …\n".
 */
static inline void assert_errors(const char *text, const char *expected)
{
    struct config_errors errors;
    struct config *config = config_parse(text, TEST_FILE, &errors);
    cr_assert_null(config, "accepted %s", text);
    char *printed = print_errors(&errors);
    char *line = printed, *found = calloc(1, strlen(printed) + 1);
    size_t prefix = strlen(TEST_FILE) + 1;
    while (*line != '\0') {
        char *end = strchr(line, '\n') + 1;
        cr_assert_eq(strncmp(line, TEST_FILE ":", prefix), 0, "printed %s", line);
        line += prefix;
        strncat(found, line, (size_t)(end - line));
        line = end;
    }
    cr_assert_str_eq(found, expected, "%s\ngave\n%sinstead of\n%s", text, found, expected);
    free(found);
    free(printed);
    config_errors_destroy(&errors);
}

/* Fails unless `text` is refused with one error whose line contains `part`. */
static inline void assert_error(const char *text, const char *part)
{
    struct config_errors errors;
    struct config *config = config_parse(text, TEST_FILE, &errors);
    cr_assert_null(config, "accepted %s", text);
    char *printed = print_errors(&errors);
    cr_assert_eq(errors.count, 1, "%s gave\n%s", text, printed);
    cr_assert_not_null(strstr(printed, part), "%s\ngave\n%sinstead of\n%s", text, printed, part);
    free(printed);
    config_errors_destroy(&errors);
}

#endif
