#include "answer.h"
#include <stdio.h>

enum {
    SHOWN = 120 /* bytes of a line that is no answer */
};

static const struct {
    const char *name;
    whippet_verdict verdict;
} verdicts[] = {
    {"ack", WHIPPET_ACK},
    {"retry", WHIPPET_RETRY},
    {"reject", WHIPPET_REJECT},
};

enum {
    VERDICTS = sizeof verdicts / sizeof verdicts[0]
};

static void read_verdict(whippet_json_value value, struct answer *answer)
{
    for (size_t i = 0; i < VERDICTS; i++) {
        if (whippet_json_equals(value, verdicts[i].name)) {
            answer->verdict = verdicts[i].verdict;
            return;
        }
    }
    answer->verdict = WHIPPET_RETRY;
    answer->problem = value.kind == WHIPPET_JSON_ABSENT
                          ? "the answer has no \"verdict\": expected \"ack\", \"retry\" or \"reject\""
                          : "the answer's \"verdict\" is not \"ack\", \"retry\" or \"reject\"";
}

/* Shows the beginning of the line, NULs as blanks: the log makes the rest legible. */
static bool refuse(char *problem, whippet_bytes line, const char *why)
{
    int shown = line.len < SHOWN ? (int)line.len : SHOWN;
    int length = snprintf(problem, ANSWER_PROBLEM_SIZE, "%s; it wrote: ", why);
    const char *text = line.data;
    for (int i = 0; i < shown && length + 4 < ANSWER_PROBLEM_SIZE; i++)
        problem[length++] = text[i] != '\0' ? text[i] : ' ';
    snprintf(problem + length, (size_t)(ANSWER_PROBLEM_SIZE - length), "%s",
             (size_t)shown < line.len ? "…" : "");
    return false;
}

static bool refuse_syntax(char *problem, whippet_bytes line, size_t offset, const char *why)
{
    char text[160];
    snprintf(text, sizeof text, "a line that is not JSON: %s at byte %zu", why, offset + 1);
    return refuse(problem, line, text);
}

bool answer_read(whippet_bytes line, struct answer *answer, char *problem)
{
    size_t offset;
    const char *why;
    *answer = (struct answer){0};
    whippet_json_value value = whippet_json_read(line, &offset, &why);
    if (line.len == 0)
        return refuse(problem, line, "an empty line");
    if (value.kind == WHIPPET_JSON_ABSENT)
        return refuse_syntax(problem, line, offset, why);
    if (value.kind != WHIPPET_JSON_OBJECT)
        return refuse(problem, line, "a line that is no JSON object");
    if (!whippet_json_integer(whippet_json_get(value, "id"), &answer->id))
        return refuse(problem, line, "an answer without the \"id\" of a message, a whole number");
    read_verdict(whippet_json_get(value, "verdict"), answer);
    answer->reason = whippet_json_get(value, "reason");
    if (answer->reason.kind == WHIPPET_JSON_NULL)
        answer->reason = (whippet_json_value){0};
    return true;
}
