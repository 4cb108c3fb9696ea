/* Publishing with confirms. */
#include "io_testing.h"
#include "short_memory.h"
#include <io/publisher.h>

/* --- A publisher and its callers ------------------------------------------------------------------------*/

static struct {
    struct connection *connection;
    struct endpoint endpoint;
    struct publisher *publisher;
} self;

static void on_changed(void *owner)
{
    (void)owner;
    publisher_connection_changed(self.publisher);
}

static void on_blocked(void *owner, bool blocked)
{
    (void)owner, (void)blocked;
    publisher_connection_changed(self.publisher);
}

static const struct connection_handlers HANDLERS = {
    .opened = on_changed, .blocked = on_blocked, .flushed = on_changed};

static bool is_ready(void)
{
    return publisher_is_ready(self.publisher);
}

static void open_all(void)
{
    rig_open();
    memset(&self, 0, sizeof self);
    self.endpoint = (struct endpoint){.host = "127.0.0.1",
                                      .port = rig.broker->port,
                                      .user = "u",
                                      .password = "p",
                                      .vhost = "/",
                                      .display = "d"};
    struct connection_options options = {.name = "publish",
                                         .version = "1",
                                         .endpoints = &self.endpoint,
                                         .endpoint_count = 1,
                                         .connect_timeout = 10,
                                         .reconnect_min = 0.01,
                                         .reconnect_max = 0.01};
    self.connection = connection_create(rig.loop, &options, &HANDLERS, NULL);
    self.publisher = publisher_create(self.connection, "test");
    loop_refresh_now(rig.loop);
    cr_assert(publisher_start(self.publisher));
    cr_assert(connection_start(self.connection));
    rig_until(is_ready());
    rig.broker->confirm = FAKE_HOLDS;
}

static bool stopped;

static int stop_main(whippet_task *task, void *arg)
{
    (void)arg;
    publisher_stop(task, self.publisher);
    connection_stop(task, self.connection, loop_now(rig.loop) + 1);
    stopped = true;
    return 0;
}

static void stop(void)
{
    bool started;
    loop_refresh_now(rig.loop);
    task_start(loop_scheduler(rig.loop), stop_main, NULL, INFINITY, NULL, NULL, &started);
    cr_assert(started);
    rig_until(stopped);
}

static void close_all(void)
{
    memory_permit = NULL;
    if (!stopped)
        stop();
    rig_until(loop_scheduler(rig.loop)->tasks == 0);
    cr_assert_eq(publisher_unconfirmed(self.publisher), 0);
    publisher_destroy(self.publisher);
    connection_destroy(self.connection);
    rig_close();
}

TestSuite(publisher, .init = open_all, .fini = close_all, .timeout = 180);

struct call {
    char body[32];
    const char *routing_key;
    struct publishing publishing;
    double seconds; /* 0: no limit */
    whippet_task *task;
    bool ended;
    int result;
    unsigned order; /* of its end, from 1 */
    struct whippet_failure failure;
};

static unsigned ends;

static int call_main(whippet_task *task, void *arg)
{
    struct call *call = arg;
    double until = call->seconds > 0 ? loop_now(rig.loop) + call->seconds : INFINITY;
    call->result = publisher_publish(task, self.publisher, &call->publishing, until, &call->failure);
    return 0;
}

static void call_ended(void *arg, int result)
{
    (void)result;
    struct call *call = arg;
    call->ended = true;
    call->order = ++ends;
}

static void publish(struct call *call, const char *body)
{
    bool started;
    snprintf(call->body, sizeof call->body, "%s", body);
    if (call->publishing.body.data == NULL)
        call->publishing.body = bytes_of_text(call->body);
    if (call->publishing.exchange == NULL)
        call->publishing.exchange = "x";
    call->publishing.routing_key = call->routing_key != NULL ? call->routing_key : "key";
    if (call->publishing.properties.data == NULL)
        call->publishing.properties = (whippet_bytes){"\0\0", 2};
    loop_refresh_now(rig.loop);
    call->task = task_start(loop_scheduler(rig.loop), call_main, call, INFINITY, NULL, call_ended, &started);
    cr_assert(started);
}

static bool arrived(size_t count)
{
    return fake_published(rig.broker) == count && (count == 0 || rig.broker->publishes[count - 1].whole);
}

static void confirm(uint64_t tag, bool multiple, bool nack)
{
    struct fake_link *link = fake_link_named(rig.broker, "publish");
    fake_confirm(link, fake_confirmer(link), tag, multiple, nack);
}

static void assert_result(const struct call *call, int expected)
{
    cr_assert(call->ended, "%s has not ended", call->body);
    cr_assert_eq(call->result, expected, "%s: %s (%s)", call->body, whippet_error_text(call->result),
                 call->result != 0 ? call->failure.text : "");
}

static void raise_alarm(bool raised)
{
    amqp_connection_blocked_t alarm = {.reason = amqp_cstring_bytes("low on memory")};
    struct fake_link *link = fake_link_named(rig.broker, "publish");
    if (raised)
        wire_method(&link->out, 0, AMQP_CONNECTION_BLOCKED_METHOD, &alarm);
    else
        wire_method(&link->out, 0, AMQP_CONNECTION_UNBLOCKED_METHOD, &(amqp_connection_unblocked_t){0});
    rig_until(connection_is_blocked(self.connection) == raised);
}

/* --- Confirms -------------------------------------------------------------------------------------------*/

Test(publisher, is_done_with_a_message_when_the_broker_has_confirmed_it)
{
    struct call call = {0};
    publish(&call, "one");
    rig_until(arrived(1));
    rig_settle_down();
    cr_assert_not(call.ended, "it did not wait for the confirm");
    cr_assert_eq(publisher_unconfirmed(self.publisher), 1);
    cr_assert(rig.broker->publishes[0].mandatory);
    confirm(1, false, false);
    rig_until(call.ended);
    assert_result(&call, 0);
    cr_assert_eq(publisher_unconfirmed(self.publisher), 0);
}

static void publish_five(struct call *calls)
{
    char body[16];
    for (int i = 0; i < 5; i++) {
        snprintf(body, sizeof body, "body %d", i + 1);
        publish(&calls[i], body);
    }
    rig_until(arrived(5));
}

Test(publisher, takes_confirms_out_of_order)
{
    static const unsigned ORDER[] = {3, 1, 5, 2, 4};
    struct call calls[5] = {0};
    publish_five(calls);
    for (unsigned i = 0; i < 5; i++) {
        confirm(ORDER[i], false, false);
        rig_until(calls[ORDER[i] - 1].ended);
        cr_assert_eq(publisher_unconfirmed(self.publisher), 4 - i);
        assert_result(&calls[ORDER[i] - 1], 0);
    }
}

Test(publisher, takes_one_confirm_for_several)
{
    struct call calls[5] = {0};
    publish_five(calls);
    confirm(2, false, false);
    rig_until(calls[1].ended);
    confirm(4, true, false);
    rig_until(calls[0].ended && calls[2].ended && calls[3].ended);
    rig_settle_down();
    cr_assert_not(calls[4].ended);
    confirm(5, true, false);
    rig_until(calls[4].ended);
    for (int i = 0; i < 5; i++)
        assert_result(&calls[i], 0);
}

Test(publisher, takes_a_nack_for_one_or_several)
{
    struct call calls[5] = {0};
    publish_five(calls);
    confirm(5, false, true);
    confirm(3, true, true);
    confirm(4, false, false);
    rig_until(calls[3].ended);
    for (int i = 0; i < 5; i++)
        assert_result(&calls[i], i == 3 ? 0 : WHIPPET_E_NACKED);
    cr_assert_neq(calls[0].failure.text[0], '\0');
}

Test(publisher, is_not_upset_by_a_confirm_of_nothing)
{
    struct call call = {0};
    confirm(77, false, false);
    confirm(1, true, false);
    rig_settle_down();
    if (publisher_is_ready(self.publisher)) {
        publish(&call, "one");
        rig_until(arrived(1));
        confirm(1, false, false);
        confirm(1, false, false);
        rig_until(call.ended);
        assert_result(&call, 0);
        rig_settle_down();
    }
}

Test(publisher, matches_a_return_to_its_message)
{
    struct call calls[5] = {0};
    publish_five(calls);
    fake_return(&rig.broker->publishes[2]);
    confirm(5, true, false);
    rig_until(calls[4].ended);
    for (int i = 0; i < 5; i++)
        assert_result(&calls[i], i == 2 ? WHIPPET_E_UNROUTABLE : 0);
    cr_assert_not_null(strstr(calls[2].failure.text, "NO_ROUTE"), "%s", calls[2].failure.text);
    cr_assert_not_null(strstr(calls[2].failure.text, "key"), "%s", calls[2].failure.text);
}

Test(publisher, matches_returns_by_message_id_where_the_rest_is_alike)
{
    struct call calls[2] = {0};
    struct buffer properties[2];
    for (int i = 0; i < 2; i++) {
        struct properties_draft draft = {.message_id = bytes_of_text(i == 0 ? "a" : "b")};
        buffer_init(&properties[i]);
        cr_assert_eq(properties_write(&properties[i], &draft), 0);
        calls[i].publishing.properties =
            bytes_of(buffer_begin(&properties[i]), buffer_length(&properties[i]));
        publish(&calls[i], "same");
    }
    rig_until(arrived(2));
    fake_return(&rig.broker->publishes[1]);
    confirm(2, true, false);
    rig_until(calls[0].ended && calls[1].ended);
    assert_result(&calls[0], 0);
    assert_result(&calls[1], WHIPPET_E_UNROUTABLE);
    buffer_destroy(&properties[0]);
    buffer_destroy(&properties[1]);
}

/* A headers exchange routes the one and not the other. */
Test(publisher, matches_returns_by_headers_where_the_rest_is_alike)
{
    struct call calls[2] = {0};
    struct wire properties[2] = {0};
    for (int i = 0; i < 2; i++) {
        struct wire entries = {0};
        wire_entry_text(&entries, "region", i == 0 ? "eu" : "us");
        wire_properties_with_headers(&properties[i], &entries);
        wire_destroy(&entries);
        calls[i].publishing.properties = bytes_of(properties[i].data, properties[i].length);
        publish(&calls[i], "same");
    }
    rig_until(arrived(2));
    fake_return(&rig.broker->publishes[1]);
    confirm(2, true, false);
    rig_until(calls[0].ended && calls[1].ended);
    assert_result(&calls[0], 0);
    assert_result(&calls[1], WHIPPET_E_UNROUTABLE);
    wire_destroy(&properties[0]);
    wire_destroy(&properties[1]);
}

/* RabbitMQ takes BCC out of the headers. */
Test(publisher, matches_a_return_whose_properties_the_broker_has_changed)
{
    struct call call = {0};
    struct wire entries = {0}, properties = {0};
    wire_entry_text(&entries, "region", "eu");
    wire_properties_with_headers(&properties, &entries);
    call.publishing.properties = bytes_of(properties.data, properties.length);
    publish(&call, "body");
    rig_until(arrived(1));
    wire_destroy(&rig.broker->publishes[0].properties);
    wire_raw(&rig.broker->publishes[0].properties, "\0\0", 2);
    fake_return(&rig.broker->publishes[0]);
    confirm(1, false, false);
    rig_until(call.ended);
    assert_result(&call, WHIPPET_E_UNROUTABLE);
    wire_destroy(&entries);
    wire_destroy(&properties);
}

Test(publisher, counts_two_returns_of_what_is_alike_as_two)
{
    struct call calls[3] = {0};
    for (int i = 0; i < 3; i++)
        publish(&calls[i], "same");
    rig_until(arrived(3));
    fake_return(&rig.broker->publishes[0]);
    fake_return(&rig.broker->publishes[1]);
    confirm(3, true, false);
    rig_until(calls[0].ended && calls[1].ended && calls[2].ended);
    int unroutable = 0;
    for (int i = 0; i < 3; i++)
        unroutable += calls[i].result == WHIPPET_E_UNROUTABLE;
    cr_assert_eq(unroutable, 2);
}

/* --- When the channel or the connection goes ------------------------------------------------------------*/

Test(publisher, fails_all_that_is_unconfirmed_when_the_broker_closes_the_channel_and_opens_another)
{
    struct call calls[5] = {0}, after = {0};
    publish_five(calls);
    struct fake_link *link = fake_link_named(rig.broker, "publish");
    fake_channel_close(rig.broker, link, fake_confirmer(link), 406, "PRECONDITION_FAILED - too large");
    rig_until(calls[4].ended);
    for (int i = 0; i < 5; i++)
        assert_result(&calls[i], WHIPPET_E_CLOSED);
    cr_assert_not_null(strstr(calls[0].failure.text, "too large"), "%s", calls[0].failure.text);
    publish(&after, "after");
    rig_until(is_ready() || fake_published(rig.broker) == 6);
    rig_until(arrived(6));
    cr_assert_eq(rig.broker->publishes[5].tag, 1, "tags begin anew");
    confirm(1, false, false);
    rig_until(after.ended);
    assert_result(&after, 0);
}

static void refuse_exchange(const char *text)
{
    struct fake_link *link = fake_link_named(rig.broker, "publish");
    fake_channel_close(rig.broker, link, fake_confirmer(link), 404, text);
}

Test(publisher, has_nobody_pay_for_an_exchange_of_another_that_is_not_there)
{
    struct call good = {.publishing.exchange = "good"}, bad = {.publishing.exchange = "bad"}, again = bad;
    publish(&good, "good");
    publish(&bad, "bad");
    rig_until(arrived(2));
    refuse_exchange("NOT_FOUND - no exchange 'bad' in vhost 'good'");
    rig_until(arrived(3));
    assert_result(&bad, WHIPPET_E_CLOSED);
    cr_assert_not_null(strstr(bad.failure.text, "no exchange 'bad'"), "%s", bad.failure.text);
    cr_assert_str_eq(rig.broker->publishes[2].exchange, "good");
    publish(&again, "again");
    rig_until(again.ended);
    assert_result(&again, WHIPPET_E_CLOSED);
    cr_assert_not_null(strstr(again.failure.text, "no exchange 'bad'"), "%s", again.failure.text);
    confirm(1, false, false);
    rig_until(good.ended);
    assert_result(&good, 0);
    cr_assert_eq(fake_published(rig.broker), 3, "what was refused was sent again at once");
}

Test(publisher, has_nobody_pay_for_a_message_of_another_that_is_too_large)
{
    struct call good = {0}, large = {0}, next = {0};
    publish(&good, "good");
    publish(&large, "too large");
    rig_until(arrived(2));
    refuse_exchange("PRECONDITION_FAILED - message size 9 is larger than configured max size 8");
    publish(&next, "next");
    rig_until(arrived(4));
    assert_result(&large, WHIPPET_E_CLOSED);
    confirm(2, true, false);
    rig_until(good.ended && next.ended);
    assert_result(&good, 0);
    assert_result(&next, 0);
}

Test(publisher, takes_the_broker_s_name_for_the_default_exchange)
{
    struct call good = {.publishing.exchange = "good"}, bad = {.publishing.exchange = ""};
    publish(&good, "good");
    publish(&bad, "bad");
    rig_until(arrived(2));
    refuse_exchange("ACCESS_REFUSED - access to exchange 'amq.default' in vhost '/' refused for user 'u'");
    rig_until(arrived(3));
    assert_result(&bad, WHIPPET_E_CLOSED);
    confirm(1, false, false);
    rig_until(good.ended);
    assert_result(&good, 0);
}

#define REFUSED_TOPIC(key) "ACCESS_REFUSED - access to topic '" key "' in exchange 'e' in vhost '/' refused"

Test(publisher, has_nobody_pay_for_a_routing_key_of_another_that_is_refused)
{
    struct call bad = {.publishing.exchange = "e", .routing_key = "a.b"}, again = bad;
    struct call longer = {.publishing.exchange = "e", .routing_key = "a.b.c"};
    struct call shorter = {.publishing.exchange = "e", .routing_key = "a"};
    struct call elsewhere = {.publishing.exchange = "elsewhere", .routing_key = "a.b"};
    publish(&longer, "longer");
    publish(&bad, "bad");
    publish(&shorter, "shorter");
    publish(&elsewhere, "elsewhere");
    rig_until(arrived(4));
    refuse_exchange(REFUSED_TOPIC("a.b") " for user 'u'");
    rig_until(arrived(7));
    assert_result(&bad, WHIPPET_E_CLOSED);
    publish(&again, "again");
    rig_until(again.ended);
    assert_result(&again, WHIPPET_E_CLOSED);
    confirm(3, true, false);
    rig_until(longer.ended && shorter.ended && elsewhere.ended);
    assert_result(&longer, 0);
    assert_result(&shorter, 0);
    assert_result(&elsewhere, 0);
    cr_assert_eq(fake_published(rig.broker), 7, "what was refused was sent again at once");
}

/* RabbitMQ cuts its words after 252 bytes. */
Test(publisher, knows_a_routing_key_that_is_refused_by_its_beginning)
{
    char key[250], reason[256];
    struct call good = {.publishing.exchange = "e", .routing_key = "good"};
    struct call bad = {.publishing.exchange = "e", .routing_key = key};
    memset(key, 'k', sizeof key);
    key[sizeof key - 1] = '\0';
    snprintf(reason, sizeof reason, "ACCESS_REFUSED - access to topic '%.218s...", key);
    publish(&good, "good");
    publish(&bad, "bad");
    rig_until(arrived(2));
    refuse_exchange(reason);
    rig_until(arrived(3));
    assert_result(&bad, WHIPPET_E_CLOSED);
    confirm(1, false, false);
    rig_until(good.ended);
    assert_result(&good, 0);
}

Test(publisher, fails_all_that_is_unconfirmed_when_the_connection_goes_and_comes_back)
{
    struct call calls[5] = {0}, after = {0};
    publish_five(calls);
    fake_link_reset(rig.broker, fake_link_named(rig.broker, "publish"));
    rig_until(calls[4].ended);
    for (int i = 0; i < 5; i++)
        assert_result(&calls[i], WHIPPET_E_CLOSED);
    publish(&after, "after");
    rig_until(arrived(6));
    confirm(1, false, false);
    rig_until(after.ended);
    assert_result(&after, 0);
}

Test(publisher, keeps_those_that_wait_in_order_over_a_lost_connection)
{
    struct call calls[5] = {0};
    fake_broker_shut(rig.broker);
    fake_link_reset(rig.broker, fake_link_named(rig.broker, "publish"));
    rig_until(connection_session(self.connection) == NULL);
    for (int i = 0; i < 5; i++) {
        char body[16];
        snprintf(body, sizeof body, "body %d", i);
        publish(&calls[i], body);
    }
    rig_settle_down();
    fake_broker_reopen(rig.broker);
    rig_until(arrived(5));
    for (int i = 0; i < 5; i++)
        cr_assert(memcmp(rig.broker->publishes[i].body.data, calls[i].body, 6) == 0, "number %d is %.6s", i,
                  (char *)rig.broker->publishes[i].body.data);
    confirm(5, true, false);
    rig_until(calls[4].ended);
}

static bool refuse_confirms(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                            amqp_method_number_t id, void *decoded)
{
    (void)decoded;
    if (id != AMQP_CONFIRM_SELECT_METHOD)
        return false;
    fake_channel_close(broker, link, channel, 540, "NOT_IMPLEMENTED");
    return true;
}

Test(publisher, waits_a_moment_before_it_opens_a_channel_again)
{
    rig.broker->on_method = refuse_confirms;
    fake_link_reset(rig.broker, fake_link_named(rig.broker, "publish"));
    rig_until(!is_ready());
    rig_until(connection_session(self.connection) != NULL);
    double begun = clock_monotonic();
    rig_turn_for(0.1);
    cr_assert_not(is_ready());
    rig.broker->on_method = NULL;
    rig_until(is_ready());
    cr_assert_geq(clock_monotonic() - begun, 0.5, "it came back without a pause");
}

/* --- Limits ---------------------------------------------------------------------------------------------*/

Test(publisher, waits_while_the_broker_has_raised_an_alarm_and_goes_on_afterwards)
{
    struct call calls[2] = {0};
    raise_alarm(true);
    publish(&calls[0], "one");
    publish(&calls[1], "two");
    rig_settle_down();
    cr_assert_eq(fake_published(rig.broker), 0);
    cr_assert_not(publisher_is_ready(self.publisher));
    raise_alarm(false);
    rig_until(arrived(2));
    confirm(2, true, false);
    rig_until(calls[1].ended);
    assert_result(&calls[0], 0);
    assert_result(&calls[1], 0);
}

Test(publisher, gives_up_at_the_deadline_while_it_waits_for_room)
{
    struct call call = {.seconds = 0.02}, next = {0};
    raise_alarm(true);
    publish(&call, "one");
    publish(&next, "two");
    rig_until(call.ended);
    assert_result(&call, WHIPPET_E_TIMEOUT);
    cr_assert_not_null(strstr(call.failure.text, "alarm"), "%s", call.failure.text);
    raise_alarm(false);
    rig_until(arrived(1));
    cr_assert(memcmp(rig.broker->publishes[0].body.data, "two", 3) == 0);
    confirm(1, false, false);
    rig_until(next.ended);
}

Test(publisher, gives_up_at_the_deadline_while_it_waits_for_the_confirm)
{
    struct call call = {.seconds = 0.02}, next = {0};
    publish(&call, "one");
    publish(&next, "two");
    rig_until(call.ended);
    assert_result(&call, WHIPPET_E_TIMEOUT);
    cr_assert_eq(publisher_unconfirmed(self.publisher), 1);
    /* Its confirm that comes after all is nobody's. */
    confirm(1, false, false);
    rig_settle_down();
    cr_assert_not(next.ended);
    confirm(2, false, false);
    rig_until(next.ended);
    assert_result(&next, 0);
}

Test(publisher, ends_when_it_is_cancelled_whatever_it_waits_for)
{
    struct call waits = {0}, room = {0}, next = {0};
    publish(&waits, "one");
    rig_until(arrived(1));
    raise_alarm(true);
    publish(&room, "two");
    publish(&next, "three");
    rig_settle_down();
    task_cancel(waits.task);
    task_cancel(room.task);
    rig_until(waits.ended && room.ended);
    assert_result(&waits, WHIPPET_E_CANCELLED);
    assert_result(&room, WHIPPET_E_CANCELLED);
    raise_alarm(false);
    rig_until(arrived(2));
    cr_assert(memcmp(rig.broker->publishes[1].body.data, "three", 5) == 0);
    confirm(2, true, false);
    rig_until(next.ended);
}

static struct call late;

static int cancelled_main(whippet_task *task, void *arg)
{
    whippet_sleep(task, 1000);
    return call_main(task, arg);
}

Test(publisher, publishes_nothing_for_a_task_that_was_cancelled_before)
{
    bool started;
    late.publishing = (struct publishing){.exchange = "x", .routing_key = "key", .properties = {"\0\0", 2}};
    whippet_task *task =
        task_start(loop_scheduler(rig.loop), cancelled_main, &late, INFINITY, NULL, call_ended, &started);
    rig_settle_down();
    task_cancel(task);
    rig_until(late.ended);
    assert_result(&late, WHIPPET_E_CANCELLED);
    rig_settle_down();
    cr_assert_eq(fake_published(rig.broker), 0, "it was published, and its caller believes that it was not");
}

Test(publisher, has_no_more_than_so_many_unconfirmed_at_once)
{
    enum {
        COUNT = PUBLISHER_UNCONFIRMED_MAX + 10
    };
    static struct call calls[COUNT];
    for (int i = 0; i < COUNT; i++)
        publish(&calls[i], "x");
    rig_until(arrived(PUBLISHER_UNCONFIRMED_MAX));
    rig_settle_down();
    cr_assert_eq(fake_published(rig.broker), PUBLISHER_UNCONFIRMED_MAX);
    cr_assert_eq(publisher_unconfirmed(self.publisher), PUBLISHER_UNCONFIRMED_MAX);
    confirm(1, false, false);
    rig_until(arrived(PUBLISHER_UNCONFIRMED_MAX + 1));
    rig_settle_down();
    cr_assert_eq(fake_published(rig.broker), PUBLISHER_UNCONFIRMED_MAX + 1);
    confirm(PUBLISHER_UNCONFIRMED_MAX + 1, true, false);
    rig_until(arrived(COUNT));
    confirm(COUNT, true, false);
    for (int i = 0; i < COUNT; i++) {
        rig_until(calls[i].ended);
        assert_result(&calls[i], 0);
    }
}

Test(publisher, queues_no_more_than_so_many_bytes_for_a_peer_that_does_not_read)
{
    enum {
        COUNT = 40,
        SIZE = 1000000
    };
    static struct call calls[COUNT];
    char *body = calloc(1, SIZE);
    rig.broker->deaf = true;
    rig.broker->keeps_bodies_off = true;
    for (int i = 0; i < COUNT; i++) {
        calls[i].publishing.body = bytes_of(body, SIZE);
        publish(&calls[i], "x");
    }
    for (int i = 0; i < 200; i++) {
        rig_turn();
        cr_assert_leq(connection_backlog(self.connection), PUBLISHER_BACKLOG_MAX + SIZE + 1000,
                      "%zu bytes wait", connection_backlog(self.connection));
    }
    cr_assert_not(publisher_is_ready(self.publisher));
    rig.broker->deaf = false;
    rig_until(arrived(COUNT));
    confirm(COUNT, true, false);
    for (int i = 0; i < COUNT; i++) {
        rig_until(calls[i].ended);
        assert_result(&calls[i], 0);
    }
    free(body);
}

Test(publisher, refuses_properties_that_fit_no_frame_and_goes_on)
{
    struct call large = {0}, next = {0};
    struct wire entries = {0}, properties = {0};
    char *text = malloc(200001);
    memset(text, 'h', 200000);
    text[200000] = '\0';
    wire_entry_text(&entries, "big", text);
    wire_properties_with_headers(&properties, &entries);
    large.publishing.properties = bytes_of(properties.data, properties.length);
    publish(&large, "one");
    rig_until(large.ended);
    assert_result(&large, WHIPPET_E_LIMIT);
    publish(&next, "two");
    rig_until(arrived(1));
    confirm(1, false, false);
    rig_until(next.ended);
    assert_result(&next, 0);
    wire_destroy(&entries);
    wire_destroy(&properties);
    free(text);
}

Test(publisher, fails_what_is_unconfirmed_when_it_is_stopped)
{
    struct call call = {0};
    publish(&call, "one");
    rig_until(arrived(1));
    stop();
    rig_until(call.ended);
    assert_result(&call, WHIPPET_E_CLOSED);
}

Test(publisher, fails_also_what_waits_for_room_when_it_is_stopped)
{
    struct call calls[2] = {0}, after = {0};
    raise_alarm(true);
    publish(&calls[0], "one");
    publish(&calls[1], "two");
    rig_settle_down();
    stop();
    rig_settle_down();
    publish(&after, "three");
    rig_settle_down();
    for (int i = 0; i < 2; i++)
        assert_result(&calls[i], WHIPPET_E_CLOSED);
    assert_result(&after, WHIPPET_E_CLOSED);
}

/* --- In a hurry -----------------------------------------------------------------------------------------*/

Test(publisher, lets_nobody_wait_for_the_end_of_an_alarm_when_it_is_hurried)
{
    struct call calls[2] = {0}, after = {0};
    raise_alarm(true);
    publish(&calls[0], "one");
    publish(&calls[1], "two");
    rig_settle_down();
    publisher_hurry(self.publisher);
    rig_until(calls[0].ended && calls[1].ended);
    publish(&after, "three");
    rig_until(after.ended);
    for (int i = 0; i < 2; i++) {
        assert_result(&calls[i], WHIPPET_E_CLOSED);
        cr_assert_not_null(strstr(calls[i].failure.text, "alarm"), "%s", calls[i].failure.text);
    }
    assert_result(&after, WHIPPET_E_CLOSED);
    cr_assert_eq(fake_published(rig.broker), 0);
}

Test(publisher, publishes_on_when_it_is_hurried_and_gives_up_once_there_is_an_alarm)
{
    struct call sent = {0}, after = {0};
    publisher_hurry(self.publisher);
    publish(&sent, "one");
    rig_until(arrived(1));
    raise_alarm(true);
    publish(&after, "two");
    rig_until(after.ended);
    assert_result(&after, WHIPPET_E_CLOSED);
    cr_assert_not(sent.ended, "what was sent waits for its confirm");
    confirm(1, false, false);
    rig_until(sent.ended);
    assert_result(&sent, 0);
}

Test(publisher, gives_up_what_waits_for_room_when_it_is_hurried_and_the_connection_goes)
{
    struct call call = {0};
    struct fake_link *link = fake_link_named(rig.broker, "publish");
    publisher_hurry(self.publisher);
    fake_broker_shut(rig.broker);
    fake_link_reset(rig.broker, link);
    rig_until(!is_ready());
    publish(&call, "one");
    rig_until(call.ended);
    assert_result(&call, WHIPPET_E_CLOSED);
}

/* --- Without memory -------------------------------------------------------------------------------------*/

Test(publisher, comes_back_whatever_allocation_fails_once)
{
    bool reached = true;
    rig.broker->confirm = FAKE_CONFIRMS;
    for (long count = 0; reached; count++) {
        struct call call = {0};
        cr_assert_lt(count, 200);
        fake_link_reset(rig.broker, fake_link_named(rig.broker, "publish"));
        rig_until(!is_ready());
        allowed = count;
        memory_permit = all_but_one;
        rig_turn_for(0.02);
        memory_permit = NULL;
        rig_until(is_ready());
        allowed = reached ? count % 7 : 0;
        memory_permit = all_but_one;
        bool started;
        call.publishing = (struct publishing){
            .exchange = "x", .routing_key = "k", .properties = {"\0\0", 2}, .body = bytes_of_text("b")};
        call.task =
            task_start(loop_scheduler(rig.loop), call_main, &call, INFINITY, NULL, call_ended, &started);
        if (started)
            rig_until(call.ended);
        reached = allowed < 0 || count < 40;
        memory_permit = NULL;
        cr_assert(!started || call.result == 0 || call.result == WHIPPET_E_MEMORY ||
                      call.result == WHIPPET_E_CLOSED,
                  "%s", whippet_error_text(call.result));
    }
}
