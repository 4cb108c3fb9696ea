/* Headers that strangers write: a message's traceparent and tracestate, a server's Retry-After. */
#include "../../processors/common/retry_after.h"
#include "fuzz.h"
#include <math.h>
#include <string.h>
#include <trace/context.h>

/* What was read and is passed on says the same to the next one. */
static void check_parent(whippet_bytes text)
{
    struct trace_context context, again;
    char written[TRACE_PARENT_SIZE];
    if (!trace_parent_read(text, &context))
        return;
    FUZZ_PROMISE(trace_context_is_set(&context) && context.span != 0);
    trace_parent_write(&context, written);
    FUZZ_PROMISE(strlen(written) == TRACE_PARENT_LENGTH);
    FUZZ_PROMISE(trace_parent_read((whippet_bytes){written, TRACE_PARENT_LENGTH}, &again));
    FUZZ_PROMISE(memcmp(&context, &again, sizeof context) == 0);
}

/* It goes on as it is: into headers, and into the environment of commands. */
static void check_state(whippet_bytes text)
{
    const char *at = text.data;
    if (!trace_state_is_sound(text))
        return;
    FUZZ_PROMISE(text.len > 0);
    for (size_t i = 0; i < text.len; i++)
        FUZZ_PROMISE((at[i] >= ' ' && at[i] <= '~') || at[i] == '\t');
}

static void check_retry_after(whippet_bytes text)
{
    const time_t now = 1764000000;
    double seconds = retry_after_seconds(text, now), later = retry_after_seconds(text, now + 10);
    FUZZ_PROMISE(isfinite(seconds) && seconds >= 0);
    FUZZ_PROMISE(later <= seconds && seconds - later <= 10);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    whippet_bytes text = {(const char *)data, size};
    check_parent(text);
    check_state(text);
    check_retry_after(text);
    return 0;
}
