/* A broker that is connected and does not answer: no queue stays unconsumed because of it, and none in
 * silence.
 */
#include "../../src/admin/status.h"
#include "worker_testing.h"

TestSuite(unanswered, .fini = work_close, .timeout = 120);

static amqp_method_number_t swallowed;

static bool swallow(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                    amqp_method_number_t id, void *decoded)
{
    (void)broker, (void)decoded;
    return channel != 0 && id == swallowed && strcmp(link->name, "whippet consume") == 0;
}

static void assert_not_ready(const char *words)
{
    struct text text;
    text_init(&text);
    cr_assert_not(status_write_ready(&text, &work.worker->stats), "ready without consuming");
    buffer_append(&text.buffer, "", 1);
    const char *page = (const char *)buffer_begin(&text.buffer);
    cr_assert_not_null(strstr(page, words), "%s", page);
    text_destroy(&text);
}

/* The limit is ten seconds. */
static void assert_given_up_and_retried(amqp_method_number_t id, const char *what)
{
    rig_open();
    memset(&work, 0, sizeof work);
    list_init(&work.held);
    work_make("{\"name\":\"q\",\"processor\":\"counting\"}");
    swallowed = id;
    rig.broker->on_method = swallow;
    rig.check = work_check;
    loop_refresh_now(rig.loop);
    cr_assert(worker_start(work.worker));
    rig_until(work_subscription(0)->state == SUBSCRIPTION_FAILED);
    const char *failure = work_subscription(0)->failure.text;
    cr_assert_not_null(strstr(failure, what), "%s", failure);
    cr_assert_not_null(strstr(failure, "did not answer in time"), "%s", failure);
    assert_not_ready("did not answer in time");
    swallowed = 0;
    rig_until(work_is_consuming());
    work_deliver("q", "a");
    rig_until(rig.broker->acked == 1);
}

Test(unanswered, opening_of_a_channel_is_given_up_and_tried_again)
{
    assert_given_up_and_retried(AMQP_CHANNEL_OPEN_METHOD, "opening a channel");
}

Test(unanswered, declaration_is_given_up_and_tried_again)
{
    assert_given_up_and_retried(AMQP_QUEUE_DECLARE_METHOD, "queue \"q\"");
}

Test(unanswered, prefetch_is_given_up_and_tried_again)
{
    assert_given_up_and_retried(AMQP_BASIC_QOS_METHOD, "consuming");
}

Test(unanswered, consume_is_given_up_and_tried_again)
{
    assert_given_up_and_retried(AMQP_BASIC_CONSUME_METHOD, "consuming");
}
