/* A collector of traces for tests: takes OTLP/HTTP JSON on a port of loopback's, in a thread of its own, and
 * lets the test look at the spans. */
#ifndef TESTS_SUPPORT_COLLECTOR_H
#define TESTS_SUPPORT_COLLECTOR_H

#include <cjson/cJSON.h>
#include <stddef.h>

enum {
    COLLECTOR_NEVER = 0, /* takes requests, and does not answer */
    COLLECTOR_OK = 200,
};

/* Starts it, and has workers that start from now on export to it. It ends with the test. */
void collector_open(void);

/* How it answers from now on. */
void collector_answer(int status);

/* The same, with a header field ("Retry-After: 3", or "") and a body. Both are kept. */
void collector_answer_with(int status, const char *field, const char *body);

unsigned collector_port(void);

/* How many requests and spans have come so far. What was not answered with 200 counts as a request only. */
unsigned collector_requests(void);
unsigned collector_spans(void);

/* The headers of the last request, as text. */
const char *collector_headers(void);

/* A span; what it points to lasts as long as the test. */
struct collected {
    const char *trace, *id, *parent; /* in hex; parent "" where there is none */
    const char *name;
    double start, end; /* seconds since 1970 */
    const char *error; /* the status's message; NULL: it went well */
    const cJSON *attributes;
};

/* The span of that name, the `nth` of them from 0 in the order they began; awaits it. */
struct collected collector_await(double seconds, const char *name, unsigned nth);

/* The value of an attribute as text; "" when there is none. */
const char *collected_attribute(const struct collected *span, const char *name);

#endif
