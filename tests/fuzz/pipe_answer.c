/* What a child of `pipe` writes to its standard output, in chunks: lines, each an answer or none. The first
 * byte chooses the chunks. */
#include "../../processors/pipe/answer.h"
#include "../../processors/pipe/lines.h"
#include "fuzz.h"
#include <string.h>

enum {
    LIMIT = 512 /* bytes of a line */
};

static void check_answer(whippet_bytes line, const struct answer *answer)
{
    const char *begin = line.data, *raw = answer->reason.raw.data;
    FUZZ_PROMISE(answer->verdict == WHIPPET_ACK || answer->verdict == WHIPPET_RETRY ||
                 answer->verdict == WHIPPET_REJECT);
    FUZZ_PROMISE(answer->problem == NULL || answer->verdict == WHIPPET_RETRY);
    if (answer->reason.kind == WHIPPET_JSON_ABSENT)
        return;
    FUZZ_PROMISE(answer->reason.kind != WHIPPET_JSON_NULL);
    FUZZ_PROMISE(raw >= begin && raw + answer->reason.raw.len <= begin + line.len);
    FUZZ_PROMISE(whippet_json_read(answer->reason.raw, NULL, NULL).kind == answer->reason.kind);
}

static void take(whippet_bytes line)
{
    struct answer answer;
    char problem[ANSWER_PROBLEM_SIZE];
    FUZZ_PROMISE(line.len <= LIMIT && memchr(line.data, '\n', line.len) == NULL);
    memset(problem, 'x', sizeof problem);
    if (answer_read(line, &answer, problem))
        check_answer(line, &answer);
    else
        FUZZ_PROMISE(strnlen(problem, sizeof problem) > 0 &&
                     strnlen(problem, sizeof problem) < sizeof problem);
}

/* Feeds as much as there is room for. False when a line is too long. */
static bool feed(struct lines *lines, const uint8_t **data, size_t *left, size_t step)
{
    size_t room;
    whippet_bytes line;
    char *at = lines_room(lines, &room);
    size_t count = *left < step ? *left : step;
    count = count < room ? count : room;
    if (count > 0)
        memcpy(at, *data, count);
    lines_added(lines, count);
    *data += count;
    *left -= count;
    while (lines_next(lines, &line))
        take(line);
    return room > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lines lines;
    whippet_bytes rest;
    if (size == 0)
        return 0;
    FUZZ_PROMISE(lines_create(&lines, LIMIT));
    size_t step = data[0] != 0 ? data[0] : size;
    size_t left = size - 1;
    data++;
    while (left > 0 && feed(&lines, &data, &left, step))
        continue;
    if (lines_rest(&lines, &rest))
        FUZZ_PROMISE(rest.len <= LIMIT + 1 && memchr(rest.data, '\n', rest.len) == NULL);
    lines_destroy(&lines);
    return 0;
}
