/* OpenTelemetry's environment variables. */
#include "pairs.h"
#include "sampler.h"
#include <base/log.h>
#include <base/memory.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const double TIMEOUT_SECONDS = 10; /* the specification's */

/* NULL also for an empty value, which the specification has be as none. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

/* One of two: that for traces, where it is set, or that for all signals. */
struct choice {
    const char *name;
    const char *value; /* NULL: neither is set */
    bool is_of_traces;
};

static struct choice choose(const char *for_traces, const char *for_all)
{
    const char *value = variable(for_traces);
    if (value != NULL)
        return (struct choice){.name = for_traces, .value = value, .is_of_traces = true};
    return (struct choice){.name = for_all, .value = variable(for_all)};
}

static bool is_wanted(void)
{
    const char *disabled = variable("OTEL_SDK_DISABLED"), *exporter = variable("OTEL_TRACES_EXPORTER");
    return (disabled == NULL || strcasecmp(disabled, "true") != 0) &&
           (exporter == NULL || strcmp(exporter, "none") != 0);
}

/* --- Where to -------------------------------------------------------------------------------------------*/

/* Behind the scheme, and whom to be there. */
static const char *find_host(const char *url)
{
    const char *scheme = strstr(url, "://");
    const char *host = scheme != NULL ? scheme + 3 : url;
    const char *at = memrchr(host, '@', strcspn(host, "/?#"));
    return at != NULL ? at + 1 : host;
}

/* HTTP's, with a host. */
static bool is_endpoint(const char *url)
{
    bool is_http = strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
    return is_http && strcspn(find_host(url), ":/?#") > 0;
}

/* The URL, or what was meant to be one, without what may be secret in it: user, password and query. NULL when
 * memory is short. */
static char *describe(const char *url)
{
    const char *scheme = strstr(url, "://");
    const char *host = find_host(url);
    size_t size = strlen(url) + 1;
    char *where = memory_allocate(size);
    if (where != NULL)
        snprintf(where, size, "%.*s%.*s", scheme != NULL ? (int)(scheme + 3 - url) : 0, url,
                 (int)strcspn(host, "?#"), host);
    return where;
}

/* False when memory is short. */
static bool refuse_endpoint(const struct choice *endpoint)
{
    char *found = describe(endpoint->value);
    if (found != NULL)
        log_event(
            WHIPPET_ERROR, NULL,
            "no traces are exported: %s has to be a URL that begins with http:// or https:// and a host, "
            "such as http://localhost:4318, not \"%s\"",
            endpoint->name, found);
    memory_free(found);
    return found != NULL;
}

/* The endpoint of all signals is a base to which the path of ours is added; that of traces is taken as it is.
 */
static bool read_endpoint(struct trace_settings *settings)
{
    static const char PATH[] = "/v1/traces";
    const struct choice endpoint =
        choose("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
    const char *url = endpoint.value;
    if (url == NULL)
        return true;
    if (!is_endpoint(url))
        return refuse_endpoint(&endpoint);
    size_t length = strlen(url);
    while (!endpoint.is_of_traces && url[length - 1] == '/') /* the host is in front of them */
        length--;
    settings->endpoint = memory_allocate(length + sizeof PATH);
    if (settings->endpoint == NULL)
        return false;
    snprintf(settings->endpoint, length + sizeof PATH, "%.*s%s", (int)length, url,
             endpoint.is_of_traces ? "" : PATH);
    settings->where = describe(settings->endpoint);
    return settings->where != NULL;
}

/* --- The rest -------------------------------------------------------------------------------------------*/

/* The list in the variable; a wrong one is none. False when memory is short. */
static bool read_list(struct trace_pairs *pairs, const char *name, const char *value)
{
    int error = trace_pairs_read(pairs, value);
    if (error == WHIPPET_E_INVALID)
        log_event(WHIPPET_WARNING, NULL,
                  "%s is left out: it has to be a list like \"name=value,name=value\", with %%2C for a comma "
                  "within",
                  name);
    return error != WHIPPET_E_MEMORY;
}

static bool read_headers(struct trace_settings *settings)
{
    const struct choice headers = choose("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS");
    return read_list(&settings->headers, headers.name, headers.value);
}

static bool read_resource(struct trace_settings *settings)
{
    static const char NAME[] = "OTEL_RESOURCE_ATTRIBUTES";
    if (!read_list(&settings->resource, NAME, variable(NAME)))
        return false;
    settings->service_name = variable("OTEL_SERVICE_NAME");
    if (settings->service_name == NULL)
        settings->service_name = trace_pairs_find(&settings->resource, "service.name");
    if (settings->service_name == NULL)
        settings->service_name = "whippet";
    return true;
}

static void read_timeout(struct trace_settings *settings)
{
    const struct choice timeout = choose("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT");
    char *end;
    settings->timeout = TIMEOUT_SECONDS;
    if (timeout.value == NULL)
        return;
    double milliseconds = strtod(timeout.value, &end);
    if (end != timeout.value && *end == '\0' && milliseconds >= 1 && milliseconds <= 3600e3)
        settings->timeout = milliseconds / 1000;
    else
        log_event(WHIPPET_WARNING, NULL,
                  "%s is left out: it has to be milliseconds, from 1 to 3600000, not \"%s\"", timeout.name,
                  timeout.value);
}

static void read_sampler(struct trace_settings *settings)
{
    const char *name = variable("OTEL_TRACES_SAMPLER"), *argument = variable("OTEL_TRACES_SAMPLER_ARG");
    if (!sampler_read(&settings->sampler, name, argument))
        log_event(
            WHIPPET_WARNING, NULL,
            "every trace is sampled: OTEL_TRACES_SAMPLER is \"%s\" with the argument \"%s\"; it has to be "
            "always_on, always_off or traceidratio (with a ratio from 0 to 1), or parentbased_ and one of "
            "these",
            name, argument != NULL ? argument : "");
}

static void check_protocol(void)
{
    const struct choice protocol =
        choose("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL");
    if (protocol.value != NULL && strcmp(protocol.value, "http/json") != 0)
        log_event(WHIPPET_WARNING, NULL,
                  "%s is \"%s\", and traces are exported as http/json all the same: there is no other",
                  protocol.name, protocol.value);
}

bool trace_settings_read(struct trace_settings *settings)
{
    *settings = (struct trace_settings){0};
    if (!is_wanted())
        return true;
    bool done = read_endpoint(settings);
    if (done && settings->endpoint != NULL) {
        done = read_headers(settings) && read_resource(settings);
        read_timeout(settings);
        read_sampler(settings);
        check_protocol();
    }
    if (!done)
        trace_settings_destroy(settings);
    return done;
}

void trace_settings_destroy(struct trace_settings *settings)
{
    trace_pairs_destroy(&settings->headers);
    trace_pairs_destroy(&settings->resource);
    memory_free(settings->endpoint);
    memory_free(settings->where);
    *settings = (struct trace_settings){0};
}
