/* What a collector says in the body of an answer. */
#include <base/bytes.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <trace/tracer.h>

static struct upload_answer read_answer(const char *body)
{
    struct upload_answer answer = {0};
    upload_answer_read(bytes_of_text(body), &answer);
    return answer;
}

Test(trace_answer, says_how_many_spans_were_rejected_and_why)
{
    struct upload_answer answer = read_answer(
        "{\"partialSuccess\": {\"rejectedSpans\": \"512\", \"errorMessage\": \"too \\u006fld\"}}");
    cr_expect_eq(answer.rejected, 512);
    cr_expect_eq(answer.failure.error, WHIPPET_E_REFUSED);
    cr_expect_str_eq(answer.failure.text, "too old");
}

Test(trace_answer, may_write_the_number_as_one_and_give_no_reason)
{
    struct upload_answer answer = read_answer("{\"partialSuccess\":{\"rejectedSpans\":3}}");
    cr_expect_eq(answer.rejected, 3);
    cr_expect_str_eq(answer.failure.text, "it does not say why");
}

Test(trace_answer, may_warn_though_everything_was_taken)
{
    struct upload_answer answer =
        read_answer("{\"partialSuccess\":{\"rejectedSpans\":\"0\",\"errorMessage\":\"use gRPC\"}}");
    cr_expect_eq(answer.rejected, 0);
    cr_expect_str_eq(answer.failure.text, "use gRPC");
}

Test(trace_answer, says_nothing_where_it_is_something_else)
{
    static const char *const others[] = {
        "",
        "{}",
        "[]",
        "OK",
        "{\"partialSuccess\":{}}",
        "{\"partialSuccess\":null}",
        "{\"partialSuccess\":{\"rejectedSpans\":-1,\"errorMessage\":\"\"}}",
        "{\"partialSuccess\":{\"rejectedSpans\":\"many\",\"errorMessage\":7}}",
        "{\"partialSuccess\":{\"rejectedSpans\":\"5"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct upload_answer answer = read_answer(others[i]);
        cr_expect_eq(answer.rejected, 0, "%s", others[i]);
        cr_expect_eq(answer.failure.error, 0, "%s", others[i]);
    }
}

static bool permit_nothing(size_t size)
{
    (void)size;
    return false;
}

Test(trace_answer, is_counted_also_when_memory_is_short)
{
    memory_permit = permit_nothing;
    struct upload_answer answer =
        read_answer("{\"partialSuccess\":{\"rejectedSpans\":\"2\",\"errorMessage\":\"x\"}}");
    memory_permit = NULL;
    cr_expect_eq(answer.rejected, 2);
    cr_expect_eq(answer.failure.error, WHIPPET_E_REFUSED);
}
