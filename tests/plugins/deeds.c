/* Does what the message's body says, one word: a processor for the tests of `whippet try`. */
#include <whippet/processor.h>

#include <string.h>

static whippet_verdict publish(whippet_task *task)
{
    whippet_publication publication = {.routing_key = "elsewhere", .body = {"four", 4}};
    int error = whippet_publish(task, &publication);

    return error == 0 ? WHIPPET_ACK : whippet_reject(task, "%s", whippet_error_text(error));
}

static whippet_verdict announce(whippet_task *task)
{
    whippet_publish_header headers[] = {{"tenant", whippet_text_value("acme\033")},
                                        {"n", whippet_integer_value(9007199254740993)}};
    whippet_publication publication = {.exchange = "events",
                                       .routing_key = "orders.new",
                                       .body = {"\xff\x00", 2},
                                       .content_type = "application/x",
                                       .expiration = 2,
                                       .priority = 7,
                                       .transient = true,
                                       .headers = headers,
                                       .header_count = 2};

    return whippet_publish(task, &publication) == 0 ? WHIPPET_ACK : WHIPPET_REJECT;
}

/* Touches much of its stack, in a way that no compiler takes for superfluous. */
static whippet_verdict dig(void)
{
    char hole[100000];

    memset(hole, 1, sizeof hole);
    __asm__ volatile("" : : "r"(hole) : "memory");
    return WHIPPET_ACK;
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    whippet_bytes body = whippet_body(message);
    char word[32] = "";

    (void)state;
    memcpy(word, body.data ? body.data : "", body.len < sizeof word ? body.len : 0);
    if (strcmp(word, "reject") == 0) {
        return whippet_reject(task, "not \033[31mthis\nway");
    }
    if (strcmp(word, "sleep") == 0) {
        return whippet_sleep(task, 1000) == 0 ? WHIPPET_ACK : WHIPPET_RETRY;
    }
    if (strcmp(word, "third") == 0) {
        return whippet_attempt(message) == 3 ? WHIPPET_ACK : whippet_retry_later(task, "not yet");
    }
    if (strcmp(word, "later") == 0) {
        return whippet_retry_after(task, 90, "busy");
    }
    if (strcmp(word, "publish") == 0) {
        return publish(task);
    }
    if (strcmp(word, "announce") == 0) {
        return announce(task);
    }
    if (strcmp(word, "dig") == 0) {
        return dig();
    }
    if (strcmp(word, "nonsense") == 0) {
        return (whippet_verdict)42;
    }
    whippet_log(task, WHIPPET_DEBUG, "a word at the level debug");
    return WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.name = "deeds", .version = "1.0", .summary = "does what it is told", .process = process);
