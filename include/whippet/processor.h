/**
 * @file
 * Everything a processor includes.
 *
 *     #include <whippet/processor.h>
 *
 *     static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
 *     {
 *         whippet_log(task, WHIPPET_INFO, "%zu bytes", whippet_body(message).len);
 *         return WHIPPET_ACK;
 *     }
 *
 *     WHIPPET_PROCESSOR(.name = "hello", .version = "1.0", .summary = "logs each message",
 *                       .process = process);
 */
#ifndef WHIPPET_PROCESSOR_H
#define WHIPPET_PROCESSOR_H

#include <whippet/exec.h>
#include <whippet/http.h>
#include <whippet/json.h>
#include <whippet/log.h>
#include <whippet/message.h>
#include <whippet/publish.h>
#include <whippet/retry.h>
#include <whippet/sync.h>
#include <whippet/task.h>
#include <whippet/trace.h>
#include <whippet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Changes when an existing part of these headers changes meaning; additions leave it alone. */
#define WHIPPET_ABI 1u

/** What becomes of the message. Any other value counts as RETRY. */
typedef enum whippet_verdict {
    WHIPPET_ACK = 1, /**< done: acknowledge it */
    WHIPPET_RETRY,   /**< this attempt failed: try again later, until attempts run out */
    WHIPPET_REJECT,  /**< it can never work: dead-letter it now */
} whippet_verdict;

/** Returns WHIPPET_RETRY and keeps the reason, printf-style: `return whippet_retry_later(task, "no answer");`
 * It goes to the log, and to the whippet-error of a dead letter; text beyond 1 KiB is cut. Does not suspend.
 */
WHIPPET_API whippet_verdict whippet_retry_later(whippet_task *task, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** The same with a word on when: the next attempt begins no sooner than `seconds` from now, where the queue's
 * own pause is shorter; for a server that says how long it wants to be left alone (Retry-After). More than
 * `retry.max_delay`, and what would hold the message for longer than the broker allows, is cut to that; with
 * `retry.via: broker` it is the shortest of the queue's delays that is long enough, else the longest. */
WHIPPET_API whippet_verdict whippet_retry_after(whippet_task *task, double seconds, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** The same with WHIPPET_REJECT: `return whippet_reject(task, "no key %s", name);` */
WHIPPET_API whippet_verdict whippet_reject(whippet_task *task, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Options: what a processor takes from `settings`. They are checked before start, listed by `whippet
 * processors`, and read in setup(). */
enum whippet_option_type {
    WHIPPET_OPTION_STRING = 1, /**< a text */
    WHIPPET_OPTION_INTEGER,    /**< a whole number */
    WHIPPET_OPTION_NUMBER,     /**< any number */
    WHIPPET_OPTION_BOOLEAN,    /**< true or false */
    WHIPPET_OPTION_DURATION,   /**< "250ms", "3s", "5m", or seconds */
    WHIPPET_OPTION_SIZE,       /**< "16MiB", or bytes */
    WHIPPET_OPTION_STRINGS,    /**< a list of strings */
    WHIPPET_OPTION_MAP,        /**< an object whose values are strings */
};

/** One option, declared. */
typedef struct whippet_option {
    const char *name;              /**< its key in `settings` */
    enum whippet_option_type type; /**< what is accepted there */
    const char *default_value; /**< written as in JSON without the quotes, e.g. "3s", "true"; NULL: none */
    bool required;             /**< without it the worker does not start */
    const char *help;          /**< one line */
} whippet_option;

/** The validated settings, borrowed during setup(). Strings live as long as the processor. Asking for an
 * option that was not declared, or as another type, returns the empty value of the type and logs an error. */
typedef struct whippet_settings whippet_settings;

/** Whether the configuration has it, default aside. Does not suspend, as none of these. */
WHIPPET_API bool whippet_setting_given(const whippet_settings *settings, const char *name);
/** A STRING. "" when it was not given and has no default: whippet_setting_given tells the two apart. */
WHIPPET_API const char *whippet_setting_string(const whippet_settings *settings, const char *name);
/** An INTEGER; 0 when it was not given and has no default. */
WHIPPET_API int64_t whippet_setting_integer(const whippet_settings *settings, const char *name);
/** A NUMBER; 0 when it was not given and has no default. */
WHIPPET_API double whippet_setting_number(const whippet_settings *settings, const char *name);
/** A BOOLEAN; false when it was not given and has no default. */
WHIPPET_API bool whippet_setting_boolean(const whippet_settings *settings, const char *name);
/** A DURATION in seconds; 0 when it was not given and has no default. */
WHIPPET_API double whippet_setting_duration(const whippet_settings *settings, const char *name);
/** A SIZE in bytes; 0 when it was not given and has no default. */
WHIPPET_API uint64_t whippet_setting_size(const whippet_settings *settings, const char *name);
/** STRINGS as a list, or a MAP as alternating names and values: NULL-terminated, never NULL itself. `count`
 * may be NULL; `*count` takes how many strings there are. They live as long as the processor. */
WHIPPET_API const char *const *whippet_setting_strings(const whippet_settings *settings, const char *name,
                                                       size_t *count);

/** Keeps the text, printf-style, for the message that the worker ends with. Does not suspend. */
WHIPPET_API void whippet_fail(whippet_failure *failure, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** The one symbol a processor exports. `abi` and `size` come first and are filled in by the macro; the loader
 * compares them before it reads anything else. Members are only ever added at the end. */
typedef struct whippet_processor {
    uint32_t abi;                  /**< WHIPPET_ABI; the macro fills it in */
    uint32_t size;                 /**< of this struct; the macro fills it in */
    const char *name;              /**< that of its file without ".so", by which the configuration names it */
    const char *version;           /**< for people; NULL: none */
    const char *summary;           /**< one line, for `whippet processors` */
    const whippet_option *options; /**< ends with an entry whose name is NULL; NULL: none */
    const char *run; /**< the run mode it wishes for: "loop", "thread" or "process"; NULL: "loop" */

    /** Called once for each queue that uses it, before the first message; must not block for long. `*state`
     * is handed to process() and teardown(). 0, or anything else after whippet_fail(). NULL: no state. */
    int (*setup)(const whippet_settings *settings, void **state, whippet_failure *failure);

    /** Called for each attempt, in a task of its own; may suspend. Many run at once. Under `run: loop` and
     * `run: process` they are interleaved at awaits, and between two awaits nothing else touches `state`.
     *
     * UNDER `run: thread` IT IS CALLED IN SEVERAL THREADS AT THE SAME TIME, all with the same `state`: guard
     * what they share with a lock (not held across an await), and keep to libraries that allow it. */
    whippet_verdict (*process)(whippet_task *task, const whippet_message *message, void *state);

    /** Called once when no attempt runs any more. NULL: nothing to free. */
    void (*teardown)(void *state);

    /** Runs beside the attempts, in a task of its own that begins after setup() and before the first of them:
     * for what outlives a message, such as a connection or a child process that all share. It may suspend,
     * spawn, publish and log as process() may; it has no message and no deadline, and whippet_alloc's memory
     * lives until it returns. Events, channels and semaphores are how attempts talk to it.
     *
     * When no attempt runs any more it is cancelled: its awaits return CANCELLED, and it should tidy up (in a
     * whippet_shield, where that awaits) and return; then teardown() is called. At the worker's stop it has
     * what is left of `shutdown_timeout`, and a second at least; under `run: process` 5 seconds, teardown()
     * included. Returning earlier is fine; a negative error is logged then, and attempts go on.
     *
     * Under `run: thread` it runs on the worker's own loop, beside attempts in other threads, and must not
     * block; under `run: process` there is one in each child. NULL: there is none. */
    int (*background)(whippet_task *task, void *state);
} whippet_processor;

/** The name of that symbol. */
#define WHIPPET_PROCESSOR_SYMBOL "whippet_processor_descriptor"

/** Defines the descriptor; its arguments are designated initialisers of struct whippet_processor. */
#define WHIPPET_PROCESSOR(...)                                                                               \
    extern WHIPPET_API const whippet_processor whippet_processor_descriptor;                                 \
    const whippet_processor whippet_processor_descriptor = {                                                 \
        .abi = WHIPPET_ABI,                                                                                  \
        .size = sizeof(whippet_processor),                                                                   \
        __VA_ARGS__,                                                                                         \
    }

#ifdef __cplusplus
}
#endif

#endif
