/* Channels: bounded queues between tasks. */
#include "tasks.h"
#include <base/memory.h>
#include <whippet/sync.h>

TestSuite(channels, .init = tasks_set_up, .fini = tasks_tear_down);

static whippet_channel *channel;

/* Puts each letter of its text. */
static int puts_letters(whippet_task *task, void *arg)
{
    for (char *letter = arg; *letter != '\0'; letter++) {
        int error = whippet_channel_put(task, channel, letter);
        if (error != 0)
            return error;
    }
    return 0;
}

/* Notes what it gets until there is no more. */
static int notes_letters(whippet_task *task, void *arg)
{
    void *letter;
    int error;
    (void)arg;
    while ((error = whippet_channel_get(task, channel, &letter)) == 0)
        note(*(char *)letter);
    return error;
}

static void turn_until_quiet(void)
{
    do {
        turn(0);
    } while (scheduler_busy(&scheduler));
}

Test(channels, hand_over_everything_in_order)
{
    channel = whippet_channel_create(2);
    int results[2];
    whippet_task *putter = start(puts_letters, "abcdefg", &results[0]);
    cr_expect_str_eq(task_activity(putter), "waiting for room in a channel");
    cr_expect_eq(whippet_channel_length(channel), 2);
    whippet_task *getter = start(notes_letters, NULL, &results[1]);
    turn_until_quiet();
    cr_expect_str_eq(task_activity(getter), "waiting for an item in a channel");
    cr_expect_str_eq(noted, "abcdefg");
    cr_expect_eq(results[0], 0);
    whippet_channel_close(channel);
    turn(0);
    cr_expect_eq(results[1], WHIPPET_E_CLOSED);
    whippet_channel_destroy(channel);
}

Test(channels, hold_what_was_put_before_they_were_closed)
{
    channel = whippet_channel_create(3);
    int results[2];
    start(puts_letters, "abc", &results[0]);
    whippet_channel_close(channel);
    whippet_channel_close(channel);
    start(notes_letters, NULL, &results[1]);
    cr_expect_str_eq(noted, "abc");
    cr_expect_eq(results[1], WHIPPET_E_CLOSED);
    start(puts_letters, "d", &results[0]);
    cr_expect_eq(results[0], WHIPPET_E_CLOSED);
    cr_expect_not(whippet_channel_try_put(channel, NULL));
    whippet_channel_destroy(channel);
}

Test(channels, say_closed_to_who_waits_for_room)
{
    channel = whippet_channel_create(1);
    int result;
    start(puts_letters, "ab", &result);
    whippet_channel_close(channel);
    turn(0);
    cr_expect_eq(result, WHIPPET_E_CLOSED);
    void *item;
    cr_expect(whippet_channel_try_get(channel, &item));
    cr_expect_eq(*(char *)item, 'a');
    cr_expect_not(whippet_channel_try_get(channel, &item), "what was not put is not there");
    whippet_channel_destroy(channel);
}

Test(channels, serve_putters_and_getters_in_the_order_they_came)
{
    channel = whippet_channel_create(1);
    int results[4];
    void *item = NULL;
    start(puts_letters, "a", &results[0]);
    start(puts_letters, "b", &results[1]);
    start(puts_letters, "c", &results[2]);
    for (const char *expected = "abc"; *expected != '\0'; expected++) {
        cr_assert(whippet_channel_try_get(channel, &item));
        cr_expect_eq(*(char *)item, *expected);
    }
    cr_expect_eq(whippet_channel_length(channel), 0);
    turn(0);
    start(notes_letters, NULL, &results[0]);
    start(notes_letters, NULL, &results[1]);
    cr_expect(whippet_channel_try_put(channel, (void *)"x"));
    cr_expect(whippet_channel_try_put(channel, (void *)"y"));
    turn(0);
    cr_expect_str_eq(noted, "xy");
    whippet_channel_destroy(channel);
    turn(0);
    cr_expect_eq(results[0], WHIPPET_E_CLOSED);
}

Test(channels, lose_nothing_when_a_wait_is_cancelled)
{
    channel = whippet_channel_create(1);
    int results[3];
    start(puts_letters, "a", &results[0]);
    whippet_task *cancelled = start(puts_letters, "b", &results[1]);
    start(puts_letters, "c", &results[2]);
    task_cancel(cancelled);
    turn(0);
    cr_expect_eq(results[1], WHIPPET_E_CANCELLED);
    whippet_task *getter = start(notes_letters, NULL, &results[0]);
    turn_until_quiet();
    cr_expect_str_eq(noted, "ac");
    whippet_channel_try_put(channel, (void *)"d"); /* handed to the getter … */
    task_cancel(getter);                           /* … before this */
    turn(0);
    cr_expect_str_eq(noted, "acd", "\"%s\"", noted);
    cr_expect_eq(results[0], WHIPPET_E_CANCELLED);
    whippet_channel_destroy(channel);
}

Test(channels, are_not_made_without_room_or_memory)
{
    cr_expect_null(whippet_channel_create(0));
    cr_expect_null(whippet_channel_create((size_t)-1));
    memory_permit = tasks_deny;
    cr_expect_null(whippet_channel_create(1));
    memory_permit = NULL;
    whippet_channel_destroy(NULL);
}
