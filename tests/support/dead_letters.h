/* The command `whippet dead`, and dead letters for it. */
#ifndef TESTS_SUPPORT_DEAD_LETTERS_H
#define TESTS_SUPPORT_DEAD_LETTERS_H

#include "stage.h"
#include <criterion/criterion.h>
#include <string.h>
#include <sys/types.h>

/* --- The command ----------------------------------------------------------------------------------------*/

/* How it ends. */
enum {
    DONE = 0,
    FAILED = 1,
    USAGE = 64,
};

enum {
    DEAD_OUTPUT_SIZE = 1 << 16
};

/* What the last run printed, both streams. */
extern char dead_output[DEAD_OUTPUT_SIZE];

/* Runs a verb on a queue, with two options or less. Returns its exit status. */
int dead(const char *verb, const char *queue, const char *first, const char *second);

/* Starts it on the stage's broker, with a standard input (-1: none) and an output for both streams. */
pid_t dead_start(int input, int descriptor, const char *verb, const char *queue, const char *first,
                 const char *second);

/* The same on the broker of that URL. */
pid_t dead_start_at(const char *url, int input, int descriptor, const char *verb, const char *queue,
                    const char *option);

/* A file for its output, and what is in there, to `dead_output`; the last closes it. */
int dead_open_output(void);
void dead_peek_output(int descriptor);
void dead_read_output(int descriptor);

#define assert_dead(expected, ...)                                                                           \
    do {                                                                                                     \
        int status_ = dead(__VA_ARGS__);                                                                     \
        cr_assert_eq(status_, expected, "exit status %d: %s", status_, dead_output);                         \
    } while (0)

#define assert_says(text) cr_assert_not_null(strstr(dead_output, text), "no \"%s\" in: %s", text, dead_output)

/* --- Letters --------------------------------------------------------------------------------------------*/

struct letter_header {
    const char *name;
    const char *value;
};

/* Sends one with up to eight text headers, the last of which has no name. */
void letter_send(const char *queue, const char *id, const struct letter_header *headers, amqp_bytes_t body);

/* Declares a pair of queues, and sends to the second of them `count` letters as the worker writes them, with
 * the ids from "0"; every tenth died of a timeout. */
void letters_send(const char *queue, const char *dead_queue, unsigned count);

/* Until so many are ready. */
void letters_await(const char *queue, long count);

/* Empties the queue; counts each id, which is to be below `most`, in `seen`. Returns how many there were. */
unsigned letters_take_all(const char *queue, unsigned char *seen, unsigned most);

#endif
