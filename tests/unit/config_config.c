#include "config_testing.h"

static void setup(void)
{
    forget_environment();
}

TestSuite(config, .init = setup);

Test(config, has_defaults_for_everything_but_the_queues)
{
    struct config *config = parse("{" ONE_QUEUE "}");
    cr_assert_str_eq(config->file, TEST_FILE);
    cr_assert_eq(config->heartbeat, 20);
    cr_assert_eq(config->connect_timeout, 10);
    cr_assert_eq(config->reconnect_min, 0.5);
    cr_assert_eq(config->reconnect_max, 30);
    cr_assert_eq(config->stack_size, 256 << 10);
    cr_assert_eq(config->threads, 4);
    cr_assert_eq(config->shutdown_timeout, 25);
    cr_assert_eq(config->log_level, WHIPPET_INFO);
    cr_assert_eq(config->log_format, CONFIG_LOG_AUTO);
    cr_assert_eq(config->queue_count, 1);
    cr_assert_eq(config->processor_path_count, 0);
    cr_assert_null(config->processor_path);
    config_destroy(config);
}

Test(config, takes_what_the_file_says)
{
    struct config *config = parse(WITH_KEYS(
        "\"$schema\": \"whippet.schema.json\", \"amqp\": { \"heartbeat\": \"5s\", \"connect_timeout\": 2.5, "
        "\"reconnect\": { \"min\": \"100ms\", \"max\": \"1m\" } }, \"stack_size\": \"128KiB\", \"threads\": "
        "7, "
        "\"processor_path\": "
        "[\"a\", \"/b\"], \"shutdown_timeout\": \"1m\", \"log\": { \"level\": \"debug\", \"format\": "
        "\"json\" }"));
    cr_assert_eq(config->heartbeat, 5);
    cr_assert_eq(config->connect_timeout, 2.5);
    cr_assert_eq(config->reconnect_min, 0.1);
    cr_assert_eq(config->reconnect_max, 60);
    cr_assert_eq(config->stack_size, 128 << 10);
    cr_assert_eq(config->threads, 7);
    cr_assert_eq(config->shutdown_timeout, 60);
    cr_assert_eq(config->log_level, WHIPPET_DEBUG);
    cr_assert_eq(config->log_format, CONFIG_LOG_JSON);
    cr_assert_eq(config->processor_path_count, 2);
    cr_assert_str_eq(config->processor_path[0], "a");
    cr_assert_str_eq(config->processor_path[1], "/b");
    config_destroy(config);
}

static void assert_hosts(const char *text, const char *hosts)
{
    char found[128] = "";
    struct config *config = parse(text);
    for (size_t i = 0; i < config->address_count; i++)
        strcat(strcat(found, i > 0 ? " " : ""), config->addresses[i].host);
    cr_assert_str_eq(found, hosts, "found %s", found);
    config_destroy(config);
}

Test(config, takes_a_list_of_brokers_however_it_is_written)
{
    assert_hosts(WITH_KEYS("\"amqp\": { \"url\": [\"amqp://a\", \"amqp://b\"] }"), "a b");
    assert_hosts(WITH_KEYS("\"amqp\": { \"url\": \"amqp://a/,amqp://b,amqps://c\" }"), "a b c");
    assert_hosts(WITH_KEYS("\"amqp\": { \"url\": [\"amqp://a,amqp://b\", \"amqp://c\"] }"), "a b c");
    setenv("AMQP_URL", "amqp://d,amqp://e", 1);
    assert_hosts("{" ONE_QUEUE "}", "d e");
    assert_hosts(WITH_KEYS("\"amqp\": { \"url\": \"${AMQP_URL}\" }"), "d e");
}

/* "dd" among the flags of the pages: no core dump has them (proc_pid_smaps(5)). */
static bool is_left_out_of_dumps(const void *memory)
{
    char line[512];
    bool here = false, left_out = false;
    FILE *maps = fopen("/proc/self/smaps", "r");
    cr_assert_not_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long begin, end;
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
            here = (unsigned long)memory >= begin && (unsigned long)memory < end;
        else if (here && strncmp(line, "VmFlags:", 8) == 0)
            left_out = strstr(line, " dd") != NULL;
    }
    fclose(maps);
    return left_out;
}

Test(config, keeps_passwords_where_no_core_dump_shows_them)
{
    struct config *config = parse(WITH_KEYS("\"amqp\": { \"url\": \"amqp://me:s3cr3t@a\" }"));
    cr_assert_str_eq(config->addresses[0].password, "s3cr3t");
    cr_assert(is_left_out_of_dumps(config->addresses[0].password));
    cr_assert_not(is_left_out_of_dumps(&config), "the flag says nothing");
    config_destroy(config);
}

Test(config, is_destroyed_as_nothing_too)
{
    config_destroy(NULL);
}

Test(config, keeps_its_own_copy_of_the_text)
{
    char text[] = "{" ONE_QUEUE "}";
    struct config *config = parse(text);
    memset(text, 'x', sizeof text - 1);
    cr_assert_str_eq(config->queues[0].name, "orders");
    config_destroy(config);
}

Test(config, without_queues_is_an_error_with_an_example)
{
    assert_errors(
        "{}",
        "1: queues: is missing; name at least one: \"queues\": [ { \"name\": \"orders\", \"processor\": "
        "\"log\" } ]\n");
    assert_errors("{\n\"queues\": [] }",
                  "2: queues: expected a list such as [ { \"name\": \"orders\", \"processor\": "
                  "\"log\" } ], found an empty list\n");
    assert_error("{\"queues\": {}}", "queues: expected a list such as");
    assert_error("{\"queues\": null}", "queues: expected a list such as");
}

Test(config, counts_heartbeats_in_whole_seconds)
{
    struct config *config = parse(WITH_KEYS("\"amqp\": { \"heartbeat\": 0 }"));
    cr_assert_eq(config->heartbeat, 0);
    config_destroy(config);
    assert_error(WITH_KEYS("\"amqp\": { \"heartbeat\": \"500ms\" }"), "expected whole seconds");
    assert_error(WITH_KEYS("\"amqp\": { \"heartbeat\": \"1d\" }"), "expected a duration from 0");
    assert_error(WITH_KEYS("\"amqp\": { \"heartbeat\": null }"),
                 "amqp.heartbeat: expected a duration such as");
}

Test(config, wants_times_above_0)
{
    assert_error(WITH_KEYS("\"amqp\": { \"connect_timeout\": 0 }"),
                 "expected a duration from 1ms to 365d, found 0");
    assert_error(WITH_KEYS("\"amqp\": { \"reconnect\": { \"min\": 0 } }"),
                 "amqp.reconnect.min: expected a duration from 1ms");
    assert_error(WITH_KEYS("\"shutdown_timeout\": \"366d\""), "to 365d, found \"366d\"");
}

Test(config, wants_the_least_pause_below_the_longest)
{
    assert_errors(WITH_KEYS("\"amqp\": { \"reconnect\": { \"min\": 2, \"max\": 1 } }"),
                  "1: amqp.reconnect.max: is less than min; raise it or lower min\n");
}

Test(config, lets_one_pause_that_is_given_move_the_default_of_the_other)
{
    struct config *config = parse(WITH_KEYS("\"amqp\": { \"reconnect\": { \"min\": \"1m\" } }"));
    cr_assert_eq(config->reconnect_max, 60);
    config_destroy(config);
    config = parse(WITH_KEYS("\"amqp\": { \"reconnect\": { \"max\": \"100ms\" } }"));
    cr_assert_eq(config->reconnect_min, 0.1);
    config_destroy(config);
}

Test(config, wants_stacks_of_whole_pages)
{
    assert_error(WITH_KEYS("\"threads\": 0"), "threads: expected");
    assert_error(WITH_KEYS("\"threads\": 257"), "256");
    assert_error(WITH_KEYS("\"stack_size\": 100001"), "stack_size: expected a multiple of the page size");
    assert_error(WITH_KEYS("\"stack_size\": \"16KiB\""),
                 "expected a size from 32 KiB to 64 MiB, found \"16KiB\"");
    assert_error(WITH_KEYS("\"stack_size\": \"1GiB\""), "expected a size from 32 KiB to 64 MiB");
    assert_error(WITH_KEYS("\"stack_size\": \"big\""),
                 "expected a size such as \"16MiB\", \"64KiB\" or a number of bytes");
}

Test(config, takes_one_folder_or_a_list)
{
    struct config *config = parse(WITH_KEYS("\"processor_path\": \"/x\""));
    cr_assert_eq(config->processor_path_count, 1);
    cr_assert_str_eq(config->processor_path[0], "/x");
    config_destroy(config);
    assert_error(WITH_KEYS("\"processor_path\": []"),
                 "expected a folder or a list of them, found an empty list");
    assert_error(WITH_KEYS("\"processor_path\": 3"), "expected a folder or a list of them, found 3");
    assert_error(WITH_KEYS("\"processor_path\": \"\""), "processor_path: must not be empty");
    assert_error(WITH_KEYS("\"processor_path\": [\"a\", 3]"),
                 "processor_path[1]: expected a string, found a number");
}

Test(config, wants_objects_where_keys_are)
{
    assert_error(WITH_KEYS("\"amqp\": []"), "amqp: expected an object, found an empty list");
    assert_error(WITH_KEYS("\"log\": true"), "log: expected an object, found true");
    assert_error(WITH_KEYS("\"$schema\": 3"), "$schema: expected a string, found 3");
}

Test(config, takes_the_log_level_of_the_environment_when_the_file_has_none)
{
    setenv("LOG_LEVEL", "WARN", 1);
    struct config *config = parse("{" ONE_QUEUE "}");
    cr_assert_eq(config->log_level, WHIPPET_WARNING);
    config_destroy(config);
    config = parse(WITH_KEYS("\"log\": { \"level\": \"error\" }"));
    cr_assert_eq(config->log_level, WHIPPET_ERROR);
    config_destroy(config);
    setenv("LOG_LEVEL", "", 1);
    config = parse("{" ONE_QUEUE "}");
    cr_assert_eq(config->log_level, WHIPPET_INFO);
    config_destroy(config);
}

Test(config, checks_the_log_level_of_the_environment)
{
    setenv("LOG_LEVEL", "loud", 1);
    assert_errors(
        "{" ONE_QUEUE "}",
        " the environment variable LOG_LEVEL: expected debug, info, warning or error, found \"loud\"\n");
}

Test(config, refuses_numbers_beyond_what_there_is)
{
    assert_error(WITH_QUEUE_KEYS("\"settings\": { \"a\": 1e999 }"),
                 "queues[0].settings.a: the number is too large");
}
