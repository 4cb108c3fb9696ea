#include "tasks.h"
#include <async/task.h>
#include <base/bytes.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <worker/message.h>
#include <worker/publishing.h>

/* --- A publisher that only takes notes ------------------------------------------------------------------*/

struct notes {
    int calls;
    whippet_task *task;
    const whippet_publication *publication;
    int answer;
};

static int take_note(void *owner, whippet_task *task, const whippet_publication *publication,
                     const struct publish_span *span)
{
    (void)span;
    struct notes *notes = owner;
    notes->calls++;
    notes->task = task;
    notes->publication = publication;
    return notes->answer;
}

static struct notes notes;
static whippet_task *some_task;
static int task_result;

static int sleeps_for_ever(whippet_task *task, void *arg)
{
    (void)arg;
    return whippet_sleep(task, 1e9);
}

static void install(void)
{
    notes = (struct notes){0};
    tasks_set_up();
    some_task = start(sleeps_for_ever, NULL, &task_result);
    publishing_install(take_note, &notes);
}

static void uninstall(void)
{
    task_cancel(some_task);
    turn(0);
    tasks_tear_down();
    publishing_install(NULL, NULL);
}

TestSuite(publishing, .init = install, .fini = uninstall);

static void assert_refused(const whippet_publication *publication)
{
    int error = whippet_publish(some_task, publication);
    cr_assert_eq(error, WHIPPET_E_INVALID, "%s", whippet_error_text(error));
    cr_assert_eq(notes.calls, 0);
}

/* `length` times x; static. */
static const char *long_text(size_t length)
{
    static char text[1000];
    memset(text, 'x', length);
    text[length] = '\0';
    return text;
}

Test(publishing, hands_on_what_is_valid_and_returns_the_answer)
{
    whippet_publish_header header = {long_text(255), whippet_text_value("value")};
    whippet_publication publication = {.exchange = long_text(255),
                                       .routing_key = long_text(255),
                                       .body = bytes_of_text("body"),
                                       .headers = &header,
                                       .header_count = 1};
    header.name = publication.exchange = publication.routing_key = long_text(255);
    notes.answer = WHIPPET_E_NACKED;
    cr_assert_eq(whippet_publish(some_task, &publication), WHIPPET_E_NACKED);
    cr_assert_eq(notes.calls, 1);
    cr_assert_eq(notes.task, some_task);
    cr_assert_eq(notes.publication, &publication);
}

Test(publishing, takes_a_publication_that_leaves_all_out)
{
    whippet_publication publication = {0};
    cr_assert_eq(whippet_publish(some_task, &publication), 0);
    cr_assert_eq(notes.calls, 1);
}

Test(publishing, is_not_available_without_a_publisher)
{
    whippet_publication publication = {0};
    publishing_install(NULL, NULL);
    cr_assert_eq(whippet_publish(some_task, &publication), WHIPPET_E_UNAVAILABLE);
}

Test(publishing, refuses_names_over_255_bytes)
{
    whippet_publication publications[] = {
        {.exchange = long_text(256)},         {.routing_key = long_text(256)},
        {.content_type = long_text(256)},     {.message_id = long_text(256)},
        {.reply_to = long_text(256)},         {.type = long_text(256)},
        {.correlation_id = long_text(256)},   {.app_id = long_text(256)},
        {.content_encoding = long_text(256)},
    };
    for (size_t i = 0; i < sizeof publications / sizeof publications[0]; i++)
        assert_refused(&publications[i]);
}

Test(publishing, refuses_headers_that_cannot_be)
{
    whippet_publish_header headers[] = {{long_text(256), whippet_text_value("")},
                                        {NULL, whippet_text_value("")},
                                        {"name", whippet_text_value(NULL)},
                                        {"name", {0}},
                                        {"name", {.kind = 99}},
                                        {"name", {.kind = WHIPPET_VALUE_TABLE, .entries = {NULL, 1}}}};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        assert_refused(&(whippet_publication){.headers = &headers[i], .header_count = 1});
    assert_refused(&(whippet_publication){.headers = NULL, .header_count = 1});
}

/* RabbitMQ would close the channel that all processors publish on. */
Test(publishing, refuses_what_would_cost_others_their_channel)
{
    whippet_publish_header routes[] = {{"CC", whippet_text_value("elsewhere")},
                                       {"BCC", whippet_text_value("elsewhere")}};
    for (size_t i = 0; i < 2; i++)
        assert_refused(&(whippet_publication){.headers = &routes[i], .header_count = 1});
    assert_refused(&(whippet_publication){.reply_to = "amq.rabbitmq.reply-to"});
    routes[0].value = (whippet_value){.kind = WHIPPET_VALUE_ARRAY};
    whippet_publication sound = {.headers = routes, .header_count = 1, .reply_to = "answers"};
    cr_assert_eq(whippet_publish(some_task, &sound), 0);
}

Test(publishing, refuses_a_body_that_is_nowhere)
{
    assert_refused(&(whippet_publication){.body = {.data = NULL, .len = 1}});
}

Test(publishing, refuses_times_that_do_not_fit)
{
    assert_refused(&(whippet_publication){.expiration = -1});
    assert_refused(&(whippet_publication){.expiration = 1e300});
    assert_refused(&(whippet_publication){.expiration = __builtin_nan("")});
    whippet_publication longest = {.expiration = 4294967.295};
    cr_assert_eq(whippet_publish(some_task, &longest), 0);
}

/* --- Traces and replies ---------------------------------------------------------------------------------*/

#define SOUND "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static char sent[2000]; /* what was published, in words */
static struct publish_span sent_as;

static int write_down(void *owner, whippet_task *task, const whippet_publication *publication,
                      const struct publish_span *span)
{
    (void)owner, (void)task;
    sent_as = *span;
    int length = snprintf(sent, sizeof sent, "to=%s corr=%s id=%zu", publication->routing_key,
                          publication->correlation_id, strlen(publication->message_id));
    for (size_t i = 0; i < publication->header_count; i++) {
        const whippet_publish_header *header = &publication->headers[i];
        length += snprintf(sent + length, sizeof sent - (size_t)length, " %s=%.*s", header->name,
                           (int)header->value.bytes.len, (const char *)header->value.bytes.data);
    }
    return 0;
}

/* A message with these properties; its headers are texts: name, value, name, value, …, NULL. */
static struct whippet_message message_with(struct properties_draft draft, const char *const *headers)
{
    struct buffer entries, properties;
    buffer_init(&entries);
    buffer_init(&properties);
    for (; *headers != NULL; headers += 2)
        table_add_text(&entries, bytes_of_text(headers[0]), bytes_of_text(headers[1]));
    draft.header_entries = bytes_of(buffer_begin(&entries), buffer_length(&entries));
    cr_assert_eq(properties_write(&properties, &draft), 0);
    whippet_bytes encoded = bytes_of(buffer_begin(&properties), buffer_length(&properties));
    struct whippet_message message = {.content =
                                          message_create((whippet_bytes){0}, (whippet_bytes){0}, encoded, 0)};
    buffer_destroy(&entries);
    buffer_destroy(&properties);
    return message;
}

static void expect_sent(const char *const *headers, whippet_publication publication, const char *expected)
{
    struct whippet_message message = message_with((struct properties_draft){0}, headers);
    publishing_install(write_down, NULL);
    task_set_message(some_task, &message);
    publication.routing_key = publication.correlation_id = publication.message_id = "";
    cr_assert_eq(whippet_publish(some_task, &publication), 0);
    cr_expect_str_eq(sent, expected, "\"%s\", not \"%s\"", sent, expected);
    message_destroy(message.content);
}

static const char *const TRACED[] = {"traceparent", SOUND, "tracestate", "a=b", "x", "y", NULL};

Test(publishing, passes_the_trace_of_the_message_on)
{
    whippet_publish_header own = {"kind", whippet_text_value("order")};
    expect_sent(TRACED, (whippet_publication){.headers = &own, .header_count = 1},
                "to= corr= id=0 kind=order traceparent=" SOUND " tracestate=a=b");
}

Test(publishing, leaves_a_trace_of_its_own_alone)
{
    whippet_publish_header own = {"traceparent", whippet_text_value("00-3-4-01")};
    expect_sent(TRACED, (whippet_publication){.headers = &own, .header_count = 1},
                "to= corr= id=0 traceparent=00-3-4-01");
}

Test(publishing, passes_no_trace_on_where_there_is_none)
{
    static const char *const untraced[] = {"tracestate", "a=b", NULL};
    expect_sent(untraced, (whippet_publication){0}, "to= corr= id=0");
}

Test(publishing, passes_nothing_on_that_is_not_valid)
{
    static const char *const wrong[] = {"traceparent", "00-1-2-01", "tracestate", "a=b", NULL};
    static const char *const wrong_state[] = {"traceparent", SOUND, "tracestate", "A=b", NULL};
    expect_sent(wrong, (whippet_publication){0}, "to= corr= id=0");
    expect_sent(wrong_state, (whippet_publication){0}, "to= corr= id=0 traceparent=" SOUND);
}

Test(publishing, joins_states_that_came_apart)
{
    static const char *const apart[] = {"tracestate", "a=b", "traceparent", SOUND, "tracestate", "c=d", NULL};
    expect_sent(apart, (whippet_publication){0}, "to= corr= id=0 traceparent=" SOUND " tracestate=a=b,c=d");
}

Test(publishing, passes_no_state_on_that_is_longer_than_anybody_has_to)
{
    static char state[TRACE_STATE_MAX + 2];
    const char *const headers[] = {"traceparent", SOUND, "tracestate", state, "tracestate", "z=1", NULL};
    for (int i = 0; i < 4; i++)
        snprintf(state + strlen(state), sizeof state - strlen(state), "%c=%0253d,", 'a' + i, 0);
    expect_sent(headers, (whippet_publication){0}, "to= corr= id=0 traceparent=" SOUND);
}

/* With a span of its own for the attempt, the publication gets one below it. */
static void expect_sent_in_trace(uint32_t flags)
{
    struct whippet_message message = message_with((struct properties_draft){0}, TRACED);
    whippet_publication publication = {.routing_key = "", .correlation_id = "", .message_id = ""};
    char expected[200], parent[TRACE_PARENT_SIZE];
    message.trace = (struct trace_context){.trace_high = 1, .trace_low = 2, .span = 3, .flags = flags};
    publishing_install(write_down, NULL);
    task_set_message(some_task, &message);
    cr_assert_eq(whippet_publish(some_task, &publication), 0);
    trace_parent_write(&sent_as.context, parent);
    snprintf(expected, sizeof expected, "to= corr= id=0 traceparent=%s tracestate=a=b", parent);
    cr_expect_str_eq(sent, expected);
    cr_expect(sent_as.context.trace_high == 1 && sent_as.context.trace_low == 2 && sent_as.parent == 3);
    message_destroy(message.content);
}

Test(publishing, names_its_own_span_where_the_trace_is_recorded)
{
    expect_sent_in_trace(TRACE_SAMPLED);
    cr_expect_neq(sent_as.context.span, 3);
}

Test(publishing, names_the_attempt_where_the_trace_is_not_recorded)
{
    expect_sent_in_trace(0);
    cr_expect_eq(sent_as.context.span, 3);
}

Test(publishing, says_when_memory_is_short_for_the_trace)
{
    struct whippet_message message = message_with((struct properties_draft){0}, TRACED);
    whippet_publication publication = {0};
    task_set_message(some_task, &message);
    memory_permit = tasks_deny;
    cr_expect_eq(whippet_publish(some_task, &publication), WHIPPET_E_MEMORY);
    memory_permit = NULL;
    message_destroy(message.content);
}

static int reply(struct properties_draft request, whippet_publication answer)
{
    struct whippet_message message = message_with(request, &TRACED[6]);
    publishing_install(write_down, NULL);
    int result = whippet_reply(some_task, &message, &answer);
    message_destroy(message.content);
    return result;
}

Test(replies, go_where_the_message_says_with_its_correlation_id, .init = install, .fini = uninstall)
{
    struct properties_draft request = {.reply_to = bytes_of_text("answers"),
                                       .correlation_id = bytes_of_text("7")};
    cr_assert_eq(reply(request, (whippet_publication){0}), 0);
    cr_expect_str_eq(sent, "to=answers corr=7 id=36", "%s", sent);
    cr_assert_eq(reply(request, (whippet_publication){.message_id = "mine"}), 0);
    cr_expect_str_eq(sent, "to=answers corr=7 id=4", "%s", sent);
}

Test(replies, correlate_by_message_id_where_there_is_no_other, .init = install, .fini = uninstall)
{
    struct properties_draft request = {.reply_to = bytes_of_text("answers"),
                                       .message_id = bytes_of_text("order-1")};
    cr_assert_eq(reply(request, (whippet_publication){0}), 0);
    cr_expect_str_eq(sent, "to=answers corr=order-1 id=36", "%s", sent);
}

Test(replies, need_somewhere_to_go_and_choose_nothing_themselves, .init = install, .fini = uninstall)
{
    struct properties_draft request = {.reply_to = bytes_of_text("answers")},
                            nul = {.reply_to = bytes_of("a\0b", 3)};
    cr_expect_eq(reply((struct properties_draft){0}, (whippet_publication){0}), WHIPPET_E_INVALID);
    cr_expect_eq(reply(nul, (whippet_publication){0}), WHIPPET_E_INVALID);
    cr_expect_eq(reply(request, (whippet_publication){.exchange = "x"}), WHIPPET_E_INVALID);
    cr_expect_eq(reply(request, (whippet_publication){.routing_key = "x"}), WHIPPET_E_INVALID);
    cr_expect_eq(reply(request, (whippet_publication){.correlation_id = "x"}), WHIPPET_E_INVALID);
}
