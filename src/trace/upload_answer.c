#include <base/json.h>
#include <base/memory.h>
#include <stdlib.h>
#include <string.h>
#include <trace/tracer.h>

/* An int64 of protobuf's JSON: a string by the rules, which also allow a number to be read. */
static uint64_t read_count(whippet_json_value value)
{
    char digits[24] = "";
    int64_t count = 0;
    if (value.kind == WHIPPET_JSON_STRING && value.raw.len < sizeof digits) {
        digits[json_string_decode(value.raw, digits)] = '\0';
        count = strtoll(digits, NULL, 10);
    } else {
        whippet_json_integer(value, &count);
    }
    return count > 0 ? (uint64_t)count : 0;
}

static void read_words(whippet_json_value value, struct whippet_failure *failure)
{
    char *words = value.kind == WHIPPET_JSON_STRING ? memory_allocate(value.raw.len) : NULL;
    if (words == NULL)
        return;
    size_t length = json_string_decode(value.raw, words);
    if (length > 0)
        failure_set(failure, WHIPPET_E_REFUSED, "%.*s", (int)length, words);
    memory_free(words);
}

void upload_answer_read(whippet_bytes body, struct upload_answer *answer)
{
    whippet_json_value partial = whippet_json_get(whippet_json_read(body, NULL, NULL), "partialSuccess");
    answer->rejected = read_count(whippet_json_get(partial, "rejectedSpans"));
    read_words(whippet_json_get(partial, "errorMessage"), &answer->failure);
    if (answer->rejected > 0 && answer->failure.error == 0)
        failure_set(&answer->failure, WHIPPET_E_REFUSED, "it does not say why");
}
