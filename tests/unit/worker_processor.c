#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <worker/plugin.h>

static struct whippet_failure failure;
static struct plugin *kept; /* so that the plugin's counts outlive the processor */

static struct plugin *load(void)
{
    const char *path[] = {getenv("WHIPPET_TEST_PLUGINS")};
    cr_assert_not_null(path[0], "WHIPPET_TEST_PLUGINS is not set: run the tests with ctest");
    struct plugin *plugin = plugin_load("counting", path, 1, &failure);
    cr_assert_not_null(plugin, "%s", failure.text);
    return plugin;
}

static void keep(void)
{
    kept = load();
}

static void unload(void)
{
    plugin_unload(kept);
}

TestSuite(processor, .init = keep, .fini = unload, .timeout = 60);

static whippet_settings *settings_with_mode(const char *mode)
{
    char text[500];
    struct config_errors errors = {0};
    snprintf(text, sizeof text,
             "{\"amqp\":{\"url\":\"amqp://h/\"},\"queues\":[{\"name\":\"q\",\"processor\":\"p\",\"settings\":"
             "{\"mode\":\"%s\"}}]}",
             mode);
    struct config *config = config_parse(text, "test.json", &errors);
    whippet_settings *settings =
        settings_check(kept, config->queues[0].settings, "queues[0].settings", config, &errors);
    cr_assert_not_null(settings);
    config_destroy(config);
    return settings;
}

Test(processor, is_set_up_and_torn_down_once)
{
    struct processor processor;
    int error = processor_setup(&processor, load(), settings_with_mode("works"), &failure);
    cr_assert_eq(error, 0, "%s", failure.text);
    const int *counts = processor.state;
    cr_assert_eq(counts[0], 1);
    cr_assert_eq(counts[1], 0);
    processor_teardown(&processor);
    cr_assert_eq(counts[1], 1);
    processor_teardown(&processor);
    cr_assert_eq(counts[1], 1);
}

Test(processor, fails_in_its_own_words)
{
    struct processor processor;
    whippet_settings *settings = settings_with_mode("fails");
    cr_assert_eq(processor_setup(&processor, kept, settings, &failure), WHIPPET_E_INVALID);
    cr_assert_str_eq(failure.text, "mode: found \"fails\"");
    settings_destroy(settings);
}

Test(processor, fails_without_a_reason)
{
    struct processor processor;
    whippet_settings *settings = settings_with_mode("fails_silently");
    cr_assert_eq(processor_setup(&processor, kept, settings, &failure), WHIPPET_E_INVALID);
    cr_assert_str_eq(failure.text, "its setup() returned 3 without giving a reason");
    settings_destroy(settings);
}

Test(processor, needs_neither_setup_nor_teardown)
{
    const char *path[] = {getenv("WHIPPET_TEST_PLUGINS")};
    struct processor processor;
    struct plugin *plugin = plugin_load("deeds", path, 1, &failure);
    cr_assert_not_null(plugin, "%s", failure.text);
    cr_assert_eq(processor_setup(&processor, plugin, NULL, &failure), 0);
    cr_assert_null(processor.state);
    processor_teardown(&processor);
}
