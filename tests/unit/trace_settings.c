/* What OpenTelemetry's environment variables say. */
#include "../../src/trace/pairs.h"
#include <base/log.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct trace_settings settings;
static int pipe_ends[2];

static void begin(void)
{
    cr_assert_eq(pipe2(pipe_ends, O_NONBLOCK | O_CLOEXEC), 0);
    log_configure(pipe_ends[1], WHIPPET_WARNING, LOG_FORMAT_TEXT);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318", 1);
}

static void end(void)
{
    memory_permit = NULL;
    trace_settings_destroy(&settings);
}

TestSuite(trace_settings, .init = begin, .fini = end);

/* What it has said since it was last read. */
static const char *read_log(void)
{
    static char text[4096];
    ssize_t length = read(pipe_ends[0], text, sizeof text - 1);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

static void expect_warning(const char *part)
{
    const char *text = read_log();
    cr_expect_not_null(strstr(text, part), "\"%s\" does not say \"%s\"", text, part);
}

static void read_settings(void)
{
    trace_settings_destroy(&settings);
    cr_assert(trace_settings_read(&settings));
}

static void expect_endpoint(const char *expected, const char *where)
{
    read_settings();
    cr_assert_not_null(settings.endpoint);
    cr_expect_str_eq(settings.endpoint, expected);
    cr_expect_str_eq(settings.where, where);
}

Test(trace_settings, have_usual_values)
{
    expect_endpoint("http://collector:4318/v1/traces", "http://collector:4318/v1/traces");
    cr_expect_str_eq(settings.service_name, "whippet");
    cr_expect_eq(settings.timeout, 10);
    cr_expect_eq(settings.headers.count, 0);
    cr_expect(settings.sampler.parent_based);
}

Test(trace_settings, name_the_collector_for_all_signals_or_for_traces)
{
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector/otlp//", 1);
    expect_endpoint("https://collector/otlp/v1/traces", "https://collector/otlp/v1/traces");
    setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://user:pass@traces:1/in?key=secret", 1);
    expect_endpoint("http://user:pass@traces:1/in?key=secret", "http://traces:1/in");
}

Test(trace_settings, can_say_that_no_traces_are_wanted)
{
    setenv("OTEL_SDK_DISABLED", "TRUE", 1);
    read_settings();
    cr_expect_null(settings.endpoint);
    setenv("OTEL_SDK_DISABLED", "false", 1);
    setenv("OTEL_TRACES_EXPORTER", "none", 1);
    read_settings();
    cr_expect_null(settings.endpoint);
    unsetenv("OTEL_TRACES_EXPORTER");
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "", 1);
    read_settings();
    cr_expect_null(settings.endpoint);
}

Test(trace_settings, say_when_the_collector_is_no_url)
{
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", 1);
    read_settings();
    cr_expect_null(settings.endpoint);
    expect_warning("OTEL_EXPORTER_OTLP_ENDPOINT has to be a URL");
}

/* "http://$COLLECTOR" with an empty variable, and its like. */
Test(trace_settings, say_when_the_collector_has_no_host)
{
    static const char *const wrong[] = {"http://",    "https://",     "https:///",
                                        "http:///v1", "http://:4318", "http://?a=b"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        setenv("OTEL_EXPORTER_OTLP_ENDPOINT", wrong[i], 1);
        read_settings();
        cr_expect_null(settings.endpoint, "\"%s\"", wrong[i]);
        expect_warning(
            "OTEL_EXPORTER_OTLP_ENDPOINT has to be a URL that begins with http:// or https:// and a "
            "host, such as http://localhost:4318, not \"http");
    }
    setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://", 1);
    read_settings();
    cr_expect_null(settings.endpoint);
    expect_warning("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT has to be a URL");
}

Test(trace_settings, show_no_password_of_a_collector_that_is_none)
{
    static const char *const wrong[] = {"http://user:hidden@/v1", "user:hidden@collector:4318",
                                        "grpc://user:hidden@collector?key=hidden"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        setenv("OTEL_EXPORTER_OTLP_ENDPOINT", wrong[i], 1);
        read_settings();
        cr_expect_null(settings.endpoint, "\"%s\"", wrong[i]);
        const char *text = read_log();
        cr_expect_not_null(strstr(text, "no traces are exported"), "%s", text);
        cr_expect_null(strstr(text, "hidden"), "%s", text);
    }
}

Test(trace_settings, take_headers_and_attributes_as_lists)
{
    setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key = a%2Cb%3d , ,x-tenant=7", 1);
    setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=orders,deployment.environment=prod", 1);
    read_settings();
    cr_assert_eq(settings.headers.count, 2);
    cr_expect_str_eq(trace_pairs_find(&settings.headers, "api-key"), "a,b=");
    cr_expect_str_eq(trace_pairs_find(&settings.headers, "x-tenant"), "7");
    cr_expect_str_eq(settings.service_name, "orders");
    setenv("OTEL_SERVICE_NAME", "billing", 1);
    setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "only=this", 1);
    read_settings();
    cr_expect_str_eq(settings.service_name, "billing");
    cr_expect_eq(settings.headers.count, 1);
}

Test(trace_settings, leave_out_lists_that_are_none)
{
    static const char *const wrong[] = {"a", "=1", "a=%", "a=%4", "a=%zz", "a=%00", "a=1,b"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        setenv("OTEL_RESOURCE_ATTRIBUTES", wrong[i], 1);
        read_settings();
        cr_expect_eq(settings.resource.count, 0, "\"%s\"", wrong[i]);
        expect_warning("OTEL_RESOURCE_ATTRIBUTES is left out");
    }
}

Test(trace_settings, leave_out_what_makes_no_sense_and_say_so)
{
    setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", 1);
    setenv("OTEL_TRACES_SAMPLER", "dice", 1);
    setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", 1);
    read_settings();
    cr_expect_eq(settings.timeout, 10);
    const char *text = read_log();
    cr_expect(strstr(text, "OTEL_EXPORTER_OTLP_TIMEOUT is left out") &&
                  strstr(text, "OTEL_TRACES_SAMPLER is \"dice\"") &&
                  strstr(text, "exported as http/json all the same"),
              "%s", text);
    setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1500", 1);
    read_settings();
    cr_expect_eq(settings.timeout, 1.5);
}

Test(trace_settings, name_the_variable_that_is_wrong)
{
    setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1500", 1);
    setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", 1);
    setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon", 1);
    setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc", 1);
    read_settings();
    const char *text = read_log();
    cr_expect(strstr(text, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT is left out") &&
                  strstr(text, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is \"grpc\""),
              "%s", text);
}

static unsigned allowed;

static bool permit(size_t size)
{
    (void)size;
    return allowed > 0 && allowed-- > 0;
}

Test(trace_settings, say_when_memory_is_short)
{
    setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=b", 1);
    setenv("OTEL_RESOURCE_ATTRIBUTES", "a=b", 1);
    memory_permit = permit;
    unsigned needed = 0;
    for (allowed = needed; !trace_settings_read(&settings); allowed = ++needed)
        cr_expect_null(settings.endpoint);
    cr_expect_eq(needed, 6);
}
