/* The copies that are made of a dead letter. */
#include "../../cmd/dead_letter.h"
#include <criterion/criterion.h>

static struct buffer headers, copy;
static struct dead_letter *letter;

static void begin(void)
{
    buffer_init(&headers);
    buffer_init(&copy);
}

static void end(void)
{
    dead_letter_destroy(letter);
    buffer_destroy(&headers);
    buffer_destroy(&copy);
}

TestSuite(dead_letter, .init = begin, .fini = end);

static void add(const char *name, const char *value)
{
    cr_assert(table_add_text(&headers, bytes_of_text(name), bytes_of_text(value)));
}

static void make(const char *user_id)
{
    struct buffer properties;
    struct properties_draft draft = {.message_id = bytes_of_text("7"), .delivery_mode = 2};
    if (user_id != NULL)
        draft.user_id = bytes_of_text(user_id);
    draft.header_entries = bytes_of(buffer_begin(&headers), buffer_length(&headers));
    buffer_init(&properties);
    cr_assert_eq(properties_write(&properties, &draft), 0);
    struct message *message =
        message_create((whippet_bytes){0}, bytes_of_text("orders.dead"),
                       bytes_of(buffer_begin(&properties), buffer_length(&properties)), 0);
    message->headers = PROPERTIES_SOUND;
    buffer_destroy(&properties);
    letter = dead_letter_create(message, 0, "orders.dead");
    cr_assert_not_null(letter);
}

static whippet_bytes copied(void)
{
    whippet_bytes properties = bytes_of(buffer_begin(&copy), buffer_length(&copy));
    cr_assert_eq(properties_check(properties), PROPERTIES_SOUND);
    return properties;
}

static whippet_value header(const char *name)
{
    return table_find(properties_get(copied(), PROPERTY_HEADERS), bytes_of_text(name));
}

static bool has_text(const char *name, const char *text)
{
    whippet_value value = header(name);
    return value.kind == WHIPPET_VALUE_TEXT && bytes_equal_text(value.bytes, text);
}

Test(dead_letter, that_lies_on_keeps_the_record_of_its_death)
{
    add("whippet-reason", "rejected");
    add("whippet-queue", "orders");
    table_add_integer(&headers, bytes_of_text("x-delivery-count"), 3);
    make(NULL);
    cr_assert_eq(dead_letter_returns(letter), 3);
    cr_assert_eq(dead_letter_copy(letter, "guest", &copy), 0);
    cr_assert(has_text("whippet-reason", "rejected"));
    cr_assert_eq(header("x-delivery-count").kind, WHIPPET_VALUE_ABSENT);
    cr_assert(bytes_equal_text(properties_get(copied(), PROPERTY_MESSAGE_ID), "7"));
}

Test(dead_letter, that_lies_on_keeps_a_foreign_user_id_as_a_header)
{
    make("alice");
    cr_assert_eq(dead_letter_copy(letter, "guest", &copy), 0);
    cr_assert(has_text("whippet-user-id", "alice"));
    cr_assert_null(properties_get(copied(), PROPERTY_USER_ID).data);
}

Test(dead_letter, is_never_routed_by_cc_again)
{
    table_add_nested(&headers, bytes_of_text("CC"), 'A', (whippet_bytes){0});
    make(NULL);
    cr_assert_eq(dead_letter_copy(letter, "guest", &copy), 0);
    cr_assert_eq(header("CC").kind, WHIPPET_VALUE_ABSENT);
    cr_assert_eq(header("whippet-cc").kind, WHIPPET_VALUE_ARRAY);
}

Test(dead_letter, that_is_revived_has_no_record_of_its_death)
{
    add("whippet-reason", "rejected");
    add("whippet-attempt", "3");
    add("tenant", "acme");
    table_add_nested(&headers, bytes_of_text("x-death"), 'A', (whippet_bytes){0});
    make(NULL);
    cr_assert_eq(dead_letter_revive(letter, "guest", &copy), 0);
    cr_assert_eq(header("whippet-reason").kind, WHIPPET_VALUE_ABSENT);
    cr_assert_eq(header("whippet-attempt").kind, WHIPPET_VALUE_ABSENT);
    cr_assert_eq(header("x-death").kind, WHIPPET_VALUE_ABSENT);
    cr_assert(has_text("tenant", "acme"));
}

Test(dead_letter, that_is_revived_counts_how_often)
{
    table_add_integer(&headers, bytes_of_text("whippet-replayed"), 2);
    make(NULL);
    cr_assert_eq(dead_letter_revive(letter, "guest", &copy), 0);
    cr_assert_eq(header("whippet-replayed").integer, 3);
}

Test(dead_letter, that_is_revived_has_its_expiration_and_its_author_back)
{
    add("whippet-expiration", "60000");
    add("whippet-user-id", "guest");
    make(NULL);
    cr_assert_eq(dead_letter_revive(letter, "guest", &copy), 0);
    cr_assert(bytes_equal_text(properties_get(copied(), PROPERTY_EXPIRATION), "60000"));
    cr_assert(bytes_equal_text(properties_get(copied(), PROPERTY_USER_ID), "guest"));
    cr_assert(bytes_equal_text(properties_get(copied(), PROPERTY_MESSAGE_ID), "7"));
    cr_assert_eq(header("whippet-user-id").kind, WHIPPET_VALUE_ABSENT);
}

Test(dead_letter, that_is_revived_keeps_an_author_aside_that_we_are_not)
{
    add("whippet-user-id", "alice");
    make(NULL);
    cr_assert_eq(dead_letter_revive(letter, "guest", &copy), 0);
    cr_assert(has_text("whippet-user-id", "alice"));
    cr_assert_null(properties_get(copied(), PROPERTY_USER_ID).data);
}

Test(dead_letter, matches_by_reason_and_by_text_anywhere)
{
    add("whippet-reason", "rejected");
    add("whippet-queue", "orders");
    make(NULL);
    cr_assert(dead_filter_matches(&(struct dead_filter){.reason = "rejected"}, letter));
    cr_assert_not(dead_filter_matches(&(struct dead_filter){.reason = "reject"}, letter));
    cr_assert(dead_filter_matches(&(struct dead_filter){.match = "order"}, letter));
    cr_assert_not(dead_filter_matches(&(struct dead_filter){.match = "nowhere"}, letter));
}
