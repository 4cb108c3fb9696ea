/* The pipe contract: what a child gets, what its answers mean, and what it costs when it breaks the rules.
 * The children are tests/programs/pipe_child.c, which does what a message's body says. */
#include "../support/patience.h"
#include "../support/under_valgrind.h"
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <whippet/testing.h>

static void begin_here(void)
{
    skip_under_valgrind("Valgrind 3.19 has no pidfd_open, by which the end of a child is seen");
}

TestSuite(pipe_processor, .init = begin_here, .timeout = 120);

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static whippet_test *test;
static char notes[64];

static const whippet_processor *pipe_processor(void)
{
    return whippet_test_load(PIPE_PROCESSOR);
}

/* With a child that has noted its start in `notes`; `more` are further settings, with ' in place of ". */
static void start(const char *more)
{
    char settings[2048];
    snprintf(notes, sizeof notes, "/tmp/whippet-pipe-%ld", (long)getpid());
    unlink(notes);
    snprintf(settings, sizeof settings, "{\"command\": [\"%s\", \"%s\"]%s}", PIPE_CHILD, notes, more);
    for (char *at = settings; *at != '\0'; at++)
        *at = *at == '\'' ? '"' : *at;
    test = whippet_test_start(pipe_processor(), settings);
}

/* No child is left, not even as a zombie. */
static void end(void)
{
    siginfo_t info;
    whippet_test_end(test);
    unlink(notes);
    cr_assert(waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0 && errno == ECHILD, "a child is left");
}

static unsigned noted(const char *word)
{
    char line[512];
    unsigned count = 0;
    FILE *file = fopen(notes, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        count += strncmp(line, word, strlen(word)) == 0;
    if (file != NULL)
        fclose(file);
    return count;
}

static whippet_test_result run(const char *body)
{
    return whippet_test_run(test, &(whippet_test_message){.text = body});
}

/* Runs them at once, NULL-terminated, in this order. */
enum {
    MOST = 32
};
static whippet_test_result results[MOST];

__attribute__((sentinel)) static void run_together(const char *body, ...)
{
    whippet_test_message messages[MOST] = {{.text = body}};
    size_t count = 1;
    va_list more;
    va_start(more, body);
    for (const char *next; (next = va_arg(more, const char *)) != NULL; count++)
        messages[count] = (whippet_test_message){.text = next};
    va_end(more);
    whippet_test_run_together(test, messages, count, results);
}

static void assert_contains(const char *text, const char *part)
{
    cr_assert_not_null(strstr(text, part), "\"%s\" is not in \"%s\"", part, text);
}

static void assert_result(whippet_test_result result, whippet_verdict verdict, const char *reason)
{
    cr_assert_eq(result.verdict, verdict, "verdict %d: %s", (int)result.verdict, result.reason);
    assert_contains(result.reason, reason);
}

/* --- Answers --------------------------------------------------------------------------------------------*/

Test(pipe_processor, takes_the_verdict_and_the_reason_from_the_answer)
{
    start("");
    assert_result(run("ack"), WHIPPET_ACK, "");
    whippet_test_result result = run("reject no such \\u0061ddress");
    cr_assert_eq(result.verdict, WHIPPET_REJECT);
    cr_assert_str_eq(result.reason, "no such \\u0061ddress");
    assert_result(run("retry not yet"), WHIPPET_RETRY, "not yet");
    cr_assert_eq(noted("begin"), 1, "all by the same child");
    end();
}

Test(pipe_processor, says_so_where_a_child_gives_no_reason)
{
    start("");
    cr_assert_str_eq(run("reject").reason, "rejected without a reason");
    cr_assert_str_eq(run("retry").reason, "to be retried, without a reason");
    end();
}

Test(pipe_processor, takes_a_reason_that_is_no_text_as_it_is_written)
{
    start("");
    whippet_test_result result = run("bare");
    cr_assert_eq(result.verdict, WHIPPET_REJECT);
    cr_assert_str_eq(result.reason, "{\"code\":5}");
    end();
}

Test(pipe_processor, retries_only_the_message_whose_verdict_is_none)
{
    start("");
    run_together("odd", "late 100", NULL);
    assert_result(results[0], WHIPPET_RETRY,
                  "the answer's \"verdict\" is not \"ack\", \"retry\" or \"reject\"");
    assert_result(results[1], WHIPPET_ACK, "");
    cr_assert_eq(noted("begin"), 1);
    end();
}

Test(pipe_processor, takes_answers_in_any_order)
{
    start("");
    run_together("hold", "late 50", "ack", NULL);
    for (int i = 0; i < 3; i++)
        assert_result(results[i], WHIPPET_ACK, "");
    end();
}

/* --- Requests -------------------------------------------------------------------------------------------*/

Test(pipe_processor, gives_a_child_the_body_the_properties_and_where_it_came_from)
{
    start("");
    whippet_publish_header headers[] = {{"tenant", whippet_text_value("acme")}};
    whippet_test_message message = {.text = "properties",
                                    .message_id = "m-1",
                                    .routing_key = "orders.new",
                                    .headers = headers,
                                    .header_count = 1,
                                    .attempt = 2};
    const char *request = whippet_test_run(test, &message).reason;
    assert_contains(request,
                    "{'id':1,'body':'properties','properties':{'application_headers':{'tenant':'acme'},");
    assert_contains(request, "'message_id':'m-1'");
    assert_contains(request, "'delivery_info':{'redelivered':false,'exchange':'','routing_key':'orders.new',"
                             "'queue':'test','delivery_count':0,'attempt':2,'attempts':5}}");
    end();
}

Test(pipe_processor, gives_a_child_the_trace_that_the_message_belongs_to)
{
    start("");
    whippet_publish_header headers[] = {{"traceparent", whippet_text_value(TRACE)},
                                        {"tracestate", whippet_text_value("a=b")}};
    whippet_test_message message = {.text = "properties", .headers = headers, .header_count = 2};
    assert_contains(whippet_test_run(test, &message).reason,
                    "'attempts':5},'traceparent':'" TRACE "','tracestate':'a=b'}");
    end();
}

/* cat gives the request back, which is no answer: the reason shows it. */
static const char *request_of(const void *body, size_t length)
{
    test =
        whippet_test_start(pipe_processor(), "{\"command\": [\"sed\", \"-u\", \"s/\\\"id\\\"/\\\"i\\\"/\"]}");
    whippet_test_result result =
        whippet_test_run(test, &(whippet_test_message){.body = {.data = body, .len = length}});
    cr_assert_eq(result.verdict, WHIPPET_RETRY);
    return result.reason;
}

Test(pipe_processor, sends_a_body_that_is_not_utf8_in_base64)
{
    assert_contains(request_of("\xff\x00z", 3), "{\"i\":1,\"body_base64\":\"/wB6\",\"properties\"");
    whippet_test_end(test);
}

Test(pipe_processor, sends_text_with_nuls_and_newlines_escaped)
{
    assert_contains(request_of("\xc3\xa9\n\0\"", 5),
                    "{\"i\":1,\"body\":\"\xc3\xa9\\n\\u0000\\\"\",\"properties\"");
    whippet_test_end(test);
}

Test(pipe_processor, sends_an_empty_body_as_an_empty_text)
{
    assert_contains(request_of("", 0), "{\"i\":1,\"body\":\"\",\"properties\"");
    whippet_test_end(test);
}

Test(pipe_processor, sends_a_body_that_is_nested_100000_deep)
{
    enum {
        DEPTH = 100000
    };
    char *body = malloc(2 * DEPTH + 1);
    memset(body, '[', DEPTH);
    memset(body + DEPTH, ']', DEPTH);
    body[2 * DEPTH] = '\0';
    start("");
    assert_result(run(body), WHIPPET_ACK, "");
    end();
    free(body);
}

Test(pipe_processor, sends_a_body_that_fills_the_pipe_many_times_over)
{
    size_t length = 1 << 20;
    char *body = malloc(length + 1);
    memset(body, 'x', length);
    body[length] = '\0';
    start("");
    run_together(body, body, "ack", NULL);
    for (int i = 0; i < 3; i++)
        assert_result(results[i], WHIPPET_ACK, "");
    end();
    free(body);
}

/* --- Children that break the rules ----------------------------------------------------------------------*/

Test(pipe_processor, retries_the_message_that_its_child_dies_of_and_does_the_others)
{
    start("");
    run_together("ack", "late 200", "die 11", "late 100", NULL);
    assert_result(results[0], WHIPPET_ACK, "");
    assert_result(results[1], WHIPPET_ACK, "");
    assert_result(results[2], WHIPPET_RETRY, "was ended by signal 11 (SIGSEGV)");
    assert_result(results[3], WHIPPET_ACK, "");
    assert_result(run("ack"), WHIPPET_ACK, "");
    cr_assert_eq(noted("begin"), 3, "one died with all of them, one with the guilty one alone");
    end();
}

enum {
    FULL = 16 /* messages, as many as a child has at once unless told otherwise */
};

/* Messages of which the first and the last are bad. */
static void run_full(const char *first, const char *last)
{
    whippet_test_message messages[FULL];
    for (int i = 0; i < FULL; i++)
        messages[i] = (whippet_test_message){.text = i == 0 ? first : i == FULL - 1 ? last : "ack"};
    whippet_test_run_together(test, messages, FULL, results);
    for (int i = 1; i < FULL - 1; i++)
        cr_assert_eq(results[i].verdict, WHIPPET_ACK, "message %d: %s", i, results[i].reason);
}

Test(pipe_processor, costs_a_full_child_only_the_messages_that_it_dies_of)
{
    start("");
    run_full("die 9", "die 11");
    assert_result(results[0], WHIPPET_RETRY, "was ended by signal 9 (SIGKILL)");
    assert_result(results[FULL - 1], WHIPPET_RETRY, "was ended by signal 11 (SIGSEGV)");
    end();
}

Test(pipe_processor, costs_a_full_child_only_the_messages_that_it_hangs_on)
{
    start("");
    whippet_test_set_timeout(test, 1.5);
    run_full("hang", "hang");
    assert_result(results[0], WHIPPET_RETRY, "did not answer, and was killed: timed out");
    assert_result(results[FULL - 1], WHIPPET_RETRY, "did not answer, and was killed: timed out");
    end();
}

Test(pipe_processor, counts_the_time_of_a_message_from_when_it_is_its_turn)
{
    start(", 'in_flight': 3");
    whippet_test_set_timeout(test, 2);
    run_together("busy 500", "busy 500", "busy 500", "busy 500", "busy 500", "busy 500", NULL);
    for (int i = 0; i < 6; i++)
        assert_result(results[i], WHIPPET_ACK, "");
    cr_assert_eq(noted("begin"), 1);
    end();
}

Test(pipe_processor, gives_up_what_has_waited_for_its_turn_four_times_its_timeout)
{
    start(", 'in_flight': 1");
    whippet_test_set_timeout(test, 0.5);
    run_together("busy 350", "busy 350", "busy 350", "busy 350", "busy 350", "busy 350", "busy 350", NULL);
    assert_result(results[6], WHIPPET_RETRY, "no child was free for it: timed out");
    end();
}

Test(pipe_processor, repeats_the_last_words_of_a_child_that_ended)
{
    start("");
    assert_result(run("die 0"), WHIPPET_RETRY, ") ended with exit status 3: the last word");
    assert_contains(whippet_test_log(test), " info  test[pipe] child 1: the last word\n");
    end();
}

Test(pipe_processor, costs_only_the_messages_of_the_child_that_dies)
{
    start(", 'children': 2, 'in_flight': 1");
    run_together("die 9", "late 300", NULL);
    assert_result(results[0], WHIPPET_RETRY, "was ended by signal 9 (SIGKILL)");
    assert_result(results[1], WHIPPET_ACK, "");
    end();
}

Test(pipe_processor, kills_a_child_that_does_not_answer_in_time_and_goes_on_with_another)
{
    start("");
    assert_result(run("ack"), WHIPPET_ACK, "");
    whippet_test_set_timeout(test, 1);
    assert_result(run("hang"), WHIPPET_RETRY,
                  "the child that had it did not answer, and was killed: timed out");
    whippet_test_set_timeout(test, 60);
    assert_result(run("ack"), WHIPPET_ACK, "");
    assert_contains(whippet_test_log(test),
                    "did not answer a message in time, and was killed; the next starts in");
    end();
}

Test(pipe_processor, kills_a_child_that_writes_what_is_no_answer)
{
    static const struct {
        const char *body, *reason;
    } cases[] = {
        {"garbage hello",
         "wrote a line that is not JSON: expected a value at byte 1; it wrote: hello (standard"},
        {"garbage", "wrote an empty line; it wrote:  (standard"},
        {"garbage [1]", "wrote a line that is no JSON object; it wrote: [1] (standard"},
        {"garbage {}",
         "wrote an answer without the \"id\" of a message, a whole number; it wrote: {} (standard"},
        {"unknown", "answered the id 123456789, which it was not asked or has answered already"},
        {"endless", "wrote a line of more than 65536 bytes (answer_limit), and was killed"},
        {"deep 20000", "wrote a line that is not JSON: nested more than 512 deep at byte "},
    };
    start(", 'in_flight': 2");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run_together(cases[i].body, "late 50", NULL);
        assert_result(results[0], WHIPPET_RETRY, cases[i].reason);
        assert_result(results[1], WHIPPET_ACK, "");
        assert_result(run("ack"), WHIPPET_ACK, "");
    }
    end();
}

Test(pipe_processor, believes_the_first_of_two_answers_and_kills_the_child_for_the_second)
{
    start("");
    run_together("twice", "late 100", "late 100", NULL);
    for (int i = 0; i < 3; i++)
        assert_result(results[i], WHIPPET_ACK, "");
    assert_contains(whippet_test_log(test),
                    "answered the id 1, which it was not asked or has answered already, and was killed");
    end();
}

Test(pipe_processor, kills_a_child_that_closes_its_output_and_stays)
{
    start("");
    assert_result(run("close"), WHIPPET_ACK + 1, "");
    assert_result(run("ack"), WHIPPET_ACK, "");
    cr_assert_eq(noted("begin"), 2);
    end();
}

Test(pipe_processor, leaves_a_child_that_does_not_read_to_its_own_messages)
{
    char *body = calloc(1, 300001);
    memset(body, 'x', 300000);
    start(", 'children': 2, 'in_flight': 2");
    run_together("ack", "ack", NULL);
    whippet_test_set_timeout(test, patience_stretched(3));
    /* Whoever takes "deaf" reads no more: of what it is sent, the large one fills the pipe. */
    run_together("deaf", body, body, body, body, "ack", "ack", NULL);
    unsigned acked = 0;
    for (int i = 0; i < 7; i++)
        acked += results[i].verdict == WHIPPET_ACK;
    cr_assert_geq(acked, 5, "two at most were in the child that was deaf, and %u of 7 were done", acked);
    end();
    free(body);
}

Test(pipe_processor, starts_another_where_a_child_ends_by_itself_after_its_work)
{
    static const whippet_retry_policy policy = {.attempts = 20, .delay = 0.1};
    start("");
    /* What was sent to it while it ended is tried again. */
    for (unsigned i = 1; i <= 3; i++)
        assert_result(whippet_test_run_attempts(test, &(whippet_test_message){.text = "last"}, &policy),
                      WHIPPET_ACK, "");
    assert_contains(whippet_test_log(test), " info  test[pipe] child 1 (process ");
    assert_contains(whippet_test_log(test), ") ended with exit status 0; the next starts in 0.0 s\n");
    end();
}

Test(pipe_processor, starts_a_child_that_does_nothing_but_end_later_and_later)
{
    test = whippet_test_start(pipe_processor(), "{\"command\": [\"false\"]}");
    assert_result(run("ack"), WHIPPET_RETRY, "");
    assert_result(run("ack"), WHIPPET_RETRY, "");
    const char *log = whippet_test_log(test);
    assert_contains(log, ") ended with exit status 1; the next starts in 0.0 s\n");
    assert_contains(log, ") ended with exit status 1; the next starts in 0.1 s\n");
    end();
}

Test(pipe_processor, says_why_no_child_is_there_where_a_message_waited_in_vain)
{
    char file[] = "/tmp/whippet-pipe-XXXXXX", settings[200];
    int descriptor = mkstemp(file);
    fchmod(descriptor, 0700);
    close(descriptor);
    snprintf(settings, sizeof settings, "{\"command\": [\"%s\"]}", file);
    test = whippet_test_start(pipe_processor(), settings);
    unlink(file);
    whippet_test_set_timeout(test, 0.5);
    assert_result(run("ack"), WHIPPET_RETRY, "no child was free for it: timed out (child 1 ");
    end();
}

/* --- How many at once -----------------------------------------------------------------------------------*/

Test(pipe_processor, has_no_more_in_a_child_than_in_flight_says)
{
    start(", 'in_flight': 2");
    /* The third has to wait for room. */
    run_together("late 400", "late 400", "ack", NULL);
    for (int i = 0; i < 3; i++)
        assert_result(results[i], WHIPPET_ACK, "");
    cr_assert_geq(results[2].seconds, 0.3, "it waited for room, and took %g s", results[2].seconds);
    end();
}

/* --- Standard error -------------------------------------------------------------------------------------*/

static unsigned lines_with(const char *text)
{
    unsigned count = 0;
    for (const char *at = whippet_test_log(test); (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

/* Has messages run until it is there. */
static void await_line(const char *text)
{
    for (int i = 0; i < 300 && lines_with(text) == 0; i++)
        assert_result(run("late 50"), WHIPPET_ACK, "");
    assert_contains(whippet_test_log(test), text);
}

Test(pipe_processor, logs_standard_error_at_the_level_it_is_told)
{
    start(", 'log': 'warning'");
    assert_result(run("say 2"), WHIPPET_ACK, "");
    await_line(" warn  test[pipe] child 1: line 1\n");
    end();
}

Test(pipe_processor, drops_standard_error_where_it_is_told_to_and_repeats_the_last_words_all_the_same)
{
    start(", 'log': 'discard'");
    assert_result(run("die 0"), WHIPPET_RETRY, ") ended with exit status 3: the last word");
    cr_assert_eq(lines_with(" info  test[pipe] child 1: the last word"), 0);
    end();
}

Test(pipe_processor, logs_so_many_lines_a_second_and_counts_the_rest)
{
    start(", 'log_rate': 3");
    assert_result(run("say 5000"), WHIPPET_ACK, "");
    await_line(" more lines to its standard error, which were left out (log_rate 3)\n");
    unsigned said = lines_with("child 1: line ");
    cr_assert(said >= 3 && said <= 3 * 60, "%u lines", said);
    end();
}

/* --- The end --------------------------------------------------------------------------------------------*/

Test(pipe_processor, closes_standard_input_at_the_end_and_kills_who_stays)
{
    char settings[300];
    snprintf(settings, sizeof settings,
             "{\"command\": [\"%s\", \"/dev/null\", \"stay\"], \"grace\": \"200ms\"}", PIPE_CHILD);
    test = whippet_test_start(pipe_processor(), settings);
    assert_result(run("ack"), WHIPPET_ACK, "");
    end();
    /* One that ends by itself is not killed: there is nothing to be said. */
    start("");
    assert_result(run("ack"), WHIPPET_ACK, "");
    end();
}

Test(pipe_processor, ends_also_where_nothing_ever_ran)
{
    start(", 'children': 3");
    end();
}

/* --- Settings -------------------------------------------------------------------------------------------*/

Test(pipe_processor, refuses_settings_that_cannot_be)
{
    static const struct {
        const char *settings, *refusal;
    } cases[] = {
        {"{}", "needs the option \"command\""},
        {"{\"command\": []}", "command: the list is empty; expected a program and its arguments"},
        {"{\"command\": [\"no-such-program\"]}",
         "command: there is no program no-such-program in the folders of"},
        {"{\"command\": [\"/etc/passwd\"]}", "command: /etc/passwd is not executable"},
        {"{\"command\": [\"cat\"], \"directory\": \"/no/such\"}", "directory: cannot use /no/such"},
        {"{\"command\": [\"cat\"], \"children\": 0}", "children: expected a number from 1 to 1000, found 0"},
        {"{\"command\": [\"cat\"], \"in_flight\": -1}",
         "in_flight: expected a number from 1 to 10000, found -1"},
        {"{\"command\": [\"cat\"], \"log_rate\": 0}",
         "log_rate: expected a number from 1 to 4294967295, found 0"},
        {"{\"command\": [\"cat\"], \"log\": \"loud\"}",
         "log: expected \"debug\", \"info\", \"warning\", \"error\" or "},
        {"{\"command\": [\"cat\"], \"answer_limit\": 9}",
         "answer_limit: expected 64 bytes to 64 MiB, found 9"},
        {"{\"command\": [\"cat\"], \"environment\": {\"WHIPPET_X\": \"\"}}",
         "names that begin with WHIPPET_"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *refusal = whippet_test_refusal(pipe_processor(), cases[i].settings);
        cr_assert_not_null(refusal, "%s was taken", cases[i].settings);
        assert_contains(refusal, cases[i].refusal);
    }
}

Test(pipe_processor, gives_children_the_environment_and_the_folder_of_the_settings)
{
    test = whippet_test_start(
        pipe_processor(),
        "{\"command\": [\"sh\", \"-c\", \"read -r x; echo in $PWD: $WORD, $HOME >&2\"], "
        "\"directory\": \"/usr\", \"environment\": {\"WORD\": \"yes\", \"HOME\": \"/nowhere\"}}");
    assert_result(run("ack"), WHIPPET_RETRY, "in /usr: yes, /nowhere");
    end();
}
