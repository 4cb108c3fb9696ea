#include <base/log.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <worker/plugin.h>

/* --- Checking settings as a configuration has them ------------------------------------------------------*/

static struct plugin *plugin;
static struct config_errors errors;
static char all_errors[4096]; /* "path: text" of each, one a line */

static void load(void)
{
    struct whippet_failure failure;
    const char *path[] = {getenv("WHIPPET_TEST_PLUGINS")};
    cr_assert_not_null(path[0], "WHIPPET_TEST_PLUGINS is not set: run the tests with ctest");
    plugin = plugin_load("options", path, 1, &failure);
    cr_assert_not_null(plugin, "%s", failure.text);
}

static void unload(void)
{
    plugin_unload(plugin);
}

TestSuite(settings, .init = load, .fini = unload, .timeout = 60);

static void gather_errors(void)
{
    size_t length = 0;
    all_errors[0] = '\0';
    for (size_t i = 0; i < errors.count; i++)
        length += (size_t)snprintf(all_errors + length, sizeof all_errors - length, "%d: %s: %s\n",
                                   errors.items[i].line, errors.items[i].path, errors.items[i].text);
    config_errors_destroy(&errors);
}

/* `text` is JSON with ' in place of ". NULL with the errors in all_errors. */
static whippet_settings *check(const char *text)
{
    char file[2048];
    snprintf(file, sizeof file, "{'amqp':{'url':'amqp://h/'},'queues':[{'name':'q','processor':'p'%s%s}]}",
             text != NULL ? ",'settings':\n" : "", text != NULL ? text : "");
    for (char *at = file; *at != '\0'; at++)
        *at = *at == '\'' ? '"' : *at;
    struct config *config = config_parse(file, "test.json", &errors);
    if (config == NULL) {
        gather_errors();
        cr_assert_fail("%s", all_errors);
    }
    whippet_settings *settings =
        settings_check(plugin, config->queues[0].settings, "queues[0].settings", config, &errors);
    gather_errors();
    config_destroy(config);
    return settings;
}

static whippet_settings *accept(const char *text)
{
    whippet_settings *settings = check(text);
    cr_assert_not_null(settings, "%s", all_errors);
    cr_assert_str_empty(all_errors);
    return settings;
}

static void assert_refused(const char *text, const char *expected)
{
    cr_assert_null(check(text));
    cr_assert_str_eq(all_errors, expected);
}

/* --- Values ---------------------------------------------------------------------------------------------*/

Test(settings, take_defaults)
{
    whippet_settings *settings = accept("{'text': 'x'}");
    size_t count;
    cr_assert_eq(whippet_setting_integer(settings, "integer"), -7);
    cr_assert_eq(whippet_setting_number(settings, "number"), 2.5);
    cr_assert(whippet_setting_boolean(settings, "boolean"));
    cr_assert_eq(whippet_setting_duration(settings, "duration"), 0.25);
    cr_assert_eq(whippet_setting_size(settings, "size"), 16384);
    const char *const *strings = whippet_setting_strings(settings, "strings", &count);
    cr_assert_eq(count, 2);
    cr_assert_str_eq(strings[0], "a");
    cr_assert_str_eq(strings[1], "b");
    cr_assert_null(strings[2]);
    const char *const *map = whippet_setting_strings(settings, "map", &count);
    cr_assert_eq(count, 2);
    cr_assert_str_eq(map[0], "k");
    cr_assert_str_eq(map[1], "v");
    cr_assert_null(map[2]);
    settings_destroy(settings);
}

Test(settings, take_what_is_given)
{
    whippet_settings *settings = accept(
        "{'text': 'given', 'integer': 9007199254740991, 'number': -1e300, 'boolean': false, 'duration': '5m',"
        " 'size': '1GiB', 'strings': ['only'], 'map': {'a': '1', 'b': ''}}");
    size_t count;
    cr_assert_str_eq(whippet_setting_string(settings, "text"), "given");
    cr_assert_eq(whippet_setting_integer(settings, "integer"), 9007199254740991);
    cr_assert_eq(whippet_setting_number(settings, "number"), -1e300);
    cr_assert_not(whippet_setting_boolean(settings, "boolean"));
    cr_assert_eq(whippet_setting_duration(settings, "duration"), 300);
    cr_assert_eq(whippet_setting_size(settings, "size"), 1 << 30);
    cr_assert_str_eq(whippet_setting_strings(settings, "strings", NULL)[0], "only");
    const char *const *map = whippet_setting_strings(settings, "map", &count);
    cr_assert_eq(count, 4);
    cr_assert_str_eq(map[2], "b");
    cr_assert_str_eq(map[3], "");
    settings_destroy(settings);
}

Test(settings, take_plain_numbers_for_durations_and_sizes)
{
    whippet_settings *settings = accept("{'text': '', 'duration': 1.5, 'size': 4096}");
    cr_assert_eq(whippet_setting_duration(settings, "duration"), 1.5);
    cr_assert_eq(whippet_setting_size(settings, "size"), 4096);
    settings_destroy(settings);
}

Test(settings, take_numbers_from_the_environment)
{
    setenv("WHIPPET_TEST_INTEGER", "12", 1);
    whippet_settings *settings = accept("{'text': '', 'integer': '${WHIPPET_TEST_INTEGER}'}");
    cr_assert_eq(whippet_setting_integer(settings, "integer"), 12);
    settings_destroy(settings);
}

Test(settings, are_empty_without_default_and_value)
{
    whippet_settings *settings = accept("{'text': ''}");
    size_t count = 99;
    cr_assert_str_eq(whippet_setting_string(settings, "plain_text"), "");
    cr_assert_eq(whippet_setting_integer(settings, "plain_integer"), 0);
    cr_assert_null(whippet_setting_strings(settings, "plain_strings", &count)[0]);
    cr_assert_eq(count, 0);
    settings_destroy(settings);
}

Test(settings, know_what_was_given)
{
    whippet_settings *settings = accept("{'text': '', 'integer': -7}");
    cr_assert(whippet_setting_given(settings, "text"));
    cr_assert(whippet_setting_given(settings, "integer"));
    cr_assert_not(whippet_setting_given(settings, "number"));
    cr_assert_not(whippet_setting_given(settings, "plain_text"));
    settings_destroy(settings);
}

/* --- Mistakes in the configuration ----------------------------------------------------------------------*/

Test(settings, refuse_each_wrong_type_at_its_place)
{
    assert_refused(
        "{'text': 1,\n 'integer': 1.5,\n 'number': '1',\n 'boolean': 'yes',\n 'duration': '3 parsecs',\n"
        " 'size': -1,\n 'strings': ['a', 2],\n 'map': {'a': true}}",
        "2: queues[0].settings.text: expected a string, found a number\n"
        "3: queues[0].settings.integer: expected a whole number, found 1.5\n"
        "4: queues[0].settings.number: expected a number, found \"1\"\n"
        "5: queues[0].settings.boolean: expected true or false, found \"yes\"\n"
        "6: queues[0].settings.duration: expected a duration such as \"3s\", or a number of seconds, found "
        "\"3 parsecs\"\n"
        "7: queues[0].settings.size: expected a size such as \"16MiB\", or a number of bytes, found -1\n"
        "8: queues[0].settings.strings: expected a list of strings, found a number in it\n"
        "9: queues[0].settings.map: expected an object whose values are strings, found true in it\n");
}

Test(settings, refuse_containers_of_the_wrong_kind)
{
    assert_refused("{'text': '', 'strings': {'a': 'b'}, 'map': ['a'], 'integer': null}",
                   "2: queues[0].settings.integer: expected a whole number, found null\n"
                   "2: queues[0].settings.strings: expected a list of strings, found an object\n"
                   "2: queues[0].settings.map: expected an object whose values are strings, found a list\n");
}

Test(settings, refuse_a_whole_number_that_json_would_have_changed)
{
    cr_assert_null(check("{'text': '', 'integer': 9007199254740994}"));
    cr_assert_not_null(strstr(all_errors, "expected a whole number"), "%s", all_errors);
}

Test(settings, name_what_is_missing)
{
    assert_refused("{}",
                   "1: queues[0].settings: the processor options needs the option \"text\": some text\n");
    cr_assert_null(check(NULL));
    cr_assert_not_null(strstr(all_errors, "needs the option \"text\""), "%s", all_errors);
}

Test(settings, suggest_the_name_that_was_meant)
{
    assert_refused("{'text': '', 'intger': 1}",
                   "2: queues[0].settings.intger: the processor options has no such "
                   "option; did you mean \"integer\"?\n");
}

Test(settings, list_the_names_there_are)
{
    assert_refused(
        "{'text': '', 'zzzzzzz.q': 1}",
        "2: queues[0].settings[\"zzzzzzz.q\"]: the processor options has no such option; it has: text, "
        "integer, number, boolean, duration, size, strings, map, plain_text, plain_strings, "
        "plain_integer\n");
}

/* --- Mistakes in the processor --------------------------------------------------------------------------*/

/* What is logged while the function runs; static. */
static const char *logged_by(void (*function)(whippet_settings *settings), whippet_settings *settings)
{
    static char text[4096];
    char file[] = "/tmp/whippet-log-XXXXXX";
    int descriptor = mkstemp(file);
    unlink(file);
    log_configure(descriptor, WHIPPET_DEBUG, LOG_FORMAT_TEXT);
    function(settings);
    log_configure(STDERR_FILENO, WHIPPET_INFO, LOG_FORMAT_TEXT);
    ssize_t length = pread(descriptor, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    close(descriptor);
    return text;
}

static void ask_for_another_name(whippet_settings *settings)
{
    cr_assert_eq(whippet_setting_integer(settings, "integre"), 0);
    cr_assert_str_eq(whippet_setting_string(settings, "txt"), "");
    cr_assert_not(whippet_setting_given(settings, "txt"));
}

static void ask_for_another_type(whippet_settings *settings)
{
    cr_assert_eq(whippet_setting_integer(settings, "number"), 0);
    cr_assert_eq(whippet_setting_number(settings, "duration"), 0);
    cr_assert_eq(whippet_setting_duration(settings, "number"), 0);
    cr_assert_eq(whippet_setting_size(settings, "integer"), 0);
    cr_assert_not(whippet_setting_boolean(settings, "integer"));
    cr_assert_str_eq(whippet_setting_string(settings, "strings"), "");
    cr_assert_null(whippet_setting_strings(settings, "text", NULL)[0]);
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
        count++;
    return count;
}

Test(settings, log_an_error_for_an_option_that_was_not_declared)
{
    whippet_settings *settings = accept("{'text': 'x'}");
    const char *log = logged_by(ask_for_another_name, settings);
    cr_assert_eq(count_of(log, "error"), 3, "%s", log);
    cr_assert_not_null(
        strstr(log, "the processor options asks for its option \"integre\", which it does not declare"));
    settings_destroy(settings);
}

Test(settings, log_an_error_for_an_option_of_another_type)
{
    whippet_settings *settings = accept("{'text': 'x'}");
    const char *log = logged_by(ask_for_another_type, settings);
    cr_assert_eq(count_of(log, "error"), 7, "%s", log);
    cr_assert_not_null(strstr(log, "asks for its option \"number\" as another type than it declares"));
    settings_destroy(settings);
}

/* --- Memory ---------------------------------------------------------------------------------------------*/

static size_t allowed;

static bool permit_some(size_t size)
{
    (void)size;
    if (allowed == 0)
        return false;
    allowed--;
    return true;
}

Test(settings, survive_any_allocation_that_fails)
{
    static const char text[] =
        "{\"amqp\":{\"url\":\"amqp://h/\"},\"queues\":[{\"name\":\"q\",\"processor\":\"p\","
        "\"settings\":{\"text\":\"x\",\"strings\":[\"a\",\"b\"],\"map\":{\"a\":\"b\"}}}]}";
    struct config *config = config_parse(text, "test.json", &errors);
    whippet_settings *settings = NULL;
    cr_assert_not_null(config);
    for (size_t count = 0; count < 200 && settings == NULL; count++) {
        allowed = count;
        memory_permit = permit_some;
        settings = settings_check(plugin, config->queues[0].settings, "queues[0].settings", config, &errors);
        memory_permit = NULL;
        if (settings == NULL)
            cr_assert_gt(errors.count, 0);
        config_errors_destroy(&errors);
    }
    cr_assert_not_null(settings);
    settings_destroy(settings);
    config_destroy(config);
}
