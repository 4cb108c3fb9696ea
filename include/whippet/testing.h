/**
 * @file
 * Driving a processor from its own tests, without a broker and without waiting.
 *
 *     #include <whippet/testing.h>
 *
 *     Test(hello, greets_whoever_the_message_names)
 *     {
 *         whippet_test *test = whippet_test_start(&whippet_processor_descriptor, "{\"greeting\": \"Hi\"}");
 *         whippet_test_result result = whippet_test_run(test, &(whippet_test_message){.text = "{\"name\":
 * \"Ada\"}"}); cr_assert_eq(result.verdict, WHIPPET_ACK, "%s", result.reason);
 *         cr_assert_not_null(strstr(whippet_test_log(test), "Hi, Ada"));
 *         whippet_test_end(test);
 *     }
 *
 * The processor is the real one: its settings are checked as the worker checks them, and process() runs as a
 * task on a real scheduler, with every await of the SDK. Three things differ from the worker:
 *
 *  - The clock is virtual: where all tasks wait for nothing but the clock, it leaps to the next moment that
 * one of them waits for. A sleep of an hour takes no time, and a deadline still strikes. While a command
 * runs, a descriptor is awaited or a thread is at work, time flows as always.
 *  - What it publishes is kept for the test to look at, and answered as the test says.
 *  - What it logs is kept too, from the level debug on.
 *
 * Whatever else it calls is real: whippet_exec runs the command. To put something in its place, define a
 * function of the same name in the test's file: a processor that is compiled into the test calls that one.
 *
 * A mistake in the use of these functions fails the test with a sentence. One whippet_test at a time in a
 * process; all functions are called from the test itself, never from inside process(). None suspends.
 *
 * Link with the CMake target whippet::testing, or the pkg-config module whippet-testing.
 */
#ifndef WHIPPET_TESTING_H
#define WHIPPET_TESTING_H

#include <whippet/processor.h>

#ifndef WHIPPET_TESTING_WITHOUT_CRITERION
#include <criterion/criterion.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** What WHIPPET_PROCESSOR defines in the processor's own file, when that is compiled into the test. */
extern const whippet_processor whippet_processor_descriptor;

/** A processor at work on one set of settings, and what it has published and logged. */
typedef struct whippet_test whippet_test;

/** Fails the test with this text. Must not return. */
typedef void whippet_test_fail(const char *text);

/** A message made by hand. Zeroed members are left out; everything is borrowed for the call. */
typedef struct whippet_test_message {
    const char *text;             /**< the body as a C string; NULL: see `body` */
    whippet_bytes body;           /**< the body as bytes, when `text` is NULL; may be empty */
    const char *exchange;         /**< NULL: the default exchange, "" */
    const char *routing_key;      /**< NULL: the queue's name */
    const char *queue;            /**< NULL: "test" */
    const char *content_type;     /**< a property, up to 255 bytes, as are those below */
    const char *content_encoding; /**< e.g. "gzip" */
    const char *message_id;       /**< the publisher's name for the message */
    const char *correlation_id;   /**< what the message answers, or wants in its answer */
    const char *reply_to;         /**< the queue that an answer goes to */
    const char *type;             /**< the kind of message */
    const char *user_id;          /**< the broker's user that published it */
    const char *app_id;           /**< the application that published it */
    const char *expiration;       /**< milliseconds, in decimal digits */
    uint64_t timestamp;           /**< seconds since 1970 */
    uint8_t priority;             /**< 0 to 255 */
    bool transient;               /**< not persistent */
    bool redelivered;             /**< the broker has delivered it before */
    const whippet_publish_header
        *headers;        /**< typed headers, see whippet_text_value and its kin; not ABSENT */
    size_t header_count; /**< how many of them */
    unsigned attempt;    /**< which attempt this is, from 1; 0: the first */
    unsigned attempts;   /**< how many there are at most; 0: five */
} whippet_test_message;

/** What came of a message. */
typedef struct whippet_test_result {
    whippet_verdict verdict; /**< what process() returned; RETRY for what is no verdict, as in the worker */
    const char *reason;      /**< what whippet_reject or whippet_retry_later kept, "" for none; the test's */
    int struck;              /**< WHIPPET_E_TIMEOUT when the deadline struck, WHIPPET_E_CANCELLED; else 0 */
    unsigned attempt;        /**< the number of the attempt that came to this */
    double seconds;          /**< how long it took on the virtual clock, pauses between attempts included */
    double retry_after;      /**< seconds that whippet_retry_after asked to pause; 0: it was not called */
    size_t stack_used; /**< bytes; the deepest that a stack of it or its children was used, in whole pages */
} whippet_test_result;

/**
 * The processor in a shared object, checked as the worker's loader does. `file` is its path.
 * Returns its descriptor, which stays loaded until the process ends; fails the test with the loader's words.
 */
WHIPPET_API const whippet_processor *whippet_test_load_with(const char *file, whippet_test_fail *fail);

/**
 * Checks `settings`, a JSON object as a C string (NULL: "{}"), against the processor's options, calls its
 * setup(), and begins its background(), which goes on whenever messages run. From now on what it publishes
 * and logs is kept. A failure fails the test with all that is wrong.
 * Returns the test, to be given to whippet_test_end. `fail` is called for every mistake from here on; NULL
 * prints the text on standard error and aborts.
 */
WHIPPET_API whippet_test *whippet_test_start_with(const whippet_processor *processor, const char *settings,
                                                  whippet_test_fail *fail);

/**
 * Why the processor does not start with these settings: each complaint on a line of its own, such as
 * "greting: the processor hello has no such option; did you mean \"greeting\"?", or what setup() said to
 * whippet_fail. NULL when it does start (it is torn down again). The text is static, and valid until the next
 * call.
 */
WHIPPET_API const char *whippet_test_refusal(const whippet_processor *processor, const char *settings);

/** Ends background(), calls teardown() and frees the test with all that came from it. NULL is fine. */
WHIPPET_API void whippet_test_end(whippet_test *test);

/** Runs one attempt of `message` (NULL: an empty one) to its end. */
WHIPPET_API whippet_test_result whippet_test_run(whippet_test *test, const whippet_test_message *message);

/**
 * Runs `count` messages at the same time, an attempt each, as a queue with that concurrency would: they take
 * turns where they await. `results` has room for `count` results, in the order of the messages; `stack_used`
 * is of all together.
 */
WHIPPET_API void whippet_test_run_together(whippet_test *test, const whippet_test_message *messages,
                                           size_t count, whippet_test_result *results);

/**
 * Runs attempt after attempt until one does not ask for another or they are used up, with the policy's
 * pauses, or what whippet_retry_after asks for where that is longer, on the virtual clock. `policy` NULL:
 * five attempts, three seconds apart. Returns what came of the last one: RETRY means that the worker would
 * dead-letter the message for "retry-exhausted", REJECT for "rejected".
 */
WHIPPET_API whippet_test_result whippet_test_run_attempts(whippet_test *test,
                                                          const whippet_test_message *message,
                                                          const whippet_retry_policy *policy);

/** How long an attempt may take from now on: `seconds` above 0 on the virtual clock. 300 at first, as in the
 * worker. */
WHIPPET_API void whippet_test_set_timeout(whippet_test *test, double seconds);

/**
 * How the next publication that was not answered yet is to be answered; calling it again is for the one after
 * it. `error` is what whippet_publish returns: 0 (as without this call), WHIPPET_E_UNROUTABLE,
 * WHIPPET_E_NACKED, WHIPPET_E_CLOSED, … With WHIPPET_E_TIMEOUT the broker does not confirm, and the await
 * ends at its deadline.
 */
WHIPPET_API void whippet_test_answer(whippet_test *test, int error);

/** How many publications there were since the start or the last whippet_test_clear, however they were
 * answered. */
WHIPPET_API size_t whippet_test_published_count(const whippet_test *test);

/**
 * One of them, counted from 0 in the order they came, as its consumer would get it: to be read with
 * whippet_body, whippet_routing_key, whippet_header, …; persistent ones say so with whippet_persistent. It is
 * the test's. An index beyond the last one fails the test.
 */
WHIPPET_API const whippet_message *whippet_test_published(whippet_test *test, size_t index);

/**
 * All that was logged since the start or the last whippet_test_clear, setup() included: a line each, as text,
 * ending in a newline: "2026-11-21T09:30:00.250Z info  test[hello] attempt=1 Hi, Ada". The test's; valid
 * until the next call.
 */
WHIPPET_API const char *whippet_test_log(whippet_test *test);

/** Forgets what was published and logged so far. */
WHIPPET_API void whippet_test_clear(whippet_test *test);

/** The bytes as a C string, to compare and print: a copy that is the test's. NULL when they are absent. */
WHIPPET_API const char *whippet_test_text(whippet_test *test, whippet_bytes bytes);

#ifndef WHIPPET_TESTING_WITHOUT_CRITERION

/** A whippet_test_fail that fails the running Criterion test. */
static inline void whippet_test_fail_criterion(const char *text)
{
    cr_assert_fail("%s", text);
}

/** whippet_test_load_with in a Criterion test. */
static inline const whippet_processor *whippet_test_load(const char *file)
{
    return whippet_test_load_with(file, whippet_test_fail_criterion);
}

/** whippet_test_start_with in a Criterion test. */
static inline whippet_test *whippet_test_start(const whippet_processor *processor, const char *settings)
{
    return whippet_test_start_with(processor, settings, whippet_test_fail_criterion);
}

#endif

#ifdef __cplusplus
}
#endif

#endif
