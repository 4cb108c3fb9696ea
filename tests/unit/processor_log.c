#include "processor_testing.h"

static struct outcome outcome;

static void log_message(const char *settings, const struct properties_draft *draft, whippet_bytes body)
{
    struct processor processor = set_up("log", settings);
    attempt(&outcome, &processor, draft, body, INFINITY);
    processor_teardown(&processor);
    cr_assert_eq(outcome.verdict, WHIPPET_ACK, "%s", outcome.reason);
}

TestSuite(log_processor, .timeout = 60);

Test(log_processor, prints_one_line_with_properties_headers_and_body)
{
    struct buffer headers;
    buffer_init(&headers);
    table_add_text(&headers, bytes_of_text("tenant"), bytes_of_text("acme"));
    table_add_integer(&headers, bytes_of_text("n"), 5);
    struct properties_draft draft = {.content_type = bytes_of_text("text/plain"),
                                     .correlation_id = bytes_of_text("c-1"),
                                     .header_entries =
                                         bytes_of(buffer_begin(&headers), buffer_length(&headers))};
    log_message("{}", &draft, bytes_of_text("hello"));
    buffer_destroy(&headers);
    assert_contains(outcome.log, "info  5 bytes exchange=shop routing_key=orders.new content_type=text/plain "
                                 "correlation_id=c-1 headers={\"tenant\":\"acme\",\"n\":5} body=hello\n");
}

Test(log_processor, leaves_out_what_is_absent)
{
    log_message("{}", &(struct properties_draft){0}, (whippet_bytes){0});
    assert_contains(outcome.log, "info  0 bytes exchange=shop routing_key=orders.new body=\n");
}

Test(log_processor, leaves_out_headers_when_told_so)
{
    struct buffer headers;
    buffer_init(&headers);
    table_add_text(&headers, bytes_of_text("secret"), bytes_of_text("x"));
    struct properties_draft draft = {.header_entries =
                                         bytes_of(buffer_begin(&headers), buffer_length(&headers))};
    log_message("{'headers': false}", &draft, (whippet_bytes){0});
    buffer_destroy(&headers);
    cr_assert_null(strstr(outcome.log, "secret"));
}

Test(log_processor, logs_at_the_level_it_is_told)
{
    log_message("{'level': 'error'}", &(struct properties_draft){0}, bytes_of_text("x"));
    assert_contains(outcome.log, "error 1 bytes");
}

Test(log_processor, cuts_the_body_at_the_limit_and_not_within_a_character)
{
    log_message("{'body_limit': 4}", &(struct properties_draft){0}, bytes_of_text("abcdef"));
    assert_contains(outcome.log, "body=abcd…\n");
    log_message("{'body_limit': 4}", &(struct properties_draft){0}, bytes_of_text("ab€de"));
    assert_contains(outcome.log, "body=ab…\n");
    log_message("{'body_limit': 6}", &(struct properties_draft){0}, bytes_of_text("abcdef"));
    assert_contains(outcome.log, "body=abcdef\n");
    log_message("{'body_limit': 0}", &(struct properties_draft){0}, bytes_of_text("abcdef"));
    assert_contains(outcome.log, "body=…\n");
}

Test(log_processor, prints_a_hostile_body_safely)
{
    log_message("{}", &(struct properties_draft){0}, bytes_of("a\0b\nc\033[31md\xff", 12));
    assert_contains(outcome.log, "body=a\\0b\\nc\\u001b[31md\\xff\n");
}

Test(log_processor, fits_the_longest_of_everything_into_a_line)
{
    static char text[20001];
    struct buffer headers;
    memset(text, 'x', sizeof text - 1);
    buffer_init(&headers);
    table_add_text(&headers, bytes_of_text("large"), bytes_of_text(text));
    whippet_bytes longest = bytes_of(text, 255);
    struct properties_draft draft = {.content_type = longest,
                                     .content_encoding = longest,
                                     .correlation_id = longest,
                                     .reply_to = longest,
                                     .expiration = longest,
                                     .message_id = longest,
                                     .type = longest,
                                     .user_id = longest,
                                     .app_id = longest,
                                     .header_entries =
                                         bytes_of(buffer_begin(&headers), buffer_length(&headers))};
    log_message("{'body_limit': '4KiB'}", &draft, bytes_of_text(text));
    buffer_destroy(&headers);
    cr_assert_gt(strlen(outcome.log), 8000);
    cr_assert_eq(strchr(outcome.log, '\n'), outcome.log + strlen(outcome.log) - 1);
}

Test(log_processor, refuses_settings_that_cannot_be)
{
    cr_assert_str_eq(refused_setup("log", "{'level': 'loud'}"),
                     "level: expected \"debug\", \"info\", \"warning\" or \"error\", found \"loud\"");
    cr_assert_str_eq(refused_setup("log", "{'body_limit': '1MiB'}"),
                     "body_limit: expected at most 4KiB, as a line of the log holds no more");
}
