#include "config_testing.h"

#define WITH_MANAGEMENT(keys) WITH_KEYS("\"management\": { " keys " }")

Test(management, is_not_asked_unless_the_file_says_where_it_is)
{
    struct config *config = parse("{" ONE_QUEUE "}");
    cr_assert_null(config->management.url);
    cr_assert_eq(config->management.interval, 10);
    config_destroy(config);
}

Test(management, takes_what_the_file_says)
{
    struct config *config = parse(WITH_MANAGEMENT("\"url\": \"https://rabbit:15671/prefix\", \"user\": "
                                                  "\"watcher\", \"password_file\": \"/run/secret\", "
                                                  "\"interval\": \"250ms\""));
    cr_assert_str_eq(config->management.url, "https://rabbit:15671/prefix");
    cr_assert_str_eq(config->management.user, "watcher");
    cr_assert_str_eq(config->management.password_file, "/run/secret");
    cr_assert_null(config->management.password);
    cr_assert_eq(config->management.interval, 0.25);
    config_destroy(config);
}

Test(management, has_an_http_url_and_shows_none_that_is_wrong)
{
    static const char *const VALUES[] = {"\"rabbit:15672\"",
                                         "\"amqp://guest:secret@rabbit\"",
                                         "\"http://\"",
                                         "\"http://a:secret@b/?x=1\"",
                                         "\"\"",
                                         "15672"};
    for (size_t i = 0; i < sizeof VALUES / sizeof VALUES[0]; i++) {
        char text[300];
        snprintf(text, sizeof text, WITH_MANAGEMENT("\"url\": %s"), VALUES[i]);
        assert_error(text, "management.url: expected the URL of RabbitMQ's management API, such as "
                           "\"http://rabbitmq:15672\"");
    }
}

Test(management, names_one_user_once)
{
    assert_error(WITH_MANAGEMENT("\"url\": \"http://a:b@c\", \"user\": \"d\""),
                 "management.user: and the URL both say as whom to ask");
    assert_error(WITH_MANAGEMENT("\"url\": \"http://c\", \"password\": \"d\", \"password_file\": \"e\""),
                 "management.password_file: and password both give the password");
    assert_error(WITH_MANAGEMENT("\"user\": \"d\""),
                 "management.user: goes with management.url, which is missing");
}

Test(management, is_asked_ten_times_a_second_at_most_and_every_five_minutes_at_least)
{
    assert_error(WITH_MANAGEMENT("\"url\": \"http://c\", \"interval\": \"10ms\""), "management.interval: ");
    assert_error(WITH_MANAGEMENT("\"url\": \"http://c\", \"interval\": \"25d\""),
                 "management.interval: expected a duration from 0.1s to 5m, found \"25d\"");
}

Test(management, shows_no_password_that_is_no_string)
{
    assert_error(WITH_MANAGEMENT("\"url\": \"http://c\", \"password\": 123456"),
                 "management.password: expected a string, found a number");
}
