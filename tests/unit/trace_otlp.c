/* The JSON that goes to the collector, read by our own reader, which is strict. */
#include "../../src/trace/otlp.h"
#include "../../src/trace/otlp_text.h"
#include "../../src/trace/pairs.h"
#include <base/bytes.h>
#include <base/json.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static struct trace_settings settings;
static struct span_source *source;
static struct buffer head, request;

static void begin(void)
{
    settings.service_name = "billing \"\\\x01";
    cr_assert_eq(trace_pairs_read(&settings.resource, "service.name=no,a%22b=c%0a,service.version=7"), 0);
    source = span_source_create("orders \"x\"", "log");
    cr_assert_not_null(source);
}

static void end(void)
{
    memory_permit = NULL;
    trace_pairs_destroy(&settings.resource);
    span_source_destroy(source);
    buffer_destroy(&head);
    buffer_destroy(&request);
}

TestSuite(otlp, .init = begin, .fini = end);

static whippet_json_value root;

static void write_request(const struct span *spans, size_t count, double offset)
{
    buffer_clear(&head);
    buffer_clear(&request);
    cr_assert(otlp_write_head(&head, &settings, "1.2.3") && otlp_begin(&request, &head));
    for (size_t i = 0; i < count; i++)
        cr_assert(otlp_add(&request, &spans[i], offset));
    cr_assert(otlp_end(&request));
    whippet_bytes text = bytes_of(buffer_begin(&request), buffer_length(&request));
    const char *problem = "";
    size_t at = 0;
    root = whippet_json_read(text, &at, &problem);
    cr_assert_neq(root.kind, WHIPPET_JSON_ABSENT, "%s at %zu of %.*s", problem, at, (int)text.len,
                  (const char *)text.data);
}

static whippet_json_value find(const char *path)
{
    whippet_json_value value = whippet_json_find(root, path);
    cr_assert_neq(value.kind, WHIPPET_JSON_ABSENT, "there is no %s in %.*s", path, (int)root.raw.len,
                  (const char *)root.raw.data);
    return value;
}

static void expect_text(whippet_json_value value, const char *expected)
{
    cr_expect(json_string_equals(value.raw, bytes_of_text(expected)), "%.*s, not \"%s\"", (int)value.raw.len,
              (const char *)value.raw.data, expected);
}

/* The value of an attribute, in the list at that path. */
static whippet_json_value attribute(const char *path, const char *name, const char *type)
{
    whippet_json_value list = find(path), each;
    while (whippet_json_next(&list, NULL, &each))
        if (json_string_equals(whippet_json_get(each, "key").raw, bytes_of_text(name)))
            return whippet_json_get(whippet_json_get(each, "value"), type);
    cr_expect_fail("there is no attribute %s", name);
    return each;
}

#define RESOURCE        "resourceSpans[0].resource.attributes"
#define SPAN            "resourceSpans[0].scopeSpans[0].spans[0]"
#define SPAN_ATTRIBUTES SPAN ".attributes"

static struct span some_span(void)
{
    return (struct span){
        .context = {.trace_high = 0x0af7651916cd43dd,
                    .trace_low = 0x8448eb211c80319c,
                    .span = 0x00000000000000ff},
        .parent = 0xb7ad6b7169203331,
        .operation = SPAN_PROCESS,
        .attempt = 2,
        .start = 10.5,
        .end = 11.25,
        .source = source,
        .message_id = bytes_of_text("m-1"),
    };
}

Test(otlp, names_the_resource_and_the_scope)
{
    write_request(NULL, 0, 0);
    expect_text(attribute(RESOURCE, "service.name", "stringValue"), settings.service_name);
    expect_text(attribute(RESOURCE, "a\"b", "stringValue"), "c\n");
    expect_text(attribute(RESOURCE, "service.version", "stringValue"), "7");
    attribute(RESOURCE, "host.name", "stringValue");
    cr_expect_eq(whippet_json_length(find(RESOURCE)), 4);
    expect_text(find("resourceSpans[0].scopeSpans[0].scope.name"), "whippet");
    expect_text(find("resourceSpans[0].scopeSpans[0].scope.version"), "1.2.3");
}

Test(otlp, writes_a_span_by_the_conventions_for_messaging)
{
    struct span span = some_span();
    write_request(&span, 1, 1.75e9);
    expect_text(find(SPAN ".traceId"), "0af7651916cd43dd8448eb211c80319c");
    expect_text(find(SPAN ".spanId"), "00000000000000ff");
    expect_text(find(SPAN ".parentSpanId"), "b7ad6b7169203331");
    expect_text(find(SPAN ".name"), "process orders \"x\"");
    expect_text(find(SPAN ".startTimeUnixNano"), "1750000010500000000");
    expect_text(find(SPAN ".endTimeUnixNano"), "1750000011250000000");
    expect_text(attribute(SPAN_ATTRIBUTES, "messaging.system", "stringValue"), "rabbitmq");
    expect_text(attribute(SPAN_ATTRIBUTES, "messaging.destination.name", "stringValue"), "orders \"x\"");
    expect_text(attribute(SPAN_ATTRIBUTES, "messaging.operation.type", "stringValue"), "process");
    expect_text(attribute(SPAN_ATTRIBUTES, "messaging.operation.name", "stringValue"), "process");
    expect_text(attribute(SPAN_ATTRIBUTES, "messaging.message.id", "stringValue"), "m-1");
    expect_text(attribute(SPAN_ATTRIBUTES, "whippet.attempt", "intValue"), "2");
    expect_text(attribute(SPAN_ATTRIBUTES, "whippet.processor", "stringValue"), "log");
    cr_expect_eq(whippet_json_find(root, SPAN ".status").kind, WHIPPET_JSON_ABSENT);
}

Test(otlp, writes_every_number_with_the_digits_it_has)
{
    static const struct {
        uint64_t value;
        const char *text;
    } NUMBERS[] = {
        {0, "0"},
        {9, "9"},
        {10, "10"},
        {999999999, "999999999"},
        {1000000000, "1000000000"},
        {1000000001, "1000000001"},
        {1750000010000000000, "1750000010000000000"},
        {UINT64_MAX, "18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; i++) {
        char text[JSON_DIGITS_MAX + 1];
        *put_unsigned(text, NUMBERS[i].value) = '\0';
        cr_expect_str_eq(text, NUMBERS[i].text);
    }
}

Test(otlp, says_what_kind_of_span_it_is)
{
    static const char KINDS[] = {'3', '5', '1', '4', '3'};
    for (int i = 0; i < SPAN_OPERATION_COUNT; i++) {
        struct span span = some_span();
        span.operation = (enum span_operation)i;
        write_request(&span, 1, 0);
        whippet_bytes kind = find(SPAN ".kind").raw;
        cr_expect(kind.len == 1 && *(const char *)kind.data == KINDS[i], "of the operation %d", i);
    }
}

Test(otlp, says_what_went_wrong)
{
    struct span span = some_span();
    span.error_type = "timeout";
    span.error = bytes_of_text("gave up\n\"now\"");
    write_request(&span, 1, 0);
    expect_text(attribute(SPAN_ATTRIBUTES, "error.type", "stringValue"), "timeout");
    expect_text(find(SPAN ".status.message"), "gave up\n\"now\"");
    cr_expect(bytes_equal_text(find(SPAN ".status.code").raw, "2"));
}

Test(otlp, names_a_publication_by_its_destination)
{
    struct span span = some_span();
    span.operation = SPAN_PUBLISH;
    span.source = NULL;
    span.destination = bytes_of_text("events:order.new");
    write_request(&span, 1, 0);
    expect_text(find(SPAN ".name"), "publish events:order.new");
    expect_text(attribute(SPAN_ATTRIBUTES, "messaging.destination.name", "stringValue"), "events:order.new");
    expect_text(attribute(SPAN_ATTRIBUTES, "messaging.operation.type", "stringValue"), "send");
}

Test(otlp, leaves_out_what_there_is_not_and_mends_what_can_not_be)
{
    struct span span = some_span();
    span.parent = 0;
    span.message_id = bytes_of("\xff\"\\\x01", 4);
    span.attempt = 0;
    span.start = NAN;
    span.end = 1;
    write_request(&span, 1, 0);
    cr_expect_eq(whippet_json_find(root, SPAN ".parentSpanId").kind, WHIPPET_JSON_ABSENT);
    expect_text(attribute(SPAN_ATTRIBUTES, "messaging.message.id", "stringValue"), "\xef\xbf\xbd\"\\\x01");
    expect_text(find(SPAN ".startTimeUnixNano"), "0");
}

Test(otlp, has_room_for_the_worst_of_all_texts)
{
    char nasty[256];
    memset(nasty, 1, sizeof nasty);
    nasty[255] = '\0';
    struct span spans[3];
    for (int i = 0; i < 3; i++) {
        spans[i] = some_span();
        spans[i].message_id = spans[i].destination = spans[i].error = bytes_of(nasty, 255);
        spans[i].error_type = spans[i].outcome = "something quite long that nobody would call an error";
        spans[i].attempt = UINT32_MAX;
        spans[i].operation = i == 1 ? SPAN_PUBLISH : SPAN_SETTLE;
    }
    struct span_source *long_source = span_source_create(nasty, nasty);
    spans[2].source = long_source;
    write_request(spans, 3, 1.8e10);
    cr_expect_eq(whippet_json_length(find("resourceSpans[0].scopeSpans[0].spans")), 3);
    span_source_destroy(long_source);
}

static unsigned allowed;

static bool permit(size_t size)
{
    (void)size;
    return allowed > 0 && allowed-- > 0;
}

Test(otlp, says_when_memory_is_short)
{
    struct span_source *made;
    unsigned needed = 0;
    memory_permit = permit;
    for (allowed = needed; (made = span_source_create("q", "p")) == NULL;)
        allowed = ++needed;
    cr_expect_eq(needed, 3 + SPAN_OPERATION_COUNT - 1);
    span_source_destroy(made);
    struct span span = some_span();
    allowed = 0;
    cr_expect_not(otlp_write_head(&head, &settings, "1"));
    memory_permit = NULL;
    buffer_clear(&head);
    cr_assert(otlp_write_head(&head, &settings, "1"));
    memory_permit = permit;
    cr_expect_not(otlp_begin(&request, &head));
    cr_expect_not(otlp_add(&request, &span, 0));
    cr_expect_not(otlp_end(&request));
}
