#include "config_testing.h"
#include <config/addresses.h>

static struct whippet_failure failure;

static void setup(void)
{
    forget_environment();
}

TestSuite(addresses, .init = setup);

static void assert_display(const char *url, const char *expected)
{
    struct broker_address_list *addresses = broker_addresses_find(url, &failure);
    cr_assert_not_null(addresses, "%s", failure.text);
    cr_assert_eq(addresses->count, 1);
    cr_assert_str_eq(addresses->items[0].display, expected, "found %s", addresses->items[0].display);
    broker_addresses_destroy(addresses);
}

Test(addresses, are_what_the_caller_names_before_all_else)
{
    setenv("AMQP_URL", "amqp://environment", 1);
    assert_display("amqp://me:x@caller/v", "amqp://me@caller:5672/v");
}

Test(addresses, are_those_of_the_environment_or_this_machine_when_the_caller_names_none)
{
    assert_display(NULL, "amqp://guest@localhost:5672/");
    setenv("RABBITMQ_URL", "amqp://second", 1);
    assert_display(NULL, "amqp://guest@second:5672/");
    setenv("AMQP_URL", "amqp://first", 1);
    assert_display(NULL, "amqp://guest@first:5672/");
}

Test(addresses, that_are_wrong_are_a_failure_that_says_where_they_came_from)
{
    cr_assert_null(broker_addresses_find("amqp://", &failure));
    cr_assert_eq(strncmp(failure.text, "it names no host", 16), 0, "%s", failure.text);
    setenv("AMQP_URL", "amqp://me:secret@", 1);
    cr_assert_null(broker_addresses_find(NULL, &failure));
    cr_assert_eq(strncmp(failure.text, "the environment variable AMQP_URL: it names no host", 51), 0, "%s",
                 failure.text);
    cr_assert_null(strstr(failure.text, "secret"), "%s", failure.text);
}

static void assert_displays(const char *url, const char *first, const char *second)
{
    struct broker_address_list *addresses = broker_addresses_find(url, &failure);
    cr_assert_not_null(addresses, "%s", failure.text);
    cr_assert_eq(addresses->count, 2);
    cr_assert_str_eq(addresses->items[0].display, first, "found %s", addresses->items[0].display);
    cr_assert_str_eq(addresses->items[1].display, second, "found %s", addresses->items[1].display);
    broker_addresses_destroy(addresses);
}

Test(addresses, are_several_where_commas_separate_them)
{
    assert_displays("amqp://a,amqps://b/v", "amqp://guest@a:5672/", "amqps://guest@b:5671/v");
    assert_displays("amqp://me:x@a/, AMQP://b", "amqp://me@a:5672/", "amqp://guest@b:5672/");
    setenv("AMQP_URL", "amqp://a/,amqp://b/", 1);
    assert_displays(NULL, "amqp://guest@a:5672/", "amqp://guest@b:5672/");
}

Test(addresses, take_a_comma_within_a_password_for_a_part_of_it)
{
    struct broker_address_list *addresses = broker_addresses_find("amqp://me:a,b%2Cc@h,amqp://i", &failure);
    cr_assert_not_null(addresses, "%s", failure.text);
    cr_assert_eq(addresses->count, 2);
    cr_assert_str_eq(addresses->items[0].password, "a,b,c");
    broker_addresses_destroy(addresses);
}

Test(addresses, of_which_one_is_wrong_are_a_failure_that_tells_which)
{
    cr_assert_null(broker_addresses_find("amqp://me:secret@a,amqp://me:secret@b:x", &failure));
    cr_assert_eq(strncmp(failure.text, "URL 2 of the list: the port", 27), 0, "%s", failure.text);
    cr_assert_null(strstr(failure.text, "secret"), "%s", failure.text);
    cr_assert_null(broker_addresses_find("amqp://a/,", &failure));
    cr_assert_eq(strncmp(failure.text, "URL 2 of the list: the URL is empty", 35), 0, "%s", failure.text);
}

static size_t allocations_left;

static bool permit_some(size_t size)
{
    (void)size;
    return allocations_left > 0 && allocations_left-- > 0;
}

Test(addresses, need_memory)
{
    size_t failing = 0;
    struct broker_address_list *addresses = NULL;
    for (; addresses == NULL; failing++) {
        allocations_left = failing;
        memory_permit = permit_some;
        addresses = broker_addresses_find("amqp://me:x@host/v", &failure);
        memory_permit = NULL;
        cr_assert(addresses != NULL || failure.error == WHIPPET_E_MEMORY, "allocation %zu: %s", failing,
                  failure.text);
    }
    cr_assert_gt(failing, 5, "only %zu allocations", failing);
    broker_addresses_destroy(addresses);
}

Test(addresses, are_destroyed_as_nothing_too)
{
    broker_addresses_destroy(NULL);
}
