/**
 * @file
 * What tasks meet at: semaphores, events and channels.
 *
 * Make one in setup() to share it among all messages of the processor, or in process() to share it among a
 * message's children. It works in every run mode, and from any thread, one that whippet_offload uses too.
 * Only with `run: process` each child process calls setup() and has its own, so that a semaphore's count
 * holds for each child. Destroy it when no task of another thread may be at it: in teardown() none is.
 *
 * Those who wait are served in the order they came, and nobody comes between. A wait that is cut short gives
 * up its place and takes nothing. With `run: loop` and `run: process` tasks take turns only where one of them
 * awaits, so what lies between two awaits needs no lock at all; with `run: thread` a semaphore with a count
 * of 1 is that lock. */
#ifndef WHIPPET_SYNC_H
#define WHIPPET_SYNC_H

#include <whippet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- A semaphore: at most so many at once. With a count of 1 it is a lock that may be held over awaits.
 * --------*/

/** Counts permits. Opaque. */
typedef struct whippet_semaphore whippet_semaphore;

/** `count` permits, at least 1. The caller destroys it. NULL when memory is short, or for a count of 0. Does
 * not suspend. */
WHIPPET_API whippet_semaphore *whippet_semaphore_create(size_t count);

/** Whoever still waits gets CLOSED, and must not touch it again. NULL is fine. Does not suspend. */
WHIPPET_API void whippet_semaphore_destroy(whippet_semaphore *semaphore);

/** Awaits a permit; does not suspend where one is free. 0 when the task has it: it must be released, by this
 * task or another. TIMEOUT, CANCELLED or CLOSED: it has none. */
WHIPPET_API int whippet_semaphore_acquire(whippet_task *task, whippet_semaphore *semaphore);

/** Takes a permit if one is free. Does not suspend. */
WHIPPET_API bool whippet_semaphore_try(whippet_semaphore *semaphore);

/** Gives a permit back: to the task that has waited longest, if any. 0; INVALID, and nothing happens, when
 * all permits are back already. Does not suspend. */
WHIPPET_API int whippet_semaphore_release(whippet_semaphore *semaphore);

/* --- An event: something has happened ------------------------------------------------------------------*/

/** Set or not. Opaque. */
typedef struct whippet_event whippet_event;

/** Not set at first. The caller destroys it. NULL when memory is short. Does not suspend. */
WHIPPET_API whippet_event *whippet_event_create(void);

/** Whoever still waits gets CLOSED, and must not touch it again. NULL is fine. Does not suspend. */
WHIPPET_API void whippet_event_destroy(whippet_event *event);

/** From now on nobody waits: all who do go on, also where it is cleared at once. Does not suspend. */
WHIPPET_API void whippet_event_set(whippet_event *event);

/** From now on they wait again. Does not suspend. */
WHIPPET_API void whippet_event_clear(whippet_event *event);

/** Whether it is set. Does not suspend. */
WHIPPET_API bool whippet_event_is_set(const whippet_event *event);

/** Awaits that it is set; does not suspend where it is. 0, TIMEOUT, CANCELLED or CLOSED. */
WHIPPET_API int whippet_event_wait(whippet_task *task, whippet_event *event);

/* --- A channel: a bounded queue of pointers between tasks
 * -----------------------------------------------------
 *
 * It does not own what the pointers point to; memory from whippet_alloc lives long enough between the
 * children of one message. NULL may be put, and comes out as NULL. */

/** A bounded queue. Opaque. */
typedef struct whippet_channel whippet_channel;

/** Room for `capacity` items, at least 1. The caller destroys it. NULL when memory is short, or for a
 * capacity of 0. Does not suspend. */
WHIPPET_API whippet_channel *whippet_channel_create(size_t capacity);

/** Closes it, and forgets the items that are still in it. Whoever waits must not touch it again. NULL is
 * fine. Does not suspend. */
WHIPPET_API void whippet_channel_destroy(whippet_channel *channel);

/** No more is to come: puts that wait, and later ones, return CLOSED; gets return what is still there, and
 * then CLOSED. Closing twice changes nothing. Does not suspend. */
WHIPPET_API void whippet_channel_close(whippet_channel *channel);

/** Puts an item at the end; awaits room where it is full. 0; CLOSED, TIMEOUT or CANCELLED: the item was not
 * put. */
WHIPPET_API int whippet_channel_put(whippet_task *task, whippet_channel *channel, void *item);

/** Takes the oldest item into `*item`; awaits one where there is none. 0; CLOSED once it is closed and empty;
 * TIMEOUT or CANCELLED: nothing was taken, and `*item` is unchanged. */
WHIPPET_API int whippet_channel_get(whippet_task *task, whippet_channel *channel, void **item);

/** Puts an item without waiting: false, and it was not put, where the channel is full or closed. Does not
 * suspend. */
WHIPPET_API bool whippet_channel_try_put(whippet_channel *channel, void *item);

/** Takes the oldest item without waiting: false, and `*item` is unchanged, where there is none. Does not
 * suspend. */
WHIPPET_API bool whippet_channel_try_get(whippet_channel *channel, void **item);

/** How many items are in it. Does not suspend. */
WHIPPET_API size_t whippet_channel_length(const whippet_channel *channel);

#ifdef __cplusplus
}
#endif

#endif
