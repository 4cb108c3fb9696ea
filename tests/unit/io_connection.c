/* A connection that keeps itself up, against a broker that makes it hard. */
#include "../../src/async/loop_state.h"
#include "io_testing.h"
#include "short_memory.h"
#include <io/connection.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <web_server.h>

/* --- The connection and its owner -----------------------------------------------------------------------*/

static struct {
    struct connection *connection;
    struct endpoint endpoints[4];
    struct connection_options options;
    unsigned opened, lost, failed, blocked, unblocked, flushed;
    struct whippet_failure why; /* of the last loss */
    double failed_at[64];
} owner;

static void on_opened(void *arg)
{
    (void)arg;
    owner.opened++;
}

static void on_lost(void *arg, const struct whippet_failure *why)
{
    (void)arg;
    owner.lost++;
    owner.why = *why;
}

static void on_failed(void *arg)
{
    (void)arg;
    owner.failed_at[owner.failed++ % 64] = loop_now(rig.loop);
}

static void on_blocked(void *arg, bool blocked)
{
    (void)arg;
    if (blocked)
        owner.blocked++;
    else
        owner.unblocked++;
}

static void on_flushed(void *arg)
{
    (void)arg;
    owner.flushed++;
}

static const struct connection_handlers HANDLERS = {
    .opened = on_opened, .lost = on_lost, .failed = on_failed, .blocked = on_blocked, .flushed = on_flushed};

static struct endpoint endpoint_at(uint16_t port)
{
    return (struct endpoint){.host = "127.0.0.1",
                             .port = port,
                             .user = "guest",
                             .password = "s3cr3t",
                             .vhost = "/",
                             .display = "amqp://guest@127.0.0.1/"};
}

static void open_all(void)
{
    rig_open();
    memset(&owner, 0, sizeof owner);
    owner.endpoints[0] = endpoint_at(rig.broker->port);
    owner.options = (struct connection_options){.name = "consume",
                                                .version = "1.0",
                                                .endpoints = owner.endpoints,
                                                .endpoint_count = 1,
                                                .connect_timeout = 5,
                                                .reconnect_min = 0.005,
                                                .reconnect_max = 0.02};
}

static void start(void)
{
    owner.connection = connection_create(rig.loop, &owner.options, &HANDLERS, NULL);
    cr_assert_not_null(owner.connection);
    loop_refresh_now(rig.loop);
    cr_assert(connection_start(owner.connection));
}

static bool is_open(void)
{
    return connection_state(owner.connection) == CONNECTION_OPEN;
}

static void start_and_open(void)
{
    start();
    rig_until(is_open());
}

static double stop_seconds = 1;
static bool stopped;

static int stop_main(whippet_task *task, void *arg)
{
    (void)arg;
    connection_stop(task, owner.connection, loop_now(rig.loop) + stop_seconds);
    stopped = true;
    return 0;
}

static void stop(void)
{
    bool started;
    stopped = false;
    loop_refresh_now(rig.loop);
    task_start(loop_scheduler(rig.loop), stop_main, NULL, INFINITY, NULL, NULL, &started);
    cr_assert(started);
    rig_until(stopped);
    cr_assert_eq(connection_state(owner.connection), CONNECTION_DOWN);
    cr_assert_null(connection_session(owner.connection));
}

static void close_all(void)
{
    memory_permit = NULL;
    if (owner.connection != NULL && !stopped)
        stop();
    rig_until(loop_scheduler(rig.loop)->tasks == 0);
    connection_destroy(owner.connection);
    rig_close();
}

TestSuite(connection, .init = open_all, .fini = close_all, .timeout = 180);

static const char *failure_text(void)
{
    return connection_failure(owner.connection)->text;
}

/* The time of a try goes to looking its host up, too: a slow machine may need some tries to come further. */
static bool has_failed_of(const char *words)
{
    return strstr(failure_text(), words) != NULL;
}

static struct fake_link *link_now(void)
{
    return fake_link_named(rig.broker, "consume");
}

/* --- Coming up ------------------------------------------------------------------------------------------*/

Test(connection, opens_and_counts_it)
{
    start();
    cr_assert_eq(connection_state(owner.connection), CONNECTION_CONNECTING);
    cr_assert_null(connection_session(owner.connection));
    cr_assert_eq(connection_epoch(owner.connection), 0);
    rig_until(is_open());
    cr_assert_eq(owner.opened, 1);
    cr_assert_eq(connection_epoch(owner.connection), 1);
    cr_assert_eq(connection_reconnects(owner.connection), 0);
    cr_assert_not_null(connection_session(owner.connection));
    cr_assert_str_eq(link_now()->name, "whippet consume");
}

Test(connection, opens_with_a_peer_that_trickles_one_byte_at_a_time)
{
    rig.broker->trickles = true;
    start_and_open();
    cr_assert_eq(owner.failed, 0);
}

static void assert_keeps_trying(const char *words)
{
    start();
    rig_until(owner.failed >= 3);
    cr_assert_eq(owner.opened, 0);
    cr_assert_not_null(strstr(failure_text(), words), "%s", failure_text());
    cr_assert_null(strstr(failure_text(), "s3cr3t"), "%s", failure_text());
    rig.broker->mood = FAKE_FRIENDLY;
    if (rig.broker->listener < 0)
        fake_broker_reopen(rig.broker);
    rig_until(is_open());
}

Test(connection, keeps_trying_while_it_is_refused)
{
    fake_broker_shut(rig.broker);
    assert_keeps_trying("refused");
}

Test(connection, keeps_trying_while_it_is_reset_during_the_handshake)
{
    rig.broker->mood = FAKE_RESETS;
    assert_keeps_trying("");
}

Test(connection, keeps_trying_while_it_is_hung_up_on)
{
    rig.broker->mood = FAKE_HANGS_UP;
    assert_keeps_trying("hung up");
}

Test(connection, keeps_trying_while_the_handshake_hangs)
{
    rig.broker->mood = FAKE_SPEECHLESS;
    owner.options.connect_timeout = 0.03;
    start();
    rig_until(owner.failed >= 2 && has_failed_of("handshake"));
    rig_settle_down();
    for (size_t i = 0; i + 1 < rig.broker->link_count; i++)
        cr_assert_eq(rig.broker->links[i]->descriptor, -1, "attempt %zu is still connected", i);
}

static bool swallow_start_ok(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                             amqp_method_number_t id, void *decoded)
{
    (void)broker, (void)link, (void)channel, (void)decoded;
    return id == AMQP_CONNECTION_START_OK_METHOD;
}

Test(connection, is_cut_when_the_broker_stops_answering_in_the_middle_of_the_handshake)
{
    rig.broker->on_method = swallow_start_ok;
    owner.options.connect_timeout = 0.1;
    start();
    rig_until(owner.failed >= 2 && has_failed_of("handshake"));
}

/* What takes the connection is a proxy, say, or a machine that has run out of memory. */
Test(connection, is_cut_when_nothing_answers_its_first_word_of_tls)
{
    struct whippet_failure failure;
    struct tls *tls = tls_create(&(struct tls_options){.skips_verification = true}, NULL, &failure);
    cr_assert_not_null(tls, "%s", failure.text);
    rig.broker->mood = FAKE_SPEECHLESS;
    owner.endpoints[0].tls = tls;
    owner.options.connect_timeout = 0.1;
    start();
    rig_until(owner.failed >= 2 && has_failed_of("TLS handshake in time"));
    stop();
    tls_destroy(tls);
}

static bool refuse_login(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                         amqp_method_number_t id, void *decoded)
{
    (void)broker, (void)channel, (void)decoded;
    if (id != AMQP_CONNECTION_START_OK_METHOD)
        return false;
    wire_connection_close(&link->out, 403, "ACCESS_REFUSED - login was refused");
    return true;
}

Test(connection, says_that_the_login_was_refused_in_the_brokers_words)
{
    rig.broker->on_method = refuse_login;
    start();
    rig_until(owner.failed >= 2);
    cr_assert_not_null(strstr(failure_text(), "refused the login"), "%s", failure_text());
    cr_assert_not_null(strstr(failure_text(), "ACCESS_REFUSED"), "%s", failure_text());
    cr_assert_null(strstr(failure_text(), "s3cr3t"), "%s", failure_text());
}

static struct {
    unsigned code;
    const char *text;
} refusal;

static bool refuse_to_open(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                           amqp_method_number_t id, void *decoded)
{
    (void)broker, (void)channel, (void)decoded;
    if (id != AMQP_CONNECTION_OPEN_METHOD)
        return false;
    wire_connection_close(&link->out, refusal.code, refusal.text);
    return true;
}

static void expect_advice(unsigned code, const char *text, const char *advice, bool expected)
{
    unsigned failed = owner.failed;
    refusal.code = code;
    refusal.text = text;
    rig_until(owner.failed >= failed + 2);
    cr_assert_not_null(strstr(failure_text(), text), "%s", failure_text());
    cr_assert_eq(strstr(failure_text(), advice) != NULL, expected, "%s", failure_text());
}

Test(connection, gives_advice_only_where_it_is_to_the_point)
{
    const char *advice = "does the virtual host exist";
    refusal.text = "";
    rig.broker->on_method = refuse_to_open;
    start();
    expect_advice(530, "NOT_ALLOWED - vhost nowhere not found", advice, true);
    expect_advice(530, "NOT_ALLOWED - access to vhost '/' refused for user 'u'", advice, true);
    expect_advice(530,
                  "NOT_ALLOWED - access to vhost '/' refused for user 'u': connection limit (1) is reached",
                  advice, false);
    expect_advice(530, "NOT_ALLOWED - access to vhost '/' refused for user 'u': vhost '/' is down", advice,
                  false);
    expect_advice(403, "ACCESS_REFUSED", "Check user and password", true);
}

Test(connection, does_not_ask_for_a_password_where_the_certificate_is_the_login)
{
    owner.endpoints[0].external = true;
    refusal.text = "";
    rig.broker->on_method = refuse_to_open;
    start();
    expect_advice(403, "ACCESS_REFUSED", "password", false);
    expect_advice(403, "ACCESS_REFUSED", "certificate", true);
}

Test(connection, tries_its_addresses_in_turn_without_a_pause)
{
    owner.endpoints[0] = owner.endpoints[1] = endpoint_at((uint16_t)unused_port());
    owner.endpoints[2] = endpoint_at(rig.broker->port);
    owner.options.endpoint_count = 3;
    owner.options.reconnect_min = owner.options.reconnect_max = 3000;
    start_and_open();
    cr_assert_eq(owner.failed, 2);
}

Test(connection, goes_on_to_the_next_address_after_a_loss)
{
    struct fake_broker *other = fake_broker_create();
    owner.endpoints[1] = endpoint_at(other->port);
    owner.options.endpoint_count = 2;
    start_and_open();
    fake_link_reset(rig.broker, link_now());
    for (int i = 0; i < 5000 && other->link_count == 0; i++) {
        rig_turn();
        fake_broker_poll(other);
    }
    cr_assert_eq(other->link_count, 1, "the other address was not tried");
    fake_broker_destroy(other);
    rig_until(owner.opened == 2);
}

Test(connection, pauses_longer_and_longer_up_to_a_cap_and_never_quite_the_same)
{
    enum {
        TRIES = 12
    };
    fake_broker_shut(rig.broker);
    owner.options.reconnect_min = 0.01;
    owner.options.reconnect_max = 0.08;
    start();
    rig_until(owner.failed >= TRIES + 1);
    double shortest = INFINITY, longest = 0;
    for (int i = 0; i < TRIES; i++) {
        double pause = owner.failed_at[i + 1] - owner.failed_at[i];
        double full = fmin(0.01 * exp2(i), 0.08);
        cr_assert_geq(pause, full / 2 * 0.99, "pause %d was %.4f s", i, pause);
        if (i >= 3) {
            shortest = fmin(shortest, pause);
            longest = fmax(longest, pause);
        }
    }
    cr_assert_gt(longest - shortest, 0.001, "all pauses are alike: %.4f s", longest);
}

Test(connection, notices_a_broker_that_takes_connections_again_long_before_its_pause_is_over)
{
    fake_broker_shut(rig.broker);
    owner.options.reconnect_min = owner.options.reconnect_max = 3000;
    start();
    rig_until(owner.failed == 1);
    rig_turn_for(1.2);
    fake_broker_reopen(rig.broker);
    rig_until(is_open());
    cr_assert_eq(owner.failed, 1, "a probe counts as a try");
    cr_assert_eq(rig.broker->link_count, 1, "the probe's connection was not used");
}

Test(connection, leaves_a_broker_that_takes_connections_and_breaks_off_in_peace)
{
    rig.broker->mood = FAKE_HANGS_UP;
    owner.options.reconnect_min = owner.options.reconnect_max = 3000;
    start();
    rig_until(owner.failed == 1);
    rig_turn_for(1.2);
    cr_assert_eq(rig.broker->link_count, 1, "it was dialled again during the pause");
}

/* Each time, what is in flight comes again, and counts towards a quorum queue's delivery limit. */
Test(connection, leaves_a_broker_that_opens_and_then_breaks_off_in_peace_for_longer_and_longer)
{
    double lost_at;
    owner.options.reconnect_min = 0.01;
    owner.options.reconnect_max = 10;
    start_and_open();
    for (int i = 0; i < 5; i++) {
        fake_link_reset(rig.broker, link_now());
        rig_until(!is_open());
        lost_at = loop_now(rig.loop);
        rig_until(is_open());
        cr_assert_geq(loop_now(rig.loop) - lost_at, 0.01 * exp2(i) / 2 * 0.99, "after loss %d", i);
    }
}

Test(connection, that_stood_for_a_while_is_made_anew_after_the_shortest_pause)
{
    owner.options.reconnect_min = 0.01;
    owner.options.reconnect_max = 3000;
    start_and_open();
    for (int i = 0; i < 20; i++) {
        rig.loop->ahead += 6;
        fake_link_reset(rig.broker, link_now());
        rig_until(!is_open());
        rig_until(is_open());
    }
}

/* --- Staying up -----------------------------------------------------------------------------------------*/

static void assert_comes_back(const char *words)
{
    rig_until(owner.lost == 1);
    cr_assert_not_null(strstr(owner.why.text, words), "%s", owner.why.text);
    rig_until(owner.opened == 2);
    cr_assert_eq(connection_epoch(owner.connection), 2);
    cr_assert_eq(connection_reconnects(owner.connection), 1);
}

Test(connection, comes_back_after_a_reset)
{
    start_and_open();
    fake_link_reset(rig.broker, link_now());
    assert_comes_back("");
}

Test(connection, comes_back_after_an_end_in_the_middle_of_a_frame)
{
    struct wire half = {0};
    start_and_open();
    wire_octet(&half, 1);
    wire_short(&half, 0);
    fake_send(link_now(), &half);
    rig_settle_down();
    cr_assert(is_open());
    fake_link_hang_up(rig.broker, link_now());
    assert_comes_back("hung up");
}

Test(connection, comes_back_after_the_broker_closed_it)
{
    start_and_open();
    struct fake_link *link = link_now();
    wire_connection_close(&link->out, 320, "CONNECTION_FORCED - by the operator");
    assert_comes_back("CONNECTION_FORCED");
}

Test(connection, comes_back_after_the_broker_broke_the_protocol)
{
    struct wire nonsense = {0};
    start_and_open();
    wire_fill(&nonsense, 'x', 100);
    fake_send(link_now(), &nonsense);
    assert_comes_back("protocol");
}

Test(connection, comes_back_when_begin_and_end_come_in_one_piece)
{
    start();
    rig_until(rig.broker->link_count == 1);
    struct fake_link *link = rig.broker->links[0];
    while (!link->is_open)
        rig_step();
    wire_connection_close(&link->out, 320, "CONNECTION_FORCED");
    rig_until(owner.opened == 2);
    cr_assert_eq(owner.lost, 1);
    cr_assert_eq(owner.failed, 0);
}

Test(connection, sends_heartbeats_while_nothing_else_goes)
{
    rig.broker->heartbeat = 1;
    owner.options.heartbeat = 1;
    start_and_open();
    struct fake_link *link = link_now();
    rig_until(link->heartbeats >= 1);
}

/* The shortest that AMQP can say is a second. */
Test(connection, is_lost_when_the_broker_falls_silent_and_comes_back)
{
    rig.broker->heartbeat = 1;
    owner.options.heartbeat = 1;
    start_and_open();
    double begun = clock_monotonic();
    rig_until(owner.lost == 1);
    double took = clock_monotonic() - begun;
    cr_assert(took > 0.99 && took < 6, "after %.2f s", took);
    cr_assert_not_null(strstr(owner.why.text, "heartbeat"), "%s", owner.why.text);
    rig_until(owner.opened == 2);
}

static bool swallow_channel_close(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                                  amqp_method_number_t id, void *decoded)
{
    (void)broker, (void)link, (void)channel, (void)decoded;
    return id == AMQP_CHANNEL_CLOSE_METHOD;
}

/* Its number would never be free again: 2047 of them, and nothing could be consumed. */
Test(connection, is_given_up_when_the_broker_does_not_answer_that_a_channel_is_closed)
{
    uint16_t channel;
    rig.broker->on_method = swallow_channel_close;
    owner.options.close_limit = 0.1;
    start_and_open();
    struct session *session = connection_session(owner.connection);
    cr_assert_eq(session_channel_open(session, &channel), 0);
    cr_assert_eq(session_channel_close(session, channel, loop_now(rig.loop)), 0);
    connection_touch(owner.connection);
    rig_until(owner.lost == 1);
    cr_assert_not_null(strstr(owner.why.text, "channel.close"), "%s", owner.why.text);
    rig_until(is_open());
}

Test(connection, does_not_hold_silence_against_a_broker_that_it_does_not_read)
{
    rig.broker->heartbeat = 1;
    owner.options.heartbeat = 1;
    start_and_open();
    connection_pause_reading(owner.connection, true);
    rig_turn_for(2.6);
    cr_assert_eq(owner.lost, 0, "%s", owner.why.text);
    connection_pause_reading(owner.connection, false);
    wire_heartbeat(&link_now()->out);
    rig_settle_down();
    cr_assert(is_open());
}

Test(connection, reads_nothing_while_it_is_paused_and_all_of_it_afterwards)
{
    start_and_open();
    struct wire blocked = {0};
    amqp_connection_blocked_t alarm = {.reason = amqp_cstring_bytes("low on memory")};
    connection_pause_reading(owner.connection, true);
    wire_method(&blocked, 0, AMQP_CONNECTION_BLOCKED_METHOD, &alarm);
    fake_send(link_now(), &blocked);
    rig_settle_down();
    cr_assert_not(connection_is_blocked(owner.connection));
    connection_pause_reading(owner.connection, false);
    rig_until(connection_is_blocked(owner.connection));
}

Test(connection, tells_when_the_broker_raises_an_alarm_and_when_it_is_over)
{
    start_and_open();
    amqp_connection_blocked_t alarm = {.reason = amqp_cstring_bytes("low on disk")};
    wire_method(&link_now()->out, 0, AMQP_CONNECTION_BLOCKED_METHOD, &alarm);
    rig_until(owner.blocked == 1);
    cr_assert(connection_is_blocked(owner.connection));
    wire_method(&link_now()->out, 0, AMQP_CONNECTION_UNBLOCKED_METHOD, &(amqp_connection_unblocked_t){0});
    rig_until(owner.unblocked == 1);
    cr_assert_not(connection_is_blocked(owner.connection));
}

Test(connection, forgets_an_alarm_with_the_connection)
{
    start_and_open();
    amqp_connection_blocked_t alarm = {.reason = amqp_cstring_bytes("low on disk")};
    wire_method(&link_now()->out, 0, AMQP_CONNECTION_BLOCKED_METHOD, &alarm);
    rig_until(owner.blocked == 1);
    fake_link_reset(rig.broker, link_now());
    rig_until(owner.opened == 2);
    cr_assert_not(connection_is_blocked(owner.connection));
}

/* --- Bytes ----------------------------------------------------------------------------------------------*/

Test(connection, sends_all_of_much_to_a_peer_that_takes_little_at_a_time)
{
    enum {
        SIZE = 6000000
    };
    char *body = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        body[i] = (char)(i * 7 + i / 1000);
    rig.broker->receive_buffer = 4096;
    fake_broker_shut(rig.broker);
    fake_broker_reopen(rig.broker);
    start_and_open();
    struct session *session = connection_session(owner.connection);
    uint16_t channel;
    cr_assert_eq(session_channel_open(session, &channel), 0);
    connection_touch(owner.connection);
    rig_until(link_now()->channels[channel].is_open);
    rig_settle_down();
    rig.broker->deaf = true;
    cr_assert_eq(session_publish(session, channel, "", "q", (whippet_bytes){"\0\0", 2}, bytes_of(body, SIZE)),
                 0);
    connection_touch(owner.connection);
    rig_turn_for(0.05);
    cr_assert_gt(connection_backlog(owner.connection), 0, "a deaf peer took it all");
    rig.broker->deaf = false;
    rig_until(fake_published(rig.broker) == 1 && rig.broker->publishes[0].whole);
    cr_assert_eq(rig.broker->publishes[0].body.length, SIZE);
    cr_assert(memcmp(rig.broker->publishes[0].body.data, body, SIZE) == 0, "it arrived otherwise");
    rig_until(connection_backlog(owner.connection) == 0);
    free(body);
}

Test(connection, sends_what_was_queued_once_it_is_touched_and_tells)
{
    start_and_open();
    rig_settle_down();
    unsigned flushed = owner.flushed;
    uint16_t channel;
    cr_assert_eq(session_channel_open(connection_session(owner.connection), &channel), 0);
    connection_touch(owner.connection);
    connection_touch(owner.connection);
    rig_until(owner.flushed == flushed + 1);
    rig_until(link_now()->channels[channel].is_open);
}

Test(connection, sends_at_once_when_asked_to)
{
    start_and_open();
    rig_settle_down();
    uint16_t channel;
    cr_assert_eq(session_channel_open(connection_session(owner.connection), &channel), 0);
    connection_send_now(owner.connection);
    cr_assert_eq(connection_backlog(owner.connection), 0);
    fake_broker_wait(rig.broker, 1000);
    fake_broker_poll(rig.broker);
    cr_assert(link_now()->channels[channel].is_open);
}

/* --- Stopping -------------------------------------------------------------------------------------------*/

static bool closed_politely;

static bool hear_close(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                       amqp_method_number_t id, void *decoded)
{
    (void)broker, (void)link, (void)channel, (void)decoded;
    closed_politely |= id == AMQP_CONNECTION_CLOSE_METHOD;
    return false;
}

static bool swallow_close(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                          amqp_method_number_t id, void *decoded)
{
    return hear_close(broker, link, channel, id, decoded) || id == AMQP_CONNECTION_CLOSE_METHOD;
}

Test(connection, says_goodbye_when_it_is_stopped)
{
    rig.broker->on_method = hear_close;
    start_and_open();
    stop();
    cr_assert(closed_politely);
    cr_assert_eq(connection_reconnects(owner.connection), 0);
    rig_turn_for(0.05);
    cr_assert_eq(rig.broker->link_count, 1, "it came back");
}

Test(connection, stops_in_time_although_the_broker_does_not_answer_the_goodbye)
{
    rig.broker->on_method = swallow_close;
    stop_seconds = 0.05;
    start_and_open();
    double begun = clock_monotonic();
    stop();
    double took = clock_monotonic() - begun;
    cr_assert(closed_politely && took >= 0.049 && took < 5, "after %.3f s", took);
}

Test(connection, stops_before_it_was_ever_started)
{
    owner.connection = connection_create(rig.loop, &owner.options, &HANDLERS, NULL);
    stop();
}

Test(connection, stops_while_it_resolves)
{
    start();
    stop();
    cr_assert_eq(owner.opened, 0);
}

Test(connection, stops_in_the_middle_of_the_handshake)
{
    rig.broker->mood = FAKE_SPEECHLESS;
    start();
    rig_until(rig.broker->link_count == 1);
    rig_settle_down();
    stop();
    rig_settle_down();
    cr_assert_eq(rig.broker->links[0]->descriptor, -1, "it is still connected");
}

Test(connection, stops_between_two_tries)
{
    fake_broker_shut(rig.broker);
    owner.options.reconnect_min = owner.options.reconnect_max = 1000;
    start();
    rig_until(owner.failed == 1);
    rig_settle_down();
    stop();
}

Test(connection, stops_twice_without_harm)
{
    start_and_open();
    stop();
    stop();
}

Test(connection, stops_while_it_is_lost)
{
    start_and_open();
    fake_link_reset(rig.broker, link_now());
    stop();
}

Test(connection, stops_while_reading_is_paused)
{
    stop_seconds = 0.05;
    start_and_open();
    connection_pause_reading(owner.connection, true);
    stop();
}

/* Another thread than the loop's stands still when it first wants memory, and then gets none. */
static struct {
    pthread_t loop;
    atomic_bool stands;
    atomic_bool may_go_on;
} reader;

static bool hold_reader(size_t size)
{
    (void)size;
    if (pthread_equal(pthread_self(), reader.loop))
        return true;
    atomic_store(&reader.stands, true);
    while (!atomic_load(&reader.may_go_on))
        usleep(1000);
    return false;
}

static char *make_password_file(void)
{
    char *file = strdup("/tmp/whippet-test-password.XXXXXX");
    int descriptor = mkstemp(file);
    cr_assert(descriptor >= 0 && write(descriptor, "s3cr3t", 6) == 6);
    close(descriptor);
    return file;
}

/* What a reload replaces is freed then; the thread says in which file it could not go on. */
Test(connection, stops_while_its_password_is_read_and_needs_no_options_any_more)
{
    char *file = make_password_file();
    owner.endpoints[0].password_file = file;
    reader.loop = pthread_self();
    memory_permit = hold_reader;
    start();
    rig_until(atomic_load(&reader.stands));
    stop();
    unlink(file);
    free(file);
    atomic_store(&reader.may_go_on, true);
    rig_until(loop_offloaded(rig.loop) == 0);
}

/* --- Without memory -------------------------------------------------------------------------------------*/

Test(connection, comes_up_whatever_allocation_fails_once)
{
    bool reached = true;
    for (long count = 0; reached; count++) {
        cr_assert_lt(count, 300);
        allowed = count;
        memory_permit = all_but_one;
        owner.connection = connection_create(rig.loop, &owner.options, &HANDLERS, NULL);
        if (owner.connection != NULL && connection_start(owner.connection)) {
            rig_until(is_open());
            memory_permit = NULL;
            reached = allowed < 0;
            stop();
        }
        memory_permit = NULL;
        connection_destroy(owner.connection);
        owner.connection = NULL;
    }
}
