/* traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01". */
#include <base/bytes.h>
#include <base/random.h>
#include <stdio.h>
#include <trace/context.h>

enum {
    VERSION_AT = 0,
    TRACE_AT = 3,
    SPAN_AT = 36,
    FLAGS_AT = 53,
    KNOWN_FLAGS = TRACE_SAMPLED | TRACE_RANDOM,
};

uint64_t trace_id_make(void)
{
    uint64_t id = random_bits();
    return id != 0 ? id : 1;
}

/* Lower case only, by the standard. */
static bool read_hex(const char *at, unsigned digits, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < digits; i++) {
        char digit = at[i];
        if (digit >= '0' && digit <= '9')
            *value = *value << 4 | (uint64_t)(digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            *value = *value << 4 | (uint64_t)(digit - 'a' + 10);
        else
            return false;
    }
    return true;
}

/* Later versions may add fields behind the four that we know. */
static bool length_fits(whippet_bytes text, uint64_t version)
{
    const char *at = text.data;
    if (text.len == TRACE_PARENT_LENGTH)
        return true;
    return version > 0 && text.len > TRACE_PARENT_LENGTH && at[TRACE_PARENT_LENGTH] == '-';
}

bool trace_parent_read(whippet_bytes text, struct trace_context *context)
{
    const char *at = text.data;
    uint64_t version, high, low, span, flags;
    if (text.len < TRACE_PARENT_LENGTH || at[TRACE_AT - 1] != '-' || at[SPAN_AT - 1] != '-' ||
        at[FLAGS_AT - 1] != '-')
        return false;
    if (!read_hex(at + VERSION_AT, 2, &version) || version == 0xff || !length_fits(text, version))
        return false;
    if (!read_hex(at + TRACE_AT, 16, &high) || !read_hex(at + TRACE_AT + 16, 16, &low) ||
        !read_hex(at + SPAN_AT, 16, &span) || !read_hex(at + FLAGS_AT, 2, &flags))
        return false;
    if ((high | low) == 0 || span == 0)
        return false;
    *context = (struct trace_context){
        .trace_high = high, .trace_low = low, .span = span, .flags = (uint32_t)flags & KNOWN_FLAGS};
    return true;
}

void trace_parent_write(const struct trace_context *context, char text[TRACE_PARENT_SIZE])
{
    snprintf(text, TRACE_PARENT_SIZE, "00-%016llx%016llx-%016llx-%02x",
             (unsigned long long)context->trace_high, (unsigned long long)context->trace_low,
             (unsigned long long)context->span, (unsigned)context->flags & KNOWN_FLAGS);
}
