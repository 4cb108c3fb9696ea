/* The exec contract: what a command gets to see, and what its end means. */
#include "processor_testing.h"
#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <under_valgrind.h>

static struct outcome outcome;
static const struct properties_draft no_properties;

/* `script` is run by sh, and may hold no quotes of either kind. */
static void run_script(const char *script, const struct properties_draft *draft, whippet_bytes body)
{
    char settings[2048];
    snprintf(settings, sizeof settings, "{'command': ['sh', '-c', '%s']}", script);
    struct processor processor = set_up("exec", settings);
    attempt(&outcome, &processor, draft, body, INFINITY);
    processor_teardown(&processor);
}

/* The standard output of the last command, its lines joined again, without the end of each that the log makes
 * "\n". */
static const char *output_line(void)
{
    static char line[65536];
    const char *found = strstr(outcome.log, " info  ");
    cr_assert_not_null(found, "no output in \"%s\"", outcome.log);
    snprintf(line, sizeof line, "%s", found + strlen(" info  "));
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static void begin(void)
{
    skip_under_valgrind("Valgrind 3.19 has no pidfd_open, by which a command's end is seen");
}

TestSuite(exec_processor, .init = begin, .timeout = 60);

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* --- What its end means ---------------------------------------------------------------------------------*/

static void assert_end(const char *script, whippet_verdict verdict, const char *reason)
{
    run_script(script, &no_properties, (whippet_bytes){0});
    cr_assert_eq(outcome.verdict, verdict, "%s: verdict %d", script, (int)outcome.verdict);
    cr_assert_str_eq(outcome.reason, reason);
}

Test(exec_processor, acknowledges_after_status_0)
{
    assert_end("exit 0", WHIPPET_ACK, "");
}

Test(exec_processor, rejects_after_status_3_and_5)
{
    assert_end("echo bad id >&2; exit 3", WHIPPET_REJECT, "exit status 3: bad id");
    assert_end("exit 5", WHIPPET_REJECT, "exit status 5");
}

Test(exec_processor, retries_after_status_4_and_6_and_any_other)
{
    assert_end("exit 4", WHIPPET_RETRY, "exit status 4");
    assert_end("exit 6", WHIPPET_RETRY, "exit status 6");
    assert_end("echo one >&2; echo two >&2; exit 1", WHIPPET_RETRY, "exit status 1: one\ntwo");
    assert_end("exit 255", WHIPPET_RETRY, "exit status 255");
}

Test(exec_processor, retries_after_a_signal)
{
    assert_end("echo oh >&2; kill -9 $$$$", WHIPPET_RETRY, "ended by signal 9 (SIGKILL): oh");
}

Test(exec_processor, keeps_the_last_whole_lines_of_standard_error_as_the_reason)
{
    run_script("seq 1 5000 >&2; exit 1", &no_properties, (whippet_bytes){0});
    assert_contains(outcome.reason, "exit status 1: 4");
    cr_assert_str_eq(outcome.reason + strlen(outcome.reason) - 10, "\n4999\n5000");
    cr_assert_eq((strlen(outcome.reason) - strlen("exit status 1: ")) % 5, 4,
                 "the first line is not whole: %s", outcome.reason);
}

Test(exec_processor, keeps_the_end_of_one_long_line_as_the_reason)
{
    run_script("head -c 5000 /dev/zero | tr \\\\\\\\0 x >&2; echo end >&2; exit 1", &no_properties,
               (whippet_bytes){0});
    assert_contains(outcome.reason, "exit status 1: x");
    cr_assert_str_eq(outcome.reason + strlen(outcome.reason) - 6, "xxxend");
    cr_assert_lt(strlen(outcome.reason), 1024);
}

Test(exec_processor, does_not_lose_a_reason_behind_a_nul)
{
    assert_end("printf a\\\\\\\\0b >&2; exit 1", WHIPPET_RETRY, "exit status 1: a b");
}

Test(exec_processor, retries_when_the_time_is_up)
{
    struct processor processor = set_up("exec", "{'command': ['sleep', '1000']}");
    attempt(&outcome, &processor, &no_properties, (whippet_bytes){0}, 0.2);
    processor_teardown(&processor);
    cr_assert_eq(outcome.verdict, WHIPPET_RETRY);
    cr_assert_str_eq(outcome.reason, "the command sleep was ended: timed out");
    siginfo_t info;
    cr_assert(waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0 && errno == ECHILD);
}

Test(exec_processor, retries_when_the_command_has_gone_since_the_start)
{
    char file[] = "/tmp/whippet-exec-XXXXXX", settings[200], reason[200];
    int descriptor = mkstemp(file);
    fchmod(descriptor, 0700);
    close(descriptor);
    snprintf(settings, sizeof settings, "{'command': ['%s']}", file);
    snprintf(reason, sizeof reason, "cannot start %s: No such file or directory", file);
    struct processor processor = set_up("exec", settings);
    unlink(file);
    attempt(&outcome, &processor, &no_properties, (whippet_bytes){0}, INFINITY);
    processor_teardown(&processor);
    cr_assert_eq(outcome.verdict, WHIPPET_RETRY);
    cr_assert_str_eq(outcome.reason, reason);
}

/* --- What it gets to see --------------------------------------------------------------------------------*/

Test(exec_processor, gives_the_body_on_standard_input)
{
    run_script("od -An -tx1", &no_properties, bytes_of("a\0\xff", 3));
    cr_assert_str_eq(output_line(), " 61 00 ff");
}

static struct properties_draft full_draft(struct buffer *headers)
{
    struct buffer inner;
    buffer_init(&inner);
    buffer_init(headers);
    table_add_integer(&inner, (whippet_bytes){0}, -1);
    table_add_boolean(&inner, (whippet_bytes){0}, true);
    table_add_null(&inner, (whippet_bytes){0});
    table_add_nested(headers, bytes_of_text("list"), 'A',
                     bytes_of(buffer_begin(&inner), buffer_length(&inner)));
    buffer_clear(&inner);
    table_add_text(&inner, bytes_of_text("quo\"te"), bytes_of("\xff\n\0\x01", 4));
    table_add_nested(headers, bytes_of_text("table"), 'F',
                     bytes_of(buffer_begin(&inner), buffer_length(&inner)));
    buffer_destroy(&inner);
    table_add_integer(headers, bytes_of_text("large"), INT64_MAX);
    table_add_real(headers, bytes_of_text("real"), 0.1);
    table_add_real(headers, bytes_of_text("none"), NAN);
    table_add_timestamp(headers, bytes_of_text("moment"), 1763717400);
    table_add_text(headers, bytes_of_text("traceparent"), bytes_of_text(TRACE));
    table_add_text(headers, bytes_of_text("tracestate"), bytes_of_text("a=b"));
    buffer_append(headers, "\6binaryx\0\0\0\4\0\1\2\xff", 16);
    buffer_append(headers, "\5priceD\2\0\0\4\xd2", 12);
    return (struct properties_draft){.content_type = bytes_of_text("application/json"),
                                     .content_encoding = bytes_of_text("gzip"),
                                     .delivery_mode = 2,
                                     .priority = 7,
                                     .correlation_id = bytes_of_text("c-1"),
                                     .reply_to = bytes_of_text("answers"),
                                     .expiration = bytes_of_text("60000"),
                                     .message_id = bytes_of_text("m-1"),
                                     .timestamp = 1763717400,
                                     .type = bytes_of_text("order"),
                                     .user_id = bytes_of_text("guest"),
                                     .app_id = bytes_of_text("shop"),
                                     .header_entries =
                                         bytes_of(buffer_begin(headers), buffer_length(headers))};
}

Test(exec_processor, gives_properties_and_headers_as_json_on_descriptor_3)
{
    struct buffer headers;
    struct properties_draft draft = full_draft(&headers);
    run_script("cat <&3", &draft, (whippet_bytes){0});
    buffer_destroy(&headers);
    const char *json = output_line();
    assert_contains(json, "{\"properties\":{\"application_headers\":{\"list\":[-1,true,null],");
    assert_contains(json, "\"table\":{\"quo\\\"te\":\"\xef\xbf\xbd\\n\\u0000\\u0001\"}");
    assert_contains(json, "\"large\":9223372036854775807,\"real\":0.10000000000000001,\"none\":null,"
                          "\"moment\":\"2025-11-21T09:30:00Z\"");
    assert_contains(json, "\"binary\":\"AAEC/w==\",\"price\":12.34},\"content_type\":\"application/json\"");
    assert_contains(json,
                    "\"delivery_mode\":2,\"priority\":7,\"correlation_id\":\"c-1\",\"reply_to\":\"answers\","
                    "\"expiration\":\"60000\",\"message_id\":\"m-1\",\"timestamp\":\"2025-11-21T09:30:00Z\","
                    "\"type\":\"order\",\"user_id\":\"guest\",\"app_id\":\"shop\"}");
    assert_contains(
        json, "\"delivery_info\":{\"redelivered\":false,\"exchange\":\"shop\",\"routing_key\":"
              "\"orders.new\",\"queue\":\"orders\",\"delivery_count\":0,\"attempt\":2,\"attempts\":5}}");
}

Test(exec_processor, gives_json_that_others_can_read)
{
    struct buffer headers;
    struct properties_draft draft = full_draft(&headers);
    run_script("cat <&3", &draft, (whippet_bytes){0});
    buffer_destroy(&headers);
    cJSON *json = cJSON_ParseWithOpts(output_line(), NULL, true);
    cr_assert_not_null(json, "%s", output_line());
    cJSON_Delete(json);
}

/* The value that the command found in its environment; static. */
static const char *variable(const char *name, const struct properties_draft *draft)
{
    char script[100];
    snprintf(script, sizeof script, "echo .$${%s-unset}", name);
    run_script(script, draft, (whippet_bytes){0});
    return output_line() + 1;
}

Test(exec_processor, gives_the_main_properties_in_the_environment)
{
    static const char *const expected[][2] = {
        {"WHIPPET_QUEUE", "orders"},
        {"WHIPPET_EXCHANGE", "shop"},
        {"WHIPPET_ROUTING_KEY", "orders.new"},
        {"WHIPPET_MESSAGE_ID", "m-1"},
        {"WHIPPET_CORRELATION_ID", "c-1"},
        {"WHIPPET_REPLY_TO", "answers"},
        {"WHIPPET_CONTENT_TYPE", "application/json"},
        {"WHIPPET_CONTENT_ENCODING", "gzip"},
        {"WHIPPET_TYPE", "order"},
        {"WHIPPET_APP_ID", "shop"},
        {"WHIPPET_USER_ID", "guest"},
        {"WHIPPET_EXPIRATION", "60000"},
        {"WHIPPET_TIMESTAMP", "1763717400"},
        {"WHIPPET_PRIORITY", "7"},
        {"WHIPPET_DELIVERY_COUNT", "0"},
        {"WHIPPET_ATTEMPT", "2"},
        {"WHIPPET_ATTEMPTS", "5"},
        {"WHIPPET_REDELIVERED", "false"},
        {"TRACEPARENT", TRACE},
        {"TRACESTATE", "a=b"},
    };
    struct buffer headers;
    struct properties_draft draft = full_draft(&headers);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        cr_assert_str_eq(variable(expected[i][0], &draft), expected[i][1]);
    buffer_destroy(&headers);
}

Test(exec_processor, gives_empty_variables_for_what_is_absent_or_cannot_be_one)
{
    struct properties_draft draft = {.message_id = bytes_of("a\0b", 3)};
    cr_assert_str_eq(variable("WHIPPET_TYPE", &draft), "");
    cr_assert_str_eq(variable("WHIPPET_MESSAGE_ID", &draft), "");
}

Test(exec_processor, names_no_trace_where_the_message_has_none_that_is_valid)
{
    struct buffer headers;
    buffer_init(&headers);
    cr_assert_str_eq(variable("TRACEPARENT", &no_properties), "unset");
    table_add_text(&headers, bytes_of_text("traceparent"), bytes_of_text("00-abc-def-01"));
    table_add_text(&headers, bytes_of_text("tracestate"), bytes_of_text("a=b"));
    struct properties_draft draft = {.header_entries =
                                         bytes_of(buffer_begin(&headers), buffer_length(&headers))};
    cr_assert_str_eq(variable("TRACEPARENT", &draft), "unset");
    cr_assert_str_eq(variable("TRACESTATE", &draft), "unset");
    buffer_destroy(&headers);
}

Test(exec_processor, adds_to_the_environment_what_the_settings_say)
{
    struct processor processor =
        set_up("exec", "{'command': ['sh', '-c', 'echo $$GREETING $$PWD'], 'directory': '/usr',"
                       " 'environment': {'GREETING': 'good day'}}");
    attempt(&outcome, &processor, &no_properties, (whippet_bytes){0}, INFINITY);
    processor_teardown(&processor);
    cr_assert_str_eq(output_line(), "good day /usr");
}

/* --- Its output -----------------------------------------------------------------------------------------*/

Test(exec_processor, logs_output_line_by_line_and_error_as_warnings)
{
    run_script("echo one; echo; printf two; echo careful >&2", &no_properties, (whippet_bytes){0});
    assert_contains(outcome.log, " info  one\n");
    assert_contains(outcome.log, " info  two\n");
    assert_contains(outcome.log, " warn  careful\n");
}

Test(exec_processor, discards_output_when_told_so)
{
    struct processor processor =
        set_up("exec", "{'command': ['sh', '-c', 'echo one; echo two >&2'], 'output': 'discard'}");
    attempt(&outcome, &processor, &no_properties, (whippet_bytes){0}, INFINITY);
    processor_teardown(&processor);
    cr_assert_str_eq(outcome.log, "");
}

Test(exec_processor, logs_no_more_output_than_the_limit)
{
    struct processor processor =
        set_up("exec", "{'command': ['sh', '-c', 'seq 1 100000'], 'output': 'debug', 'output_limit': 4}");
    attempt(&outcome, &processor, &no_properties, (whippet_bytes){0}, INFINITY);
    processor_teardown(&processor);
    assert_contains(outcome.log, " debug 1\n");
    assert_contains(outcome.log, " debug 2\n");
    assert_contains(outcome.log, " warn  the command wrote more than 4 bytes, the rest was dropped\n");
    cr_assert_null(strstr(outcome.log, " debug 3\n"));
}

Test(exec_processor, logs_so_many_lines_a_second_and_counts_the_rest)
{
    struct processor processor =
        set_up("exec", "{'command': ['sh', '-c', 'seq 1 10000; echo end >&2'], 'log_rate': 5}");
    attempt(&outcome, &processor, &no_properties, (whippet_bytes){0}, INFINITY);
    processor_teardown(&processor);
    assert_contains(outcome.log, " info  5\n");
    cr_assert_null(strstr(outcome.log, " info  6\n"));
    assert_contains(outcome.log, " warn  9996 more lines of output were left out (log_rate 5)\n");
}

/* --- Settings -------------------------------------------------------------------------------------------*/

Test(exec_processor, refuses_a_command_that_cannot_be_found)
{
    setenv("PATH", "/usr/bin:/bin", 1);
    cr_assert_str_eq(refused_setup("exec", "{'command': ['no-such-program']}"),
                     "command: there is no program no-such-program in the folders of PATH (/usr/bin:/bin)");
    cr_assert_str_eq(refused_setup("exec", "{'command': ['./no-such-program'], 'directory': '/usr'}"),
                     "command: cannot run /usr/./no-such-program: No such file or directory");
    cr_assert_str_eq(refused_setup("exec", "{'command': ['/etc/passwd']}"),
                     "command: /etc/passwd is not executable: chmod +x it, or name its interpreter first");
    cr_assert_str_eq(refused_setup("exec", "{'command': ['/usr']}"),
                     "command: cannot run /usr: Is a directory");
    cr_assert_str_eq(refused_setup("exec", "{'command': []}"),
                     "command: the list is empty; expected a program and its arguments");
    cr_assert_str_eq(refused_setup("exec", "{'command': ['']}"),
                     "command: its first string, the program, is empty");
}

Test(exec_processor, finds_a_command_as_the_system_does)
{
    static const char *const paths[] = {"/no/such/folder:/bin", ":/bin", "/bin:", NULL};
    for (size_t i = 0; i < 4; i++) {
        if (paths[i] != NULL)
            setenv("PATH", paths[i], 1);
        else
            unsetenv("PATH");
        struct processor processor = set_up("exec", "{'command': ['true']}");
        attempt(&outcome, &processor, &no_properties, (whippet_bytes){0}, INFINITY);
        cr_assert_eq(outcome.verdict, WHIPPET_ACK, "%s", outcome.reason);
        processor_teardown(&processor);
    }
}

Test(exec_processor, refuses_a_directory_that_cannot_be)
{
    cr_assert_str_eq(refused_setup("exec", "{'command': ['true'], 'directory': '/no/such/folder'}"),
                     "directory: cannot use /no/such/folder: No such file or directory");
    cr_assert_str_eq(refused_setup("exec", "{'command': ['true'], 'directory': '/etc/passwd'}"),
                     "directory: /etc/passwd is not a folder");
}

Test(exec_processor, refuses_names_that_cannot_be_in_the_environment)
{
    cr_assert_str_eq(refused_setup("exec", "{'command': ['true'], 'environment': {'OK': '', 'A=B': 'c'}}"),
                     "environment: \"A=B\" cannot be the name of a variable");
    cr_assert_str_eq(refused_setup("exec", "{'command': ['true'], 'environment': {'': 'c'}}"),
                     "environment: \"\" cannot be the name of a variable");
    cr_assert_str_eq(
        refused_setup("exec", "{'command': ['true'], 'environment': {'WHIPPET_QUEUE': 'c'}}"),
        "environment: \"WHIPPET_QUEUE\" is taken: names that begin with WHIPPET_ tell of the message");
}

Test(exec_processor, refuses_an_output_that_is_none)
{
    cr_assert_str_eq(refused_setup("exec", "{'command': ['true'], 'output_limit': '65MiB'}"),
                     "output_limit: expected at most 64 MiB, found 68157440 bytes");
    cr_assert_str_eq(refused_setup("exec", "{'command': ['true'], 'log_rate': 0}"),
                     "log_rate: expected a number from 1 to 4294967295, found 0");
    cr_assert_str_eq(
        refused_setup("exec", "{'command': ['true'], 'output': 'loud'}"),
        "output: expected \"debug\", \"info\", \"warning\", \"error\" or \"discard\", found \"loud\"");
}
