#include "cmd_testing.h"

TestSuite(processors, .timeout = 60);

static const char *test_plugins(void)
{
    const char *path = getenv("WHIPPET_TEST_PLUGINS");
    cr_assert_not_null(path, "WHIPPET_TEST_PLUGINS is not set: run the tests with ctest");
    return path;
}

Test(processors, of_the_build_tree_are_listed)
{
    whippet("", "processors", NULL);
    assert_code(0);
    assert_contains(result.output, "NAME  ");
    assert_contains(result.output, "  VERSION  SUMMARY  ");
    assert_contains(result.output, "  1.0      runs a command for each message  ");
    assert_contains(result.output, "\nlog ");
    assert_contains(result.output, "  1.0      prints each message to the log  ");
    cr_assert_str_empty(result.error);
}

Test(processors, that_cannot_be_loaded_are_told_with_the_reason)
{
    whippet("", "processors", "--path", test_plugins(), NULL);
    assert_code(1);
    assert_contains(result.output, "\ndeeds ");
    assert_contains(result.error, "wrong_abi.so is built for ABI 4711");
    assert_contains(result.error, "not_a_plugin.so is not a processor");
    assert_contains(result.error, "undefined symbol: whippet_no_such_function");
    cr_assert_null(strstr(result.output, "wrong_abi"));
}

Test(processors, are_described_with_their_options)
{
    whippet("", "processors", "-p", test_plugins(), "options", NULL);
    assert_code(0);
    assert_contains(result.output, "options 1.0: has options\nfrom /");
    assert_contains(result.output, "OPTION         TYPE             DEFAULT     HELP\n"
                                   "text           string           required    some text\n"
                                   "integer        whole number     -7          a whole number\n");
    assert_contains(result.output, "plain_text     string           -           \n");
}

Test(processors, without_options_are_described)
{
    whippet("", "processors", "-p", test_plugins(), "deeds", NULL);
    assert_code(0);
    assert_contains(result.output, "It has no options.\n");
}

Test(processors, that_do_not_exist_are_refused)
{
    whippet("", "processors", "orders", NULL);
    assert_code(1);
    assert_contains(result.error, "whippet processors: there is no processor \"orders\"");
}

Test(processors, that_are_nowhere_are_not_listed)
{
    whippet("", "processors", "-p", "/no/such/folder", NULL);
    assert_code(1);
    cr_assert_str_eq(result.error, "whippet processors: none found. Looked in: /no/such/folder\n");
}

Test(processors, are_asked_for_one_at_a_time)
{
    whippet("", "processors", "log", "exec", NULL);
    assert_code(64);
    assert_contains(result.error, "one name is enough, found \"exec\" as well");
}
