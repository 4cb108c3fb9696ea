/* The tracer with a collector that does as it is told. */
#include "../../src/trace/otlp.h"
#include "../../src/trace/span_ring.h"
#include <base/bytes.h>
#include <base/clock.h>
#include <base/json.h>
#include <base/log.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <patience.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* How the next uploads end; the last of them goes on. */
enum {
    HANGS = 100 /* until it is given up */
};

static atomic_int answers[8];
static atomic_uint rejects;        /* of the spans of each that goes well */
static _Atomic double asked_pause; /* of each other */
static atomic_uint uploads, spans_taken;
static atomic_bool was_sound = true;
static struct trace_stats stats;
static struct trace_settings settings = {.endpoint = (char *)(uintptr_t) "",
                                         .where = (char *)(uintptr_t) "http://x",
                                         .service_name = "test",
                                         .timeout = 60,
                                         .sampler = {true, UINT64_C(1) << 63}};
static struct tracer *tracer;
static const struct span_source *source;

static unsigned count_spans(whippet_bytes body)
{
    whippet_json_value root = whippet_json_read(body, NULL, NULL);
    if (root.kind == WHIPPET_JSON_ABSENT)
        was_sound = false;
    return (unsigned)whippet_json_length(whippet_json_find(root, "resourceSpans[0].scopeSpans[0].spans"));
}

static enum upload_result upload(void *owner, whippet_bytes body, const _Atomic double *until,
                                 struct upload_answer *said)
{
    unsigned number = atomic_fetch_add(&uploads, 1);
    int answer = answers[number < 7 ? number : 7];
    (void)owner;
    said->pause = asked_pause;
    said->rejected = rejects;
    if (said->rejected > 0)
        failure_set(&said->failure, WHIPPET_E_REFUSED, "too old");
    if (answer == UPLOAD_DONE) {
        spans_taken += count_spans(body);
        return UPLOAD_DONE;
    }
    while (answer == HANGS && clock_monotonic() < atomic_load(until))
        patience_pause();
    failure_set(&said->failure, WHIPPET_E_REFUSED, "it is told to");
    return answer == HANGS ? UPLOAD_AGAIN : (enum upload_result)answer;
}

static void answer_all(int answer)
{
    for (size_t i = 0; i < 8; i++)
        answers[i] = answer;
}

static void begin(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct whippet_failure failure;
    const struct tracer_options options = {
        .settings = &settings, .version = "1", .upload = upload, .stats = &stats};
    log_configure(null, WHIPPET_ERROR, LOG_FORMAT_TEXT);
    tracer = tracer_create(&options, &failure);
    cr_assert_not_null(tracer);
    source = tracer_source(tracer, "orders", "log");
    cr_assert_eq(source, tracer_source(tracer, "orders", "log"), "it is made once");
    cr_assert_neq(source, tracer_source(tracer, "emails", "log"));
}

TestSuite(tracer, .init = begin, .timeout = 180);

static void record(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct span span = {
            .context = tracer_begin(tracer, NULL), .operation = SPAN_PROCESS, .source = source};
        tracer_record(tracer, &span);
    }
}

static uint64_t dropped(enum trace_drop reason)
{
    return counter_get(&stats.dropped[reason]);
}

Test(tracer, uploads_what_is_recorded_and_counts_it)
{
    record(3);
    await(20, counter_get(&stats.exported) == 3, "the spans");
    cr_assert(tracer_destroy(tracer, 2));
    cr_expect_eq(spans_taken, 3);
    cr_expect(was_sound);
}

Test(tracer, sends_what_is_left_at_its_end)
{
    record(1500);
    cr_assert(tracer_destroy(tracer, 60));
    cr_expect_eq(spans_taken, 1500);
    cr_expect_eq(counter_get(&stats.exported), 1500);
    cr_expect(uploads >= 3, "in batches");
}

Test(tracer, begins_a_trace_or_goes_on_with_the_parents)
{
    struct trace_context root = tracer_begin(tracer, NULL);
    cr_expect(trace_context_is_set(&root) && root.span != 0 && trace_context_is_sampled(&root));
    root.flags = TRACE_RANDOM;
    struct trace_context child = tracer_begin(tracer, &root);
    cr_expect(child.trace_high == root.trace_high && child.trace_low == root.trace_low &&
              child.span != root.span);
    cr_expect_eq(child.flags, (uint32_t)TRACE_RANDOM, "the parent is not sampled, and so is the child");
    cr_assert(tracer_destroy(tracer, 2));
}

Test(tracer, gives_a_trace_that_nobody_records_ids_all_the_same)
{
    struct trace_settings none = settings;
    struct whippet_failure failure;
    const struct tracer_options options = {
        .settings = &none, .version = "1", .upload = upload, .stats = &stats};
    cr_assert(tracer_destroy(tracer, 2));
    none.sampler.below = 0;
    tracer = tracer_create(&options, &failure);
    cr_assert_not_null(tracer);

    struct trace_context first = tracer_begin(tracer, NULL), second = tracer_begin(tracer, NULL), read;
    char text[TRACE_PARENT_SIZE];
    trace_parent_write(&first, text);
    cr_assert(trace_parent_read(bytes_of_text(text), &read), "others can read \"%s\"", text);
    cr_expect(read.trace_high == first.trace_high && read.trace_low == first.trace_low &&
              read.span == first.span);
    cr_expect_eq(first.flags, (uint32_t)TRACE_RANDOM, "it is not sampled");
    cr_expect(first.trace_low != second.trace_low && first.span != second.span, "the next is another trace");
    cr_assert(tracer_destroy(tracer, 2));
}

Test(tracer, tries_again_when_the_collector_was_away)
{
    answers[0] = answers[1] = UPLOAD_AGAIN;
    record(1);
    await(40, counter_get(&stats.exported) == 1, "the span");
    cr_expect_eq(uploads, 3);
    cr_expect_eq(dropped(TRACE_DROP_EXPORT), 0);
    cr_assert(tracer_destroy(tracer, 2));
}

Test(tracer, drops_and_counts_what_is_refused)
{
    answers[0] = UPLOAD_REFUSED;
    record(1);
    await(20, dropped(TRACE_DROP_EXPORT) == 1, "the span");
    record(1);
    await(20, counter_get(&stats.exported) == 1, "the next span");
    cr_assert(tracer_destroy(tracer, 2));
}

Test(tracer, counts_what_is_rejected_of_what_is_taken_and_says_so_once)
{
    char text[4096];
    int ends[2];
    cr_assert_eq(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    log_configure(ends[1], WHIPPET_WARNING, LOG_FORMAT_TEXT);
    rejects = 1;
    record(3);
    await(20, counter_get(&stats.exported) + dropped(TRACE_DROP_EXPORT) == 3, "the spans");
    unsigned first = uploads;
    record(3);
    await(20, counter_get(&stats.exported) + dropped(TRACE_DROP_EXPORT) == 6, "the next spans");
    cr_expect_eq(dropped(TRACE_DROP_EXPORT), uploads, "one of each request");
    cr_expect_lt(first, uploads);
    cr_assert(tracer_destroy(tracer, 2));
    ssize_t length = read(ends[0], text, sizeof text - 1);
    text[length > 0 ? length : 0] = '\0';
    const char *said = strstr(text, "rejects spans, 1 so far");
    cr_assert_not_null(said, "%s", text);
    cr_expect_not_null(strstr(text, "too old"), "%s", text);
    cr_expect_null(strstr(said + 1, "rejects spans"), "%s", text);
}

Test(tracer, leaves_a_collector_alone_for_as_long_as_it_asks_but_not_at_the_end)
{
    double begun = patience_now();
    asked_pause = 3;
    answers[0] = UPLOAD_AGAIN;
    record(1);
    await(40, counter_get(&stats.exported) == 1, "the span");
    cr_expect_geq(patience_now() - begun, 3);
    asked_pause = 1e9;
    answer_all(UPLOAD_AGAIN);
    begun = patience_now();
    unsigned before = uploads;
    record(1);
    await(20, uploads > before, "an upload");
    cr_assert(tracer_destroy(tracer, 2));
    cr_expect_lt(patience_now() - begun, patience_stretched(30));
}

Test(tracer, ends_soon_while_the_collector_is_away)
{
    double begun = patience_now();
    answer_all(UPLOAD_AGAIN);
    record(2000);
    await(20, uploads > 0, "an upload");
    cr_assert(tracer_destroy(tracer, 60));
    cr_expect(patience_now() - begun < patience_stretched(30), "it waited for somebody who is away");
    cr_expect_eq(dropped(TRACE_DROP_EXPORT), 2000);
}

Test(tracer, gives_an_upload_up_that_hangs_when_its_time_is_over)
{
    answer_all(HANGS);
    record(1);
    await(20, uploads == 1, "an upload");
    cr_assert(tracer_destroy(tracer, 0.1));
    cr_expect_eq(dropped(TRACE_DROP_EXPORT), 1);
}

Test(tracer, drops_and_counts_what_it_has_no_room_for)
{
    answer_all(HANGS);
    record(1);
    await(20, uploads == 1, "an upload that hangs");
    record(SPAN_RING_SLOTS + 10);
    cr_expect_eq(dropped(TRACE_DROP_FULL), 10);
    cr_assert(tracer_destroy(tracer, 0.1));
    cr_expect_eq(dropped(TRACE_DROP_FULL) + dropped(TRACE_DROP_EXPORT), SPAN_RING_SLOTS + 11);
}

static atomic_bool is_short;
static atomic_uint refused;

static bool permit(size_t size)
{
    (void)size;
    refused += is_short;
    return !is_short;
}

Test(tracer, keeps_spans_until_there_is_memory_for_them)
{
    memory_permit = permit;
    is_short = true;
    cr_expect_null(tracer_source(tracer, "others", "log"));
    record(SPAN_RING_SLOTS);
    await(20, refused > 1, "tries of the exporter");
    cr_expect_eq(counter_get(&stats.exported), 0);
    is_short = false;
    await(20, counter_get(&stats.exported) == SPAN_RING_SLOTS, "the spans");
    cr_assert(tracer_destroy(tracer, 20));
    memory_permit = NULL;
}

static unsigned allowed;

static bool permit_some(size_t size)
{
    (void)size;
    return allowed > 0 && allowed-- > 0;
}

Test(tracer, says_when_memory_is_short_for_itself)
{
    struct whippet_failure failure = {0};
    const struct tracer_options options = {
        .settings = &settings, .version = "1", .upload = upload, .stats = &stats};
    cr_assert(tracer_destroy(tracer, 2));
    memory_permit = permit_some;
    for (unsigned i = 0; i < 3; i++) {
        allowed = i;
        cr_expect_null(tracer_create(&options, &failure), "with %u allocations", i);
        cr_expect_eq(failure.error, WHIPPET_E_MEMORY);
    }
    memory_permit = NULL;
}
