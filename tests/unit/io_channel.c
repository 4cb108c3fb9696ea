/* Requests on a channel, awaited. */
#include "io_testing.h"
#include "short_memory.h"
#include <io/channel.h>

/* --- One task that does what the test wants, on one channel ---------------------------------------------*/

static struct {
    struct connection *connection;
    struct endpoint endpoint;
    struct channel channel;
    unsigned closed, cancelled, delivered, skipped, confirmed, returned;
    struct whippet_failure why;
    amqp_method_number_t unanswered;
    amqp_method_number_t refused;
    unsigned declares_late; /* a declaration on this channel is answered when another is closed */
    bool answers_late;      /* an unanswered opening is answered when its channel is closed */
    bool forgets;           /* it is forgotten when the connection closes, which is not answered then */
    amqp_method_number_t heard[64];
    size_t heard_count;
} self;

static void on_closed(void *owner, const struct whippet_failure *why)
{
    cr_assert_eq(owner, &self);
    self.closed++;
    self.why = *why;
}

static void on_cancelled(void *owner)
{
    cr_assert_eq(owner, &self);
    self.cancelled++;
}

static void on_delivered(void *owner, struct message *message)
{
    cr_assert_eq(owner, &self);
    self.delivered++;
    message_destroy(message);
}

static void on_confirmed(void *owner, uint64_t tag, bool multiple, bool nacked)
{
    (void)owner, (void)tag, (void)multiple, (void)nacked;
    self.confirmed++;
}

static void on_returned(void *owner, const struct channel_reason *reason, const struct message *message)
{
    (void)owner, (void)message;
    cr_assert_eq(reason->code, 312);
    self.returned++;
}

static const struct channel_handlers HANDLERS = {.closed = on_closed,
                                                 .cancelled = on_cancelled,
                                                 .delivered = on_delivered,
                                                 .confirmed = on_confirmed,
                                                 .returned = on_returned};
static const struct connection_handlers NO_HANDLERS = {0};

static bool hear(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                 amqp_method_number_t id, void *decoded)
{
    (void)decoded;
    if (channel == 0 && id == AMQP_CONNECTION_CLOSE_METHOD && self.forgets)
        channel_forget(&self.channel);
    if (channel == 0)
        return id == AMQP_CONNECTION_CLOSE_METHOD && self.forgets;
    self.heard[self.heard_count++ % 64] = id;
    if (self.answers_late && id == AMQP_CHANNEL_CLOSE_METHOD)
        wire_channel_open_ok(&link->out, channel);
    if (self.declares_late != 0 && id == AMQP_CHANNEL_CLOSE_METHOD) {
        wire_declare_ok(&link->out, self.declares_late, "q", 0, 0);
        self.declares_late = 0;
    }
    if (id == self.refused)
        fake_channel_close(broker, link, channel, 406, "PRECONDITION_FAILED - because");
    return id == self.refused || id == self.unanswered;
}

static bool is_open(void)
{
    return connection_state(self.connection) == CONNECTION_OPEN;
}

static void open_all(void)
{
    rig_open();
    memset(&self, 0, sizeof self);
    rig.broker->on_method = hear;
    self.endpoint = (struct endpoint){.host = "127.0.0.1",
                                      .port = rig.broker->port,
                                      .user = "u",
                                      .password = "p",
                                      .vhost = "/",
                                      .display = "d"};
    struct connection_options options = {.name = "consume",
                                         .version = "1",
                                         .endpoints = &self.endpoint,
                                         .endpoint_count = 1,
                                         .connect_timeout = 10,
                                         .reconnect_min = 0.01,
                                         .reconnect_max = 0.01};
    self.connection = connection_create(rig.loop, &options, &NO_HANDLERS, NULL);
    loop_refresh_now(rig.loop);
    cr_assert(connection_start(self.connection));
    rig_until(is_open());
}

/* Runs one request to its end. */
typedef int request(whippet_task *task);

struct call {
    request *request;
    bool ended;
    int result;
    whippet_task *task;
};

static int call_main(whippet_task *task, void *arg)
{
    struct call *call = arg;
    call->result = call->request(task);
    return 0;
}

static void call_ended(void *arg, int result)
{
    (void)result;
    ((struct call *)arg)->ended = true;
}

static void begin(struct call *call, request *what)
{
    bool started;
    *call = (struct call){.request = what};
    loop_refresh_now(rig.loop);
    call->task = task_start(loop_scheduler(rig.loop), call_main, call, INFINITY, NULL, call_ended, &started);
    cr_assert(started);
}

static int run(request *what)
{
    struct call call;
    begin(&call, what);
    rig_until(call.ended);
    return call.result;
}

static int stop_connection(whippet_task *task)
{
    connection_stop(task, self.connection, loop_now(rig.loop) + 1);
    return 0;
}

static void close_all(void)
{
    memory_permit = NULL;
    run(stop_connection);
    connection_destroy(self.connection);
    rig_close();
}

TestSuite(channel, .init = open_all, .fini = close_all, .timeout = 180);

static double seconds = 5;

static int do_open(whippet_task *task)
{
    return channel_open(task, &self.channel, self.connection, &HANDLERS, &self, seconds);
}

static int do_declare(whippet_task *task)
{
    struct queue_declaration declaration = {.queue = "q", .durable = true};
    return channel_queue_declare(task, &self.channel, &declaration, seconds);
}

static int do_exchange(whippet_task *task)
{
    struct exchange_declaration declaration = {.exchange = "x", .type = "topic", .durable = true};
    return channel_exchange_declare(task, &self.channel, &declaration, seconds);
}

static int do_bind(whippet_task *task)
{
    return channel_queue_bind(task, &self.channel, "q", "x", "key", (whippet_bytes){0}, seconds);
}

static int do_unbind(whippet_task *task)
{
    return channel_queue_unbind(task, &self.channel, "q", "x", "key", (whippet_bytes){0}, seconds);
}

static int do_qos(whippet_task *task)
{
    return channel_qos(task, &self.channel, 10, seconds);
}

static int do_consume(whippet_task *task)
{
    struct consumption consumption = {.queue = "q", .consumer_tag = "tag", .max_message_size = 1000};
    return channel_consume(task, &self.channel, &consumption, seconds);
}

static int do_cancel(whippet_task *task)
{
    return channel_cancel(task, &self.channel, seconds);
}

static int do_confirm(whippet_task *task)
{
    return channel_confirm_select(task, &self.channel, seconds);
}

static int do_close(whippet_task *task)
{
    return channel_close(task, &self.channel, seconds);
}

static request *const REQUESTS[] = {do_declare, do_exchange, do_bind,   do_unbind,
                                    do_qos,     do_consume,  do_cancel, do_confirm};
static const amqp_method_number_t METHODS[] = {AMQP_QUEUE_DECLARE_METHOD, AMQP_EXCHANGE_DECLARE_METHOD,
                                               AMQP_QUEUE_BIND_METHOD,    AMQP_QUEUE_UNBIND_METHOD,
                                               AMQP_BASIC_QOS_METHOD,     AMQP_BASIC_CONSUME_METHOD,
                                               AMQP_BASIC_CANCEL_METHOD,  AMQP_CONFIRM_SELECT_METHOD};

enum {
    REQUEST_COUNT = sizeof REQUESTS / sizeof REQUESTS[0]
};

/* Cancelling needs a consumer. */
static void prepare(size_t index)
{
    cr_assert_eq(run(do_open), 0);
    if (REQUESTS[index] == do_cancel)
        cr_assert_eq(run(do_consume), 0);
}

static struct fake_link *link_now(void)
{
    return fake_link_named(rig.broker, "consume");
}

/* --- Requests -------------------------------------------------------------------------------------------*/

Test(channel, makes_every_request_and_gets_its_answer)
{
    cr_assert_eq(run(do_open), 0);
    cr_assert(self.channel.is_open);
    cr_assert_eq(self.channel.epoch, connection_epoch(self.connection));
    for (size_t i = 0; i < REQUEST_COUNT; i++) {
        if (REQUESTS[i] == do_confirm)
            continue;
        cr_assert_eq(run(REQUESTS[i]), 0, "request %zu", i);
        cr_assert_eq(self.heard[self.heard_count - 1], METHODS[i]);
    }
    cr_assert_eq(run(do_confirm), 0);
    cr_assert_eq(run(do_close), 0);
    cr_assert_not(self.channel.is_open);
    cr_assert_eq(self.closed, 0, "an end of our own is no event");
}

Test(channel, has_each_request_end_in_the_brokers_words_when_it_closes_the_channel)
{
    for (size_t i = 0; i < REQUEST_COUNT; i++) {
        prepare(i);
        self.refused = METHODS[i];
        cr_assert_eq(run(REQUESTS[i]), WHIPPET_E_CLOSED, "request %zu", i);
        self.refused = 0;
        cr_assert_not(self.channel.is_open);
        cr_assert_eq(self.channel.closed_code, 406);
        cr_assert_not_null(strstr(self.channel.closed_by.text, "because"), "%s", self.channel.closed_by.text);
        cr_assert_eq(self.closed, i + 1);
        cr_assert_eq(run(REQUESTS[i]), WHIPPET_E_CLOSED, "on a closed channel");
    }
    cr_assert(is_open(), "the connection went with it");
}

Test(channel, has_each_request_end_when_the_broker_does_not_answer)
{
    for (size_t i = 0; i < REQUEST_COUNT; i++) {
        prepare(i);
        self.unanswered = METHODS[i];
        seconds = 0.01;
        cr_assert_eq(run(REQUESTS[i]), WHIPPET_E_TIMEOUT, "request %zu", i);
        seconds = 5;
        self.unanswered = 0;
        channel_abandon(&self.channel);
        rig_settle_down();
    }
    cr_assert(is_open());
}

Test(channel, has_each_request_end_when_the_connection_goes)
{
    for (size_t i = 0; i < REQUEST_COUNT; i++) {
        struct call call;
        rig_until(is_open());
        prepare(i);
        self.unanswered = METHODS[i];
        begin(&call, REQUESTS[i]);
        rig_until(self.heard[(self.heard_count - 1) % 64] == METHODS[i]);
        fake_link_reset(rig.broker, link_now());
        rig_until(call.ended);
        self.unanswered = 0;
        cr_assert_eq(call.result, WHIPPET_E_CLOSED);
        cr_assert_eq(self.channel.closed_code, 0);
        cr_assert_neq(self.channel.closed_by.text[0], '\0');
    }
}

Test(channel, has_a_request_end_when_its_task_is_cancelled)
{
    struct call call;
    cr_assert_eq(run(do_open), 0);
    self.unanswered = AMQP_QUEUE_DECLARE_METHOD;
    begin(&call, do_declare);
    rig_settle_down();
    task_cancel(call.task);
    rig_until(call.ended);
    cr_assert_eq(call.result, WHIPPET_E_CANCELLED);
    /* The answer that comes after all finds nobody, and does no harm. */
    wire_declare_ok(&link_now()->out, self.channel.number, "q", 0, 0);
    rig_settle_down();
    cr_assert(is_open());
    channel_abandon(&self.channel);
}

Test(channel, is_not_open_without_a_connection)
{
    fake_broker_shut(rig.broker);
    fake_link_reset(rig.broker, link_now());
    rig_until(!is_open());
    cr_assert_eq(run(do_open), WHIPPET_E_CLOSED);
    cr_assert_neq(self.channel.closed_by.text[0], '\0');
    fake_broker_reopen(rig.broker);
    rig_until(is_open());
}

Test(channel, is_let_go_when_its_opening_is_not_answered)
{
    self.unanswered = AMQP_CHANNEL_OPEN_METHOD;
    self.answers_late = true;
    seconds = 0.01;
    cr_assert_eq(run(do_open), WHIPPET_E_TIMEOUT);
    cr_assert_not(self.channel.is_open);
    /* The answer comes after all, and before that to the closing. */
    rig_until(self.heard_count > 0 && self.heard[self.heard_count - 1] == AMQP_CHANNEL_CLOSE_METHOD);
    rig_settle_down();
    self.unanswered = 0;
    self.answers_late = false;
    seconds = 5;
    cr_assert_eq(run(do_open), 0);
    cr_assert(is_open());
}

/* --- Events ---------------------------------------------------------------------------------------------*/

Test(channel, hands_deliveries_and_the_brokers_cancel_to_its_owner)
{
    cr_assert_eq(run(do_open), 0);
    cr_assert_eq(run(do_consume), 0);
    fake_deliver(rig.broker, link_now(), self.channel.number, NULL, "body", 4);
    rig_until(self.delivered == 1);
    cr_assert_eq(channel_ack(&self.channel, 1, false), 0);
    rig_until(rig.broker->acked == 1);
    fake_deliver(rig.broker, link_now(), self.channel.number, NULL, "body", 4);
    rig_until(self.delivered == 2);
    cr_assert_eq(channel_nack(&self.channel, 2, false, true), 0);
    rig_until(rig.broker->requeued == 1);
    wire_cancel(&link_now()->out, self.channel.number, "tag", true);
    rig_until(self.cancelled == 1);
}

static void on_oversized_end(void *owner, const struct oversized *oversized, bool complete)
{
    cr_assert_eq(owner, &self);
    cr_assert_eq(oversized->body_size, 2000);
    self.skipped += complete;
}

/* As `whippet dead` is, which wants to know of them, and no more. */
static const struct channel_handlers SKIPPING = {.delivered = on_delivered,
                                                 .oversized_end = on_oversized_end};
static const struct channel_handlers NOT_EVEN_TOLD = {.delivered = on_delivered};

static void expect_skipped(const struct channel_handlers *handlers, unsigned expected)
{
    static const char large[2000];
    cr_assert_eq(run(do_open), 0);
    cr_assert_eq(run(do_consume), 0);
    self.channel.handlers = handlers;
    fake_deliver(rig.broker, link_now(), self.channel.number, NULL, large, sizeof large);
    fake_deliver(rig.broker, link_now(), self.channel.number, NULL, "body", 4);
    rig_until(self.delivered == 1);
    cr_assert_eq(self.skipped, expected);
}

Test(channel, skips_what_is_oversized_for_an_owner_who_wants_to_know_no_more_than_that)
{
    expect_skipped(&SKIPPING, 1);
}

Test(channel, skips_what_is_oversized_for_an_owner_who_wants_to_know_nothing_of_it)
{
    expect_skipped(&NOT_EVEN_TOLD, 0);
}

Test(channel, hands_confirms_and_returns_to_its_owner)
{
    cr_assert_eq(run(do_open), 0);
    cr_assert_eq(run(do_confirm), 0);
    rig.broker->confirm = FAKE_RETURNS;
    cr_assert_eq(
        channel_publish(&self.channel, "x", "key", (whippet_bytes){"\0\0", 2}, bytes_of_text("body")), 0);
    rig_until(self.confirmed == 1);
    cr_assert_eq(self.returned, 1);
}

Test(channel, publishes_a_body_in_parts)
{
    cr_assert_eq(run(do_open), 0);
    cr_assert_eq(channel_publish_begin(&self.channel, "x", "key", (whippet_bytes){"\0\0", 2}, 6), 0);
    cr_assert_eq(channel_publish_part(&self.channel, bytes_of_text("abc")), 0);
    rig_settle_down();
    cr_assert_eq(channel_publish_part(&self.channel, bytes_of_text("def")), 0);
    rig_until(fake_published(rig.broker) == 1 && rig.broker->publishes[0].whole);
    cr_assert(memcmp(rig.broker->publishes[0].body.data, "abcdef", 6) == 0);
}

Test(channel, hears_nothing_more_once_it_is_abandoned)
{
    cr_assert_eq(run(do_open), 0);
    cr_assert_eq(run(do_consume), 0);
    fake_deliver(rig.broker, link_now(), self.channel.number, NULL, "body", 4);
    channel_abandon(&self.channel);
    channel_abandon(&self.channel);
    rig_settle_down();
    cr_assert_eq(self.delivered, 0);
    cr_assert_eq(self.closed, 0);
    cr_assert_eq(channel_ack(&self.channel, 1, false), WHIPPET_E_CLOSED);
    cr_assert_eq(channel_nack(&self.channel, 1, false, true), WHIPPET_E_CLOSED);
    cr_assert_eq(channel_publish(&self.channel, "", "q", (whippet_bytes){"\0\0", 2}, bytes_of_text("b")),
                 WHIPPET_E_CLOSED);
    cr_assert_eq(rig.broker->requeued, 1);
    cr_assert(is_open());
}

Test(channel, hears_of_its_end_where_the_broker_does_not_answer_the_connections_close)
{
    cr_assert_eq(run(do_open), 0);
    rig.broker->deaf = true;
    run(stop_connection);
    cr_assert_eq(self.closed, 1, "it takes itself for open, on a connection that is gone");
    cr_assert_not(self.channel.is_open);
    rig.broker->deaf = false;
}

Test(channel, hears_nothing_more_once_it_is_forgotten_while_the_connection_closes)
{
    cr_assert_eq(run(do_open), 0);
    self.forgets = true;
    run(stop_connection);
    cr_assert_eq(self.closed, 0, "its owner may be gone");
}

static struct channel *mortal;

static int open_mortal(whippet_task *task)
{
    return channel_open(task, mortal, self.connection, &HANDLERS, &self, seconds);
}

static int close_mortal(whippet_task *task)
{
    return channel_close(task, mortal, seconds);
}

/* As one that lives on a task's stack. */
Test(channel, hears_nothing_more_once_it_is_closed_while_the_connection_closes)
{
    struct call stopping;
    mortal = malloc(sizeof *mortal);
    cr_assert_eq(run(open_mortal), 0);
    rig.broker->deaf = true;
    begin(&stopping, stop_connection);
    cr_assert_eq(run(close_mortal), 0, "the connection's end is its own, too");
    free(mortal);
    rig_until(stopping.ended);
    cr_assert_eq(self.closed, 0, "its owner may be gone");
    rig.broker->deaf = false;
}

Test(channel, of_another_connection_takes_nothing_once_that_is_lost)
{
    cr_assert_eq(run(do_open), 0);
    fake_link_reset(rig.broker, link_now());
    rig_until(self.closed == 1);
    rig_until(is_open());
    cr_assert_neq(self.channel.epoch, connection_epoch(self.connection));
    cr_assert_eq(channel_ack(&self.channel, 1, false), WHIPPET_E_CLOSED);
    cr_assert_eq(run(do_declare), WHIPPET_E_CLOSED);
    cr_assert_eq(run(do_close), 0, "what is gone is closed");
}

Test(channel, numbers_are_used_again)
{
    for (int i = 0; i < 300; i++) {
        cr_assert_eq(run(do_open), 0);
        cr_assert_leq(self.channel.number, 3, "channel %u after %d were closed", self.channel.number, i);
        if (i % 2 == 0)
            cr_assert_eq(run(do_close), 0);
        else
            channel_abandon(&self.channel);
        rig_turn();
    }
}

static struct channel other, another;

static int open_other(whippet_task *task)
{
    return channel_open(task, &other, self.connection, &HANDLERS, &self, seconds);
}

Test(channel, says_that_all_the_channels_are_taken_that_the_broker_allows)
{
    rig.broker->channel_max = 1;
    fake_link_reset(rig.broker, link_now());
    rig_until(!is_open());
    rig_until(is_open());
    cr_assert_eq(run(do_open), 0);
    int error = run(open_other);
    cr_assert_eq(error, WHIPPET_E_LIMIT);
    cr_assert_not_null(strstr(channel_error_text(&other, error), "all 1 channels"), "%s",
                       channel_error_text(&other, error));
    cr_assert_not_null(strstr(channel_error_text(&other, error), "channel_max"), "%s",
                       channel_error_text(&other, error));
}

/* Is woken, by the broker's late answer, just before the one who awaits the end of the first channel. */
static int declare_and_open_another(whippet_task *task)
{
    struct queue_declaration declaration = {.queue = "q"};
    int error = channel_open(task, &other, self.connection, &HANDLERS, &self, seconds);
    if (error == 0)
        error = channel_queue_declare(task, &other, &declaration, seconds);
    return error == 0 ? channel_open(task, &another, self.connection, &HANDLERS, &self, seconds) : error;
}

Test(channel, hears_its_answers_when_its_number_was_given_back_this_very_turn)
{
    struct call first, second;
    cr_assert_eq(run(do_open), 0);
    self.unanswered = AMQP_QUEUE_DECLARE_METHOD;
    begin(&second, declare_and_open_another);
    rig_until(self.heard[self.heard_count - 1] == AMQP_QUEUE_DECLARE_METHOD);
    self.declares_late = other.number;
    begin(&first, do_close);
    rig_until(first.ended && second.ended);
    cr_assert_eq(first.result, 0);
    cr_assert_eq(second.result, 0, "opening another: %s", whippet_error_text(second.result));
    cr_assert_eq(another.number, self.channel.number, "the number was not used again");
    channel_abandon(&other);
    channel_abandon(&another);
}

/* --- Without memory -------------------------------------------------------------------------------------*/

static int open_and_declare(whippet_task *task)
{
    memory_permit = all_but_one;
    int error = do_open(task);
    return error == 0 ? do_declare(task) : error;
}

static bool nothing(size_t size)
{
    (void)size;
    return false;
}

/* The broker would take it for open, and go on delivering. */
Test(channel, that_can_not_be_closed_for_want_of_memory_goes_with_its_connection)
{
    enum {
        MANY = 20000
    };
    cr_assert_eq(run(do_open), 0);
    cr_assert_eq(run(do_consume), 0);
    for (int i = 0; i < MANY; i++)
        fake_deliver(rig.broker, link_now(), self.channel.number, NULL, "b", 1);
    rig_until(self.delivered == MANY);
    memory_permit = nothing;
    uint64_t tag = 1;
    while (channel_ack(&self.channel, tag, false) == 0)
        tag++;
    cr_assert_lt(tag, MANY, "there was room for everything");
    channel_abandon(&self.channel);
    memory_permit = NULL;
    cr_assert_eq(self.closed, 0);
    rig_until(connection_reconnects(self.connection) == 1 && is_open());
}

Test(channel, says_so_when_any_allocation_fails)
{
    bool reached = true;
    for (long count = 0; reached; count++) {
        cr_assert_lt(count, 100);
        rig_until(is_open());
        allowed = count;
        int error = run(open_and_declare);
        memory_permit = NULL;
        reached = allowed < 0;
        cr_assert(error == 0 || error == WHIPPET_E_MEMORY || error == WHIPPET_E_CLOSED, "%s",
                  whippet_error_text(error));
        channel_abandon(&self.channel);
        rig_settle_down();
    }
}
