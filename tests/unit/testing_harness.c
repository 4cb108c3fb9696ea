/* <whippet/testing.h> in the hands of a processor's author: what it gives, and what it says of mistakes. */
#include "../support/under_valgrind.h"
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <whippet/testing.h>

/* --- A processor that does what the body says -----------------------------------------------------------*/

static const whippet_option OPTIONS[] = {
    {.name = "seconds", .type = WHIPPET_OPTION_DURATION, .default_value = "1h", .help = "how long to sleep"},
    {.name = "names", .type = WHIPPET_OPTION_STRINGS, .help = "anything"},
    {0},
};

static double seconds;
static unsigned torn_down;
static unsigned at_once, most_at_once;

static int setup(const whippet_settings *settings, void **state, whippet_failure *failure)
{
    seconds = whippet_setting_duration(settings, "seconds");
    whippet_log(NULL, WHIPPET_DEBUG, "set up with %g seconds", seconds);
    *state = &seconds;
    if (seconds < 1e6)
        return 0;
    whippet_fail(failure, "seconds: expected fewer than a million");
    return -1;
}

static void teardown(void *state)
{
    torn_down += state == &seconds;
}

static int answer_in_thread(void *arg)
{
    *(int *)arg = 42;
    return 1;
}

static whippet_verdict publish(whippet_task *task, const whippet_message *message)
{
    whippet_publish_header headers[] = {{"n", whippet_integer_value(7)}, {"t", whippet_text_value("seven")}};
    whippet_publication publication = {.exchange = "shop",
                                       .routing_key = "orders.new",
                                       .body = whippet_body(message),
                                       .content_type = "text/plain",
                                       .headers = headers,
                                       .header_count = 2};
    int error = whippet_publish(task, &publication);
    return error == 0 ? WHIPPET_ACK : whippet_retry_later(task, "publishing: %s", whippet_error_text(error));
}

static whippet_verdict command(whippet_task *task)
{
    const char *arguments[] = {"sh", "-c", "sleep 0.05; printf done", NULL};
    whippet_command_result result;
    int error = whippet_exec(task, &(whippet_command){.arguments = arguments, .output_limit = 10}, &result);
    return error == 0 && result.output.len == 4 ? WHIPPET_ACK
                                                : whippet_reject(task, "%s", whippet_error_text(error));
}

static whippet_verdict sleep_among_others(whippet_task *task)
{
    at_once++;
    most_at_once = at_once > most_at_once ? at_once : most_at_once;
    int error = whippet_sleep(task, seconds);
    at_once--;
    return error == 0 ? WHIPPET_ACK : whippet_retry_later(task, "woken: %s", whippet_error_text(error));
}

static int dig(whippet_task *task, void *arg)
{
    char hole[100000];
    (void)task;
    memset(hole, *(int *)arg, sizeof hole);
    __asm__ volatile("" : : "r"(hole) : "memory");
    return 0;
}

static bool is(const whippet_message *message, const char *word)
{
    whippet_bytes body = whippet_body(message);
    return body.len == strlen(word) && memcmp(body.data, word, body.len) == 0;
}

static whippet_test *test;

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    int found = 0;
    cr_assert_eq(state, &seconds);
    if (is(message, "sleep"))
        return sleep_among_others(task);
    if (is(message, "publish"))
        return publish(task, message);
    if (is(message, "command"))
        return command(task);
    if (is(message, "thread"))
        return whippet_offload(task, answer_in_thread, &found) == 1 && found == 42 ? WHIPPET_ACK
                                                                                   : WHIPPET_REJECT;
    if (is(message, "third"))
        return whippet_attempt(message) == 3 ? WHIPPET_ACK : whippet_retry_later(task, "not yet");
    if (is(message, "dig"))
        return whippet_spawn(task, dig, &found) != NULL && whippet_join_all(task) == 0 ? WHIPPET_ACK
                                                                                       : WHIPPET_REJECT;
    if (is(message, "nonsense"))
        return (whippet_verdict)42;
    if (is(message, "recurse"))
        whippet_test_run(test, NULL);
    return whippet_reject(task, "a body of %zu bytes", whippet_body(message).len);
}

WHIPPET_PROCESSOR(.name = "deeds", .version = "1", .summary = "does what it is told", .options = OPTIONS,
                  .setup = setup, .process = process, .teardown = teardown);

static void start(void)
{
    test = whippet_test_start(&whippet_processor_descriptor, NULL);
}

static void end(void)
{
    whippet_test_end(test);
}

static whippet_test_result run(const char *body)
{
    return whippet_test_run(test, &(whippet_test_message){.text = body});
}

TestSuite(testing, .init = start, .fini = end, .timeout = 60);

/* --- Verdicts and time ----------------------------------------------------------------------------------*/

Test(testing, returns_verdict_and_reason)
{
    whippet_test_result result = run("12345");
    cr_assert_eq(result.verdict, WHIPPET_REJECT);
    cr_assert_str_eq(result.reason, "a body of 5 bytes");
    cr_assert_eq(result.attempt, 1);
    cr_assert_eq(whippet_test_run(test, NULL).verdict, WHIPPET_REJECT);
}

Test(testing, takes_any_other_verdict_for_retry_and_says_so)
{
    whippet_test_result result = run("nonsense");
    cr_assert_eq(result.verdict, WHIPPET_RETRY);
    cr_assert_str_eq(result.reason, "process() returned 42, which is no verdict");
}

Test(testing, lets_an_hour_of_sleep_take_no_time)
{
    whippet_test_set_timeout(test, 7200);
    whippet_test_result result = run("sleep");
    cr_assert_eq(result.verdict, WHIPPET_ACK, "%s", result.reason);
    cr_assert(result.seconds >= 3600 && result.seconds < 3660, "it took %g s", result.seconds);
}

Test(testing, lets_the_deadline_strike)
{
    whippet_test_result result = run("sleep");
    cr_assert_eq(result.verdict, WHIPPET_RETRY);
    cr_assert_str_eq(result.reason, "woken: timed out");
    cr_assert_eq(result.struck, WHIPPET_E_TIMEOUT);
    cr_assert(result.seconds >= 300 && result.seconds < 360, "it took %g s", result.seconds);
}

Test(testing, gives_commands_and_threads_the_real_time_they_take)
{
    skip_under_valgrind("Valgrind 3.19 has no pidfd_open, by which the end of a command is seen");
    whippet_test_result result = run("command");
    cr_assert_eq(result.verdict, WHIPPET_ACK, "%s", result.reason);
    cr_assert(result.seconds >= 0.05 && result.seconds < 60, "it took %g s", result.seconds);
    cr_assert_eq(run("thread").verdict, WHIPPET_ACK);
}

Test(testing, tells_the_deepest_stack_of_all_its_tasks)
{
    whippet_test_result result = run("dig");
    cr_assert_eq(result.verdict, WHIPPET_ACK);
    cr_assert(result.stack_used >= 100000 && result.stack_used <= 200000, "%zu bytes", result.stack_used);
    cr_assert_lt(run("nothing").stack_used, 100000);
}

Test(testing, runs_attempt_after_attempt_with_the_pauses_between)
{
    whippet_test_message message = {.text = "third"};
    whippet_test_result result = whippet_test_run_attempts(test, &message, NULL);
    cr_assert_eq(result.verdict, WHIPPET_ACK);
    cr_assert_eq(result.attempt, 3);
    cr_assert(result.seconds >= 6 && result.seconds < 60, "it took %g s", result.seconds);

    whippet_retry_policy policy = {.attempts = 2, .delay = 100};
    result = whippet_test_run_attempts(test, &message, &policy);
    cr_assert_eq(result.verdict, WHIPPET_RETRY);
    cr_assert_eq(result.attempt, 2);
    cr_assert_str_eq(result.reason, "not yet");
}

Test(testing, runs_messages_at_the_same_time)
{
    whippet_test_message messages[3] = {{.text = "sleep"}, {.text = "sleep"}, {.text = "x"}};
    whippet_test_result results[3];
    whippet_test_set_timeout(test, 7200);
    most_at_once = 0;
    whippet_test_run_together(test, messages, 3, results);
    cr_assert_eq(most_at_once, 2);
    cr_assert_eq(results[0].verdict, WHIPPET_ACK);
    cr_assert_eq(results[1].verdict, WHIPPET_ACK);
    cr_assert_str_eq(results[2].reason, "a body of 1 bytes");
}

Test(testing, cannot_be_driven_from_inside_process, .signal = SIGABRT)
{
    run("recurse");
}

/* --- Publishing and logging -----------------------------------------------------------------------------*/

Test(testing, keeps_what_is_published_as_its_consumer_would_get_it)
{
    cr_assert_eq(run("publish").verdict, WHIPPET_ACK);
    cr_assert_eq(whippet_test_published_count(test), 1);
    const whippet_message *published = whippet_test_published(test, 0);
    cr_assert_str_eq(whippet_test_text(test, whippet_exchange(published)), "shop");
    cr_assert_str_eq(whippet_test_text(test, whippet_routing_key(published)), "orders.new");
    cr_assert_str_eq(whippet_test_text(test, whippet_body(published)), "publish");
    cr_assert_str_eq(whippet_test_text(test, whippet_content_type(published)), "text/plain");
    cr_assert_eq(whippet_header(published, "n").integer, 7);
    cr_assert_str_eq(whippet_test_text(test, whippet_header(published, "t").bytes), "seven");
    cr_assert(whippet_persistent(published));
    cr_assert_null(whippet_test_text(test, whippet_message_id(published)));
    whippet_test_clear(test);
    cr_assert_eq(whippet_test_published_count(test), 0);
}

Test(testing, answers_publications_as_it_is_told)
{
    whippet_test_answer(test, 0);
    whippet_test_answer(test, WHIPPET_E_UNROUTABLE);
    whippet_test_answer(test, WHIPPET_E_NACKED);
    whippet_test_answer(test, WHIPPET_E_TIMEOUT);
    cr_assert_eq(run("publish").verdict, WHIPPET_ACK);
    cr_assert_str_eq(run("publish").reason, "publishing: unroutable");
    cr_assert_str_eq(run("publish").reason, "publishing: not confirmed by the broker");
    whippet_test_result result = run("publish");
    cr_assert_str_eq(result.reason, "publishing: timed out");
    cr_assert_eq(result.struck, WHIPPET_E_TIMEOUT);
    cr_assert_geq(result.seconds, 300);
    cr_assert_eq(run("publish").verdict, WHIPPET_ACK);
    cr_assert_eq(whippet_test_published_count(test), 5);
}

Test(testing, keeps_what_is_logged_setup_included)
{
    cr_assert_not_null(strstr(whippet_test_log(test), "debug set up with 3600 seconds\n"), "%s",
                       whippet_test_log(test));
    whippet_test_clear(test);
    cr_assert_str_empty(whippet_test_log(test));
}

/* --- Settings -------------------------------------------------------------------------------------------*/

Test(testing, tears_down_at_the_end)
{
    torn_down = 0;
    whippet_test_end(test);
    cr_assert_eq(torn_down, 1);
    test = whippet_test_start(&whippet_processor_descriptor, "{\"seconds\": \"2s\"}");
    cr_assert_eq(seconds, 2);
    whippet_test_end(test);
    test = NULL;
}

Test(testing, tells_why_settings_are_refused)
{
    const whippet_processor *processor = &whippet_processor_descriptor;
    cr_assert_null(whippet_test_refusal(processor, "{\"seconds\": 5}"));
    cr_assert_str_eq(whippet_test_refusal(processor, "{\"seconds\": 1e6}"),
                     "seconds: expected fewer than a million");
    cr_assert_str_eq(whippet_test_refusal(processor, "{"), "the settings are not one value of JSON");
    cr_assert_str_eq(whippet_test_refusal(processor, "{}}], \"x\": [{"),
                     "the settings are not one value of JSON");
    const char *refusal = whippet_test_refusal(processor, "{\"secnds\": 5, \"names\": 7}");
    cr_assert_not_null(
        strstr(refusal, "secnds: the processor deeds has no such option; did you mean \"seconds\"?\n"), "%s",
        refusal);
    cr_assert_not_null(strstr(refusal, "names: expected a list of strings"), "%s", refusal);
}

/* --- Messages -------------------------------------------------------------------------------------------*/

static whippet_verdict tell(whippet_task *task, const whippet_message *message, void *state)
{
    (void)state;
    whippet_bytes user = whippet_user_id(message), id = whippet_message_id(message);
    whippet_log(task, WHIPPET_INFO, "user %.*s id %.*s priority %u %s %s attempt %u of %u header %g %d",
                (int)user.len, (const char *)user.data, (int)id.len, (const char *)id.data,
                whippet_priority(message), whippet_persistent(message) ? "persistent" : "transient",
                whippet_redelivered(message) ? "redelivered" : "new", whippet_attempt(message),
                whippet_attempts(message), whippet_header(message, "pi").real,
                whippet_header(message, "yes").boolean);
    return WHIPPET_ACK;
}

Test(testing, gives_the_message_all_it_was_told)
{
    static const whippet_processor TELLING = {
        .abi = WHIPPET_ABI, .size = sizeof TELLING, .name = "telling", .process = tell};
    whippet_publish_header headers[] = {{"pi", whippet_real_value(3.5)},
                                        {"yes", whippet_boolean_value(true)}};
    whippet_test_message message = {.queue = "orders",
                                    .user_id = "guest",
                                    .message_id = "m-1",
                                    .priority = 200,
                                    .transient = true,
                                    .redelivered = true,
                                    .attempt = 2,
                                    .attempts = 3,
                                    .headers = headers,
                                    .header_count = 2};
    whippet_test_end(test);
    test = whippet_test_start(&TELLING, NULL);
    whippet_test_run(test, &message);
    cr_assert_not_null(
        strstr(whippet_test_log(test),
               "info  orders[telling] message-id=m-1 attempt=2 user guest id m-1 priority 200 transient "
               "redelivered attempt 2 of 3 header 3.5 1\n"),
        "%s", whippet_test_log(test));
}

/* --- Mistakes -------------------------------------------------------------------------------------------*/

static jmp_buf after_failure;
static char failure[4096];

static void remember_failure(const char *text)
{
    strncpy(failure, text, sizeof failure - 1);
    longjmp(after_failure, 1);
}

static void start_to_fail(void)
{
    test = whippet_test_start_with(&whippet_processor_descriptor, NULL, remember_failure);
}

TestSuite(testing_mistakes, .init = start_to_fail, .timeout = 60);

#define ASSERT_FAILS(call, expected)                                                                         \
    do {                                                                                                     \
        if (setjmp(after_failure) == 0) {                                                                    \
            call;                                                                                            \
            cr_assert_fail("it did not fail");                                                               \
        }                                                                                                    \
        cr_assert_not_null(strstr(failure, expected), "%s", failure);                                        \
    } while (0)

Test(testing_mistakes, are_told_in_a_sentence)
{
    static char name[257];
    memset(name, 'x', sizeof name - 1);
    whippet_publish_header nameless = {.name = NULL};
    whippet_retry_policy never = {.attempts = 0};
    ASSERT_FAILS(whippet_test_set_timeout(test, INFINITY), "expected seconds above 0, found inf");
    ASSERT_FAILS(whippet_test_answer(test, 3), "expected 0 or a WHIPPET_E_…, found 3");
    ASSERT_FAILS(whippet_test_published(test, 0), "there is no publication 0; the processor has published 0");
    ASSERT_FAILS(whippet_test_run(test, &(whippet_test_message){.type = name}),
                 "a property of more than 255 bytes");
    ASSERT_FAILS(whippet_test_run(test, &(whippet_test_message){.headers = &nameless, .header_count = 1}),
                 "a header without name");
    ASSERT_FAILS(whippet_test_run(test, &(whippet_test_message){.attempt = 6}), "attempt 6 of 5 can't be");
    ASSERT_FAILS(whippet_test_run_attempts(test, NULL, &never), "at least one attempt");
    ASSERT_FAILS(whippet_test_start_with(&whippet_processor_descriptor, NULL, remember_failure),
                 "another test runs; end it with whippet_test_end first");
    ASSERT_FAILS(whippet_test_load_with("no-such-file.so", remember_failure), "no-such-file.so");
    whippet_test_end(test);
}

Test(testing_mistakes, are_told_where_the_processor_does_not_start)
{
    static const whippet_processor OLD = {.abi = 999, .size = sizeof OLD, .name = "old", .process = process};
    whippet_test_end(test);
    ASSERT_FAILS(whippet_test_start_with(NULL, NULL, remember_failure), "which processor?");
    ASSERT_FAILS(whippet_test_start_with(&OLD, NULL, remember_failure), "is built for ABI 999");
    ASSERT_FAILS(whippet_test_start_with(&whippet_processor_descriptor, "{\"x\": 1}", remember_failure),
                 "x: the processor deeds has no such option");
}
