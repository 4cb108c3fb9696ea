#include "cmd_testing.h"

TestSuite(try, .timeout = 180);

static const char *test_plugins(void)
{
    const char *folder = getenv("WHIPPET_TEST_PLUGINS");
    cr_assert_not_null(folder, "WHIPPET_TEST_PLUGINS is not set: run the tests with ctest");
    return folder;
}

/* Has the processor tests/plugins/deeds.c do `deed`, with further words, the last of which is NULL. */
__attribute__((sentinel)) static void try_deed(const char *deed, ...)
{
    const char *words[MOST_ARGUMENTS] = {"whippet", "try", "deeds", "-m", "-", "-p", test_plugins()};
    va_list arguments;
    int in = file_with(deed), out = file_with(""), error = file_with(""), count = 7;
    va_start(arguments, deed);
    while ((words[count] = va_arg(arguments, const char *)) != NULL)
        count++;
    va_end(arguments);
    result.code = wait_for(start(in, out, error, words));
    close(in);
    read_back(out, result.output);
    read_back(error, result.error);
}

/* --- Verdicts -------------------------------------------------------------------------------------------*/

Test(try, ends_with_0_for_ack)
{
    try_deed("nothing", NULL);
    assert_code(0);
    assert_contains(result.output, "verdict    ACK\ntime       ");
    assert_contains(result.output, " of 256 KiB\n");
    cr_assert_str_empty(result.error);
}

Test(try, ends_with_1_for_reject_and_prints_the_reason_safely)
{
    try_deed("reject", NULL);
    assert_code(1);
    assert_contains(result.output, "verdict    REJECT\nreason     not ?[31mthis\nway\n");
}

Test(try, ends_with_1_for_retry)
{
    try_deed("third", NULL);
    assert_code(1);
    assert_contains(result.output, "verdict    RETRY\nreason     not yet\n");
    cr_assert_null(strstr(result.output, "attempt"));
}

Test(try, takes_any_other_verdict_for_retry)
{
    try_deed("nonsense", NULL);
    assert_code(1);
    assert_contains(result.output, "verdict    RETRY (it returned no verdict that there is)\n");
}

Test(try, ends_an_attempt_at_its_timeout)
{
    try_deed("sleep", "--timeout", "100ms", NULL);
    assert_code(1);
    assert_contains(result.output, "reason     timed out\ntimeout    it took longer than 0.1s\n");
}

Test(try, runs_the_attempt_it_is_told)
{
    try_deed("third", "-n", "3", NULL);
    assert_code(0);
    assert_contains(result.output, "attempt    3 of 5\nverdict    ACK\n");
}

Test(try, goes_on_until_an_attempt_does_not_ask_for_another)
{
    try_deed("third", "--all-attempts", NULL);
    assert_code(0);
    assert_contains(result.output, "\n\nattempt    2 of 5\nverdict    RETRY\n");
    assert_contains(result.output, "\n\nattempt    3 of 5\nverdict    ACK\n");
    cr_assert_null(strstr(result.output, "attempt    4"));
    try_deed("nonsense", "--all-attempts", NULL);
    assert_code(1);
    assert_contains(result.output, "\n\nattempt    5 of 5\nverdict    RETRY");
}

Test(try, shows_what_would_be_published)
{
    try_deed("publish", NULL);
    assert_code(0);
    assert_contains(
        result.output,
        "published  4 bytes to the exchange \"\" with the routing key \"elsewhere\" (not really)\n");
}

Test(try, shows_properties_headers_and_body_of_what_would_be_published)
{
    try_deed("announce", NULL);
    assert_code(0);
    assert_contains(result.output,
                    "published  2 bytes to the exchange \"events\" with the routing key \"orders.new\" "
                    "(not really)\n"
                    "           content-type: application/x\n"
                    "           expiration: 2000\n"
                    "           priority: 7\n"
                    "           transient\n"
                    "           header tenant: acme?\n"
                    "           header n: 9007199254740993\n"
                    "           body: \xff?\n");
}

Test(try, prints_json_for_programs)
{
    try_deed("announce", "--json", NULL);
    assert_code(0);
    assert_contains(result.output, "{\"attempt\":1,\"attempts\":5,\"verdict\":\"ACK\",\"reason\":null,"
                                   "\"timed_out\":false,\"seconds\":");
    assert_contains(result.output,
                    "\"stack_size\":262144,\"published\":[{\"exchange\":\"events\",\"routing_key\":"
                    "\"orders.new\",\"body_hex\":\"ff00\",\"content_type\":\"application/x\","
                    "\"expiration\":\"2000\",\"timestamp\":0,\"priority\":7,\"persistent\":false,"
                    "\"headers\":{\"tenant\":\"acme\\u001b\",\"n\":9007199254740993}}]}\n");
}

Test(try, prints_a_line_of_json_for_each_attempt)
{
    try_deed("third", "--json", "--all-attempts", NULL);
    assert_code(0);
    assert_contains(result.output,
                    "{\"attempt\":1,\"attempts\":5,\"verdict\":\"RETRY\",\"reason\":\"not yet\",");
    assert_contains(result.output, "}\n{\"attempt\":3,\"attempts\":5,\"verdict\":\"ACK\"");
    try_deed("reject", "--json", NULL);
    assert_code(1);
    assert_contains(result.output, "\"verdict\":\"REJECT\",\"reason\":\"not \\u001b[31mthis\\nway\"");
    try_deed("nonsense", "--json", NULL);
    assert_code(1);
    assert_contains(result.output,
                    "\"verdict\":\"RETRY\",\"reason\":\"it returned no verdict that there is\"");
}

Test(try, measures_the_stack)
{
    try_deed("dig", NULL);
    assert_code(0);
    double kibibytes = 0;
    const char *line = strstr(result.output, "stack      ");
    cr_assert_not_null(line);
    sscanf(line, "stack      %lf KiB", &kibibytes);
    cr_assert(kibibytes >= 98 && kibibytes <= 160, "%s", line);
}

Test(try, shows_the_level_debug_when_verbose)
{
    try_deed("nothing", "-v", NULL);
    assert_contains(result.error, "debug try[deeds] attempt=1 a word at the level debug\n");
}

/* SIGINT reaches the attempt wherever it is, once it says that it runs. */
Test(try, ends_in_order_when_interrupted)
{
    const char *words[] = {
        "whippet", "try", "exec", "-s", "{\"command\": [\"sh\", \"-c\", \"kill -INT $$PPID; sleep 1000\"]}",
        NULL};
    int in = file_with(""), out = file_with(""), error = file_with("");
    cr_assert_eq(wait_for(start(in, out, error, words)), 1);
    read_back(out, result.output);
    assert_contains(result.output, "verdict    RETRY\nreason     the command sh was ended: cancelled\n");
    close(in);
    close(error);
}

/* --- The message ----------------------------------------------------------------------------------------*/

Test(try, gives_the_message_all_it_was_told)
{
    whippet("body", "try", "exec", "-s", "{\"command\": [\"sh\", \"-c\", \"cat; echo; cat <&3\"]}",
            "--message", "-", "--header", "a=b=c", "-H", "empty=", "--content-type", "text/plain",
            "--message-id", "m-1", "--correlation-id", "c-1", "--reply-to", "answers", "--type", "order",
            "--app-id", "shop", "--exchange", "events", "--routing-key", "orders.new", "--queue", "orders",
            NULL);
    assert_code(0);
    assert_contains(result.error, " info  orders[exec] message-id=m-1 attempt=1 body\n");
    assert_contains(
        result.error,
        "{\"application_headers\":{\"a\":\"b=c\",\"empty\":\"\"},\"content_type\":\"text/plain\"");
    assert_contains(result.error, "\"correlation_id\":\"c-1\",\"reply_to\":\"answers\"");
    assert_contains(result.error, "\"message_id\":\"m-1\"");
    assert_contains(result.error, "\"type\":\"order\",\"user_id\":\"\",\"app_id\":\"shop\"");
    assert_contains(result.error,
                    "\"exchange\":\"events\",\"routing_key\":\"orders.new\",\"queue\":\"orders\"");
}

Test(try, gives_an_empty_body_without_a_file)
{
    whippet("not read", "try", "log", NULL);
    assert_code(0);
    assert_contains(result.error, "0 bytes routing_key=try body=\n");
}

Test(try, reads_the_body_from_a_file)
{
    char file[] = "/tmp/whippet-body-XXXXXX";
    int descriptor = mkstemp(file);
    cr_assert_eq(write(descriptor, "from a file", 11), 11);
    close(descriptor);
    whippet("", "try", "log", "-m", file, NULL);
    unlink(file);
    assert_code(0);
    assert_contains(result.error, "body=from a file\n");
}

Test(try, says_which_file_cannot_be_read)
{
    whippet("", "try", "log", "-m", "/no/such/file", NULL);
    assert_code(1);
    assert_contains(result.error, "/no/such/file: No such file or directory");
    whippet("", "try", "log", "-m", "/usr", NULL);
    assert_code(1);
    assert_contains(result.error, "/usr: Is a directory");
}

/* --- Run modes ------------------------------------------------------------------------------------------*/

static const char *const modes[] = {"loop", "thread", "process"};

Test(try, runs_in_every_mode)
{
    for (size_t i = 0; i < 3; i++) {
        try_deed("nothing", "--run", modes[i], NULL);
        assert_code(0);
        assert_contains(result.output, "verdict    ACK\ntime       ");
        try_deed("reject", "--run", modes[i], NULL);
        assert_code(1);
        assert_contains(result.output, "verdict    REJECT\nreason     not ?[31mthis\nway\n");
        try_deed("third", "--run", modes[i], "--all-attempts", NULL);
        assert_code(0);
        assert_contains(result.output, "\n\nattempt    3 of 5\nverdict    ACK\n");
        try_deed("sleep", "--run", modes[i], "--timeout", "100ms", NULL);
        assert_code(1);
        assert_contains(result.output, "reason     timed out\ntimeout    it took longer than 0.1s\n");
    }
}

Test(try, shows_which_pause_was_asked_for_in_every_mode)
{
    for (size_t i = 0; i < 3; i++) {
        try_deed("later", "--run", modes[i], NULL);
        assert_code(1);
        assert_contains(result.output, "verdict    RETRY\nreason     busy\n"
                                       "pause      it asked for 90s before the next attempt\ntime       ");
    }
    try_deed("later", "--json", NULL);
    assert_contains(result.output, ",\"retry_after\":90,");
    try_deed("third", "--json", NULL);
    assert_contains(result.output, ",\"retry_after\":null,");
}

Test(try, shows_what_would_be_published_in_every_mode)
{
    for (size_t i = 0; i < 3; i++) {
        try_deed("announce", "--run", modes[i], NULL);
        assert_code(0);
        assert_contains(result.output, "published  2 bytes to the exchange \"events\" with the routing key "
                                       "\"orders.new\" (not really)\n");
        assert_contains(result.output, "           header n: 9007199254740993\n");
    }
}

Test(try, measures_the_stack_only_in_the_loop)
{
    for (size_t i = 0; i < 3; i++) {
        try_deed("nothing", "--run", modes[i], NULL);
        cr_assert_eq(strstr(result.output, "\nstack      ") != NULL, i == 0, "%s: %s", modes[i],
                     result.output);
    }
    try_deed("nothing", "--run", "process", "--json", NULL);
    assert_contains(result.output, "\"stack_used\":null,\"stack_size\":null,");
}

Test(try, tells_of_a_crash_in_a_child_process_and_goes_on)
{
    whippet("segv 1", "try", "modes", "-p", test_plugins(), "-s", "{\"path\": \"/dev/null\"}", "-m", "-",
            "--run", "process", "--all-attempts", NULL);
    assert_code(0);
    assert_contains(result.output, "verdict    RETRY\nreason     the child process ");
    assert_contains(result.output, "\n\nattempt    2 of 5\nverdict    ACK\n");
}

Test(try, says_why_no_child_process_comes_up)
{
    whippet("", "try", "log", "-s", "{\"level\": \"loud\"}", "--run", "process", NULL);
    assert_code(78);
    assert_contains(result.error, "\"log\" could not be set up: level: expected \"debug\", \"info\", ");
}

Test(try, ends_in_order_when_interrupted_in_every_mode)
{
    for (size_t i = 0; i < 3; i++) {
        char settings[200];
        const char *words[] = {"whippet", "try", "exec", "--run", modes[i], "-s", settings, NULL};
        snprintf(settings, sizeof settings, "{\"command\": [\"sh\", \"-c\", \"kill -INT %s; sleep 1000\"]}",
                 i == 2 ? "$(cut -d' ' -f4 /proc/$$PPID/stat)" : "$$PPID");
        int in = file_with(""), out = file_with(""), error = file_with("");
        cr_assert_eq(wait_for(start(in, out, error, words)), 1);
        read_back(out, result.output);
        assert_contains(result.output, "verdict    RETRY\nreason     the command sh was ended: cancelled\n");
        close(in);
        close(error);
    }
}

/* --- Several messages -----------------------------------------------------------------------------------*/

Test(try, runs_several_messages_at_once)
{
    pid_t children[3];
    int output[3], error[3];
    for (size_t i = 0; i < 3; i++) {
        const char *words[] = {"whippet", "try",   "deeds",  "-p",        test_plugins(), "--lines",
                               "-",       "--run", modes[i], "--timeout", "3s",           NULL};
        int in = file_with("sleep\n\nnothing\nreject\nthird");
        output[i] = file_with("");
        error[i] = file_with("");
        children[i] = start(in, output[i], error[i], words);
        close(in);
    }
    for (size_t i = 0; i < 3; i++) {
        result.code = wait_for(children[i]);
        read_back(output[i], result.output);
        read_back(error[i], result.error);
        assert_code(1);
        const char *slow =
            strstr(result.output, "message    1 of 4\nverdict    RETRY\nreason     timed out\n");
        const char *quick = strstr(result.output, "message    2 of 4\nverdict    ACK\n");
        cr_assert(slow != NULL && quick != NULL && quick < slow, "%s", result.output);
        assert_contains(result.output, "message    3 of 4\nverdict    REJECT\n");
        assert_contains(result.output, "\n4 messages: 1 ACK, 2 RETRY, 1 REJECT\n");
    }
}

Test(try, takes_a_message_of_each_file)
{
    char first[] = "/tmp/whippet-body-XXXXXX", second[] = "/tmp/whippet-body-XXXXXX";
    int one = mkstemp(first), other = mkstemp(second);
    cr_assert(write(one, "one", 3) == 3 && write(other, "other", 5) == 5);
    close(one);
    close(other);
    whippet("", "try", "log", "-m", first, "-m", second, "--json", NULL);
    unlink(first);
    unlink(second);
    assert_code(0);
    assert_contains(result.error, "body=one\n");
    assert_contains(result.error, "body=other\n");
    assert_contains(result.output, "{\"message\":1,\"attempt\":1,\"attempts\":5,\"verdict\":\"ACK\"");
    assert_contains(result.output, "{\"message\":2,\"attempt\":1,\"attempts\":5,\"verdict\":\"ACK\"");
}

Test(try, shows_what_several_messages_publish_apart)
{
    whippet("announce\nannounce\n", "try", "deeds", "-p", test_plugins(), "--lines", "-", NULL);
    assert_code(0);
    assert_contains(result.output, "published  2 bytes to the exchange \"events\" with the routing key ");
    assert_contains(result.output, "\n2 messages: 2 ACK, 0 RETRY, 0 REJECT\n");
    whippet("announce\nannounce\n", "try", "deeds", "-p", test_plugins(), "--lines", "-", "--json", NULL);
    assert_code(0);
    assert_contains(result.output, "{\"published\":[{\"exchange\":\"events\",\"routing_key\":\"orders.new\"");
}

Test(try, says_when_there_is_no_line)
{
    whippet("\n\n", "try", "log", "--lines", "-", NULL);
    assert_code(1);
    assert_contains(result.error, "whippet try: --lines: there is no line in -\n");
}

/* --- What is wrong with the command line ----------------------------------------------------------------*/

Test(try, refuses_a_command_line_that_makes_no_sense)
{
    static const struct {
        const char *words[4];
        const char *expected;
    } cases[] = {
        {{NULL}, "which processor?"},
        {{"log", "exec"}, "one processor is enough, found \"exec\" as well"},
        {{"log", "-n", "0"}, "--attempt: expected a number from 1 to 5, found \"0\""},
        {{"log", "-n", "6"}, "--attempt: expected a number from 1 to 5, found \"6\""},
        {{"log", "-n", "2x"}, "--attempt: expected a number from 1 to 5, found \"2x\""},
        {{"log", "-t", "soon"}, "--timeout: expected a duration such as \"30s\", found \"soon\""},
        {{"log", "-t", "0"}, "--timeout: expected a duration such as \"30s\", found \"0\""},
        {{"log", "-r", "fork"}, "--run: expected \"loop\", \"thread\" or \"process\", found \"fork\""},
        {{"log", "-H", "name"}, "expected NAME=VALUE"},
        {{"log", "-H", "=value"}, "expected NAME=VALUE"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        whippet("", "try", cases[i].words[0], cases[i].words[1], cases[i].words[2], NULL);
        assert_code(64);
        assert_contains(result.error, cases[i].expected);
    }
}

Test(try, refuses_names_over_255_bytes)
{
    static const char *const options[] = {"--exchange",     "--routing-key", "--queue",
                                          "--content-type", "--message-id",  "--correlation-id",
                                          "--reply-to",     "--type",        "--app-id"};
    char name[257];
    memset(name, 'x', sizeof name - 1);
    name[256] = '\0';
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        whippet("", "try", "log", options[i], name, NULL);
        assert_code(64);
        assert_contains(result.error, "has 256 bytes; AMQP allows 255");
    }
}

/* --- What is wrong with the processor -------------------------------------------------------------------*/

Test(try, refuses_a_processor_that_cannot_be_loaded)
{
    whippet("", "try", "no-such-processor", NULL);
    assert_code(78);
    assert_contains(result.error, "whippet try: there is no processor \"no-such-processor\"");
    whippet("", "try", "/etc/passwd", NULL);
    assert_code(78);
    assert_contains(result.error, "whippet try: /etc/passwd is not a shared object");
}

Test(try, refuses_wrong_settings_with_all_that_is_wrong)
{
    whippet("", "try", "exec", "-s", "{\"comand\": [\"x\"], \"output_limit\": true}", NULL);
    assert_code(78);
    assert_contains(result.error, "--settings: the processor exec needs the option \"command\"");
    assert_contains(result.error,
                    "--settings: comand: the processor exec has no such option; did you mean \"command\"?");
    assert_contains(result.error, "--settings: output_limit: expected a size");
}

Test(try, tells_the_line_of_settings_that_have_several)
{
    whippet("", "try", "log", "-s", "{\n \"level\": \"info\",\n \"levle\": 1\n}", NULL);
    assert_code(78);
    cr_assert_str_eq(result.error,
                     "whippet try: --settings: line 3: levle: the processor log has no such option; did "
                     "you mean \"level\"?\n");
}

Test(try, says_which_option_holds_what_no_configuration_may)
{
    whippet("", "try", "log", "--queue", "", NULL);
    assert_code(78);
    cr_assert_str_eq(result.error, "whippet try: --queue: must not be empty\n");
}

Test(try, refuses_settings_that_are_no_object)
{
    static const char *const texts[] = {
        "", "{", "[]", "3", "text", "{} {}", "{}, \"timeout\": \"1s\"", "{}}], \"x\": [{"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        whippet("", "try", "log", "-s", texts[i], NULL);
        assert_code(78);
        assert_contains(result.error, "whippet try: --settings: ");
    }
}

Test(try, takes_the_environment_in_settings)
{
    setenv("WHIPPET_TEST_LEVEL", "error", 1);
    whippet("", "try", "log", "-s", "{\"level\": \"${WHIPPET_TEST_LEVEL}\"}", NULL);
    assert_code(0);
    assert_contains(result.error, " error try[log] ");
}

Test(try, refuses_a_processor_whose_setup_fails)
{
    whippet("", "try", "log", "-s", "{\"level\": \"loud\"}", NULL);
    assert_code(78);
    cr_assert_str_eq(result.error,
                     "whippet try: \"log\" could not be set up: level: expected \"debug\", \"info\", "
                     "\"warning\" or \"error\", found \"loud\"\n");
}
