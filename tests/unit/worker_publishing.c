#include <base/bytes.h>
#include <criterion/criterion.h>
#include <string.h>
#include <worker/publishing.h>

/* --- A publisher that only takes notes ------------------------------------------------------------------*/

struct notes {
    int calls;
    whippet_task *task;
    const whippet_publication *publication;
    int answer;
};

static int take_note(void *owner, whippet_task *task, const whippet_publication *publication)
{
    struct notes *notes = owner;
    notes->calls++;
    notes->task = task;
    notes->publication = publication;
    return notes->answer;
}

static struct notes notes;

static void install(void)
{
    notes = (struct notes){0};
    publishing_install(take_note, &notes);
}

static void uninstall(void)
{
    publishing_install(NULL, NULL);
}

TestSuite(publishing, .init = install, .fini = uninstall);

static whippet_task *const some_task = (whippet_task *)0x1000;

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
    whippet_publish_header header = {long_text(255), long_text(999)};
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
        {.exchange = long_text(256)},       {.routing_key = long_text(256)}, {.content_type = long_text(256)},
        {.message_id = long_text(256)},     {.reply_to = long_text(256)},    {.type = long_text(256)},
        {.correlation_id = long_text(256)},
    };
    for (size_t i = 0; i < sizeof publications / sizeof publications[0]; i++)
        assert_refused(&publications[i]);
}

Test(publishing, refuses_headers_that_cannot_be)
{
    whippet_publish_header headers[] = {{long_text(256), ""}, {NULL, ""}, {"name", NULL}};
    for (size_t i = 0; i < 3; i++)
        assert_refused(&(whippet_publication){.headers = &headers[i], .header_count = 1});
    assert_refused(&(whippet_publication){.headers = NULL, .header_count = 1});
}

Test(publishing, refuses_a_body_that_is_nowhere)
{
    assert_refused(&(whippet_publication){.body = {.data = NULL, .len = 1}});
}
