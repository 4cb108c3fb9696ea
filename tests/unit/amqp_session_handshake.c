/* From the protocol header to open-ok, and every way it can end before. */
#include "../support/peer.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct peer *peer;
static struct wire wire;

static void create(void)
{
    peer = peer_create();
}

static void destroy(void)
{
    peer_destroy(peer);
    wire_destroy(&wire);
}

TestSuite(handshake, .init = create, .fini = destroy);

static void replace_peer(const struct session_options *options)
{
    peer_destroy(peer);
    peer = peer_create_with(options);
    cr_assert_not_null(peer);
}

static void feed(void)
{
    peer_feed_wire(peer, &wire);
}

static amqp_connection_start_ok_t *reach_start_ok(const char *mechanisms)
{
    peer_start(peer);
    wire_start(&wire, mechanisms);
    feed();
    return peer_expect_method(peer, 0, AMQP_CONNECTION_START_OK_METHOD);
}

static bool same_bytes(amqp_bytes_t found, const void *expected, size_t size)
{
    return found.len == size && memcmp(found.bytes, expected, size) == 0;
}

/* --- As it should go ------------------------------------------------------------------------------------*/

Test(handshake, a_session_says_nothing_before_it_starts)
{
    cr_assert_eq(session_state(peer->session), SESSION_IDLE);
    cr_assert_eq(buffer_length(session_output(peer->session)), 0);
    cr_assert_str_empty(session_server(peer->session));
    cr_assert_str_empty(session_cluster(peer->session));
    cr_assert(isinf(session_next_tick(peer->session)));
}

Test(handshake, begins_with_the_protocol_header_of_0_9_1)
{
    peer_start(peer);
    peer_expect_no_event(peer);
}

Test(handshake, logs_in_with_plain)
{
    amqp_connection_start_ok_t *start_ok = reach_start_ok("PLAIN AMQPLAIN");
    static const char response[] = "\0alice\0" PEER_PASSWORD;
    cr_assert(same_bytes(start_ok->mechanism, "PLAIN", 5));
    cr_assert(same_bytes(start_ok->response, response, sizeof response - 1));
    cr_assert(same_bytes(start_ok->locale, "en_US", 5));
}

Test(handshake, finds_plain_at_any_place_of_the_list)
{
    static const char *const lists[] = {"PLAIN", "AMQPLAIN PLAIN", "PLAIN AMQPLAIN",
                                        "EXTERNAL PLAIN RABBIT-CR-DEMO"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct session_options options = peer_options();
        replace_peer(&options);
        amqp_connection_start_ok_t *start_ok = reach_start_ok(lists[i]);
        cr_assert(same_bytes(start_ok->mechanism, "PLAIN", 5), "of \"%s\"", lists[i]);
    }
}

static const amqp_field_value_t *find(const amqp_table_t *table, const char *name)
{
    for (int i = 0; i < table->num_entries; i++)
        if (same_bytes(table->entries[i].key, name, strlen(name)))
            return &table->entries[i].value;
    return NULL;
}

Test(handshake, announces_what_the_client_is_capable_of)
{
    static const char *const capabilities[] = {
        "consumer_cancel_notify", "connection.blocked", "basic.nack",
        "publisher_confirms",     "per_consumer_qos",   "authentication_failure_close"};
    amqp_connection_start_ok_t *start_ok = reach_start_ok("PLAIN");
    const amqp_field_value_t *table = find(&start_ok->client_properties, "capabilities");
    cr_assert_not_null(table, "no capabilities");
    cr_assert_eq(table->kind, AMQP_FIELD_KIND_TABLE);
    for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++) {
        const amqp_field_value_t *value = find(&table->value.table, capabilities[i]);
        cr_assert_not_null(value, "%s is not announced", capabilities[i]);
        cr_assert_eq(value->kind, AMQP_FIELD_KIND_BOOLEAN, "%s", capabilities[i]);
        cr_assert(value->value.boolean, "%s is false", capabilities[i]);
    }
}

Test(handshake, introduces_the_product)
{
    amqp_connection_start_ok_t *start_ok = reach_start_ok("PLAIN");
    const amqp_table_t *properties = &start_ok->client_properties;
    cr_assert_not_null(find(properties, "product"));
    const amqp_field_value_t *version = find(properties, "version");
    cr_assert_not_null(version);
    cr_assert(same_bytes(version->value.bytes, "0.1.0", 5));
    const amqp_field_value_t *name = find(properties, "connection_name");
    cr_assert_not_null(name);
    cr_assert(same_bytes(name->value.bytes, "unit test", 9));
}

Test(handshake, needs_no_connection_name)
{
    struct session_options options = peer_options();
    options.connection_name = NULL;
    replace_peer(&options);
    amqp_connection_start_ok_t *start_ok = reach_start_ok("PLAIN");
    cr_assert_null(find(&start_ok->client_properties, "connection_name"));
    peer_expect_no_event(peer);
}

Test(handshake, keeps_its_own_copy_of_the_options)
{
    char user[] = "bob", password[] = "builder", vhost[] = "/site", version[] = "9";
    struct session_options options = {.user = user, .password = password, .vhost = vhost, .version = version};
    replace_peer(&options);
    memset(user, 'x', 3);
    memset(password, 'x', 7);
    memset(vhost, 'x', 5);
    memset(version, 'x', 1);
    amqp_connection_start_ok_t *start_ok = reach_start_ok("PLAIN");
    cr_assert(same_bytes(start_ok->response, "\0bob\0builder", 12));
    wire_tune(&wire, 0, 0, 0);
    feed();
    peer_expect_method(peer, 0, AMQP_CONNECTION_TUNE_OK_METHOD);
    amqp_connection_open_t *open = peer_expect_method(peer, 0, AMQP_CONNECTION_OPEN_METHOD);
    cr_assert(same_bytes(open->virtual_host, "/site", 5));
}

Test(handshake, opens_the_virtual_host)
{
    peer_reach_tuning(peer);
    wire_tune(&wire, 2047, 131072, 60);
    feed();
    peer_expect_method(peer, 0, AMQP_CONNECTION_TUNE_OK_METHOD);
    amqp_connection_open_t *open = peer_expect_method(peer, 0, AMQP_CONNECTION_OPEN_METHOD);
    cr_assert(same_bytes(open->virtual_host, "/", 1));
    cr_assert_eq(session_state(peer->session), SESSION_OPENING);
    peer_expect_no_event(peer);
    wire_open_ok(&wire);
    feed();
    peer_expect_event(peer, "opened");
    peer_expect_no_event(peer);
    peer_expect_nothing_sent(peer);
}

Test(handshake, knows_the_server_and_its_cluster)
{
    peer_open(peer);
    cr_assert_str_eq(session_server(peer->session), "RabbitMQ 3.10.8");
    cr_assert_str_eq(session_cluster(peer->session), "rabbit@test");
}

/* connection.start with these server properties, which may be anything. */
static void write_start_with(const struct wire *properties)
{
    struct wire payload = {0};
    wire_long(&payload, AMQP_CONNECTION_START_METHOD);
    wire_short(&payload, 0x0009);
    wire_long(&payload, (uint32_t)properties->length);
    wire_raw(&payload, properties->data, properties->length);
    wire_long_text(&payload, "PLAIN");
    wire_long_text(&payload, "en_US");
    wire_frame(&wire, WIRE_METHOD, 0, payload.data, payload.length);
    wire_destroy(&payload);
}

Test(handshake, a_server_need_not_introduce_itself)
{
    struct wire properties = {0};
    peer_start(peer);
    write_start_with(&properties);
    feed();
    peer_expect_method(peer, 0, AMQP_CONNECTION_START_OK_METHOD);
    cr_assert_not_null(session_server(peer->session));
    cr_assert_str_empty(session_cluster(peer->session));
}

Test(handshake, a_server_may_introduce_itself_with_numbers)
{
    struct wire properties = {0};
    wire_entry(&properties, "product", 'I');
    wire_long(&properties, 7);
    wire_entry(&properties, "version", 'V');
    wire_entry(&properties, "cluster_name", 't');
    wire_octet(&properties, 1);
    peer_start(peer);
    write_start_with(&properties);
    wire_destroy(&properties);
    feed();
    peer_expect_method(peer, 0, AMQP_CONNECTION_START_OK_METHOD);
    cr_assert_str_empty(session_cluster(peer->session));
}

Test(handshake, works_with_every_byte_in_a_call_of_its_own)
{
    peer->cut = PEER_BYTE_BY_BYTE;
    peer_open(peer);
    peer_open_channel(peer);
}

Test(handshake, works_in_random_chunks)
{
    for (uint64_t seed = 1; seed < 50; seed++) {
        struct session_options options = peer_options();
        replace_peer(&options);
        peer->cut = PEER_RANDOM;
        peer->seed = seed;
        peer_open(peer);
        peer_open_channel(peer);
    }
}

/* --- Tuning ---------------------------------------------------------------------------------------------*/

struct tuning {
    double offered; /* heartbeat */
    unsigned channel_max;
    uint32_t frame_max;
    unsigned heartbeat;
};

static amqp_connection_tune_ok_t *tune(struct tuning tuning)
{
    struct session_options options = peer_options();
    options.heartbeat = tuning.offered;
    replace_peer(&options);
    peer_reach_tuning(peer);
    wire_tune(&wire, tuning.channel_max, tuning.frame_max, tuning.heartbeat);
    feed();
    amqp_connection_tune_ok_t *tune_ok = peer_expect_method(peer, 0, AMQP_CONNECTION_TUNE_OK_METHOD);
    cr_assert_eq(session_frame_max(peer->session), tune_ok->frame_max, "%u, but told the server %u",
                 session_frame_max(peer->session), tune_ok->frame_max);
    cr_assert_eq(session_heartbeat(peer->session), tune_ok->heartbeat, "%g, but told the server %u",
                 session_heartbeat(peer->session), tune_ok->heartbeat);
    return tune_ok;
}

Test(handshake, takes_the_smaller_frame_size)
{
    cr_assert_eq(tune((struct tuning){60, 2047, 4096, 60})->frame_max, 4096);
    cr_assert_eq(tune((struct tuning){60, 2047, 65536, 60})->frame_max, 65536);
    cr_assert_eq(tune((struct tuning){60, 2047, 131072, 60})->frame_max, 131072);
    cr_assert_eq(tune((struct tuning){60, 2047, 0x7FFFFFFF, 60})->frame_max, 131072);
    cr_assert_eq(tune((struct tuning){60, 2047, 0xFFFFFFFF, 60})->frame_max, 131072);
}

Test(handshake, a_frame_size_of_0_is_no_limit_of_the_servers)
{
    cr_assert_eq(tune((struct tuning){60, 2047, 0, 60})->frame_max, SESSION_FRAME_MAX);
}

Test(handshake, takes_the_smaller_number_of_channels)
{
    cr_assert_eq(tune((struct tuning){60, 1, 4096, 60})->channel_max, 1);
    cr_assert_eq(tune((struct tuning){60, 2047, 4096, 60})->channel_max, 2047);
    cr_assert_eq(tune((struct tuning){60, 65535, 4096, 60})->channel_max, SESSION_CHANNEL_MAX);
    cr_assert_eq(tune((struct tuning){60, 0, 4096, 60})->channel_max, SESSION_CHANNEL_MAX, "0 is no limit");
}

Test(handshake, takes_the_smaller_heartbeat)
{
    cr_assert_eq(tune((struct tuning){20, 2047, 4096, 60})->heartbeat, 20);
    cr_assert_eq(tune((struct tuning){60, 2047, 4096, 20})->heartbeat, 20);
    cr_assert_eq(tune((struct tuning){60, 2047, 4096, 65535})->heartbeat, 60);
}

Test(handshake, offers_no_heartbeat_when_told_so)
{
    cr_assert_eq(tune((struct tuning){0, 2047, 4096, 0})->heartbeat, 0);
    cr_assert_eq(tune((struct tuning){0, 2047, 4096, 60})->heartbeat, 0, "the option's 0 means none");
}

Test(handshake, a_heartbeat_of_a_fraction_of_a_second_does_not_become_none)
{
    cr_assert_geq(tune((struct tuning){0.5, 2047, 4096, 60})->heartbeat, 1);
}

Test(handshake, a_heartbeat_beyond_16_bits_does_not_wrap_around)
{
    /* 65,536 + 3: cut to 16 bits it would be 3 seconds. */
    cr_assert_geq(tune((struct tuning){65539, 2047, 4096, 60000})->heartbeat, 60000);
}

Test(handshake, the_servers_heartbeat_of_0_agrees_with_what_it_is_told)
{
    tune((struct tuning){20, 2047, 4096, 0}); /* tune() compares */
}

Test(handshake, a_frame_size_below_the_protocols_least_is_refused)
{
    static const uint32_t sizes[] = {1, 7, 8, 4095};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct session_options options = peer_options();
        replace_peer(&options);
        peer_reach_tuning(peer);
        wire_tune(&wire, 2047, sizes[i], 60);
        feed();
        peer_expect_violation(peer, 0, 0, "frame");
        cr_assert_eq(peer->closing.during, SESSION_TUNING, "%d", peer->closing.during);
    }
}

/* --- Refused by the server ------------------------------------------------------------------------------*/

static void expect_close_ok_sent(void)
{
    peer_expect_method(peer, 0, AMQP_CONNECTION_CLOSE_OK_METHOD);
    peer_expect_nothing_sent(peer);
}

Test(handshake, a_failed_login_is_the_brokers_403)
{
    peer_reach_tuning(peer);
    wire_connection_close(&wire, 403,
                          "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.");
    feed();
    peer_expect_closed(peer, SESSION_END_BROKER, 403, "Login was refused");
    cr_assert_eq(peer->closing.during, SESSION_TUNING, "%d", peer->closing.during);
    expect_close_ok_sent();
}

Test(handshake, an_unknown_virtual_host_is_the_brokers_530)
{
    peer_reach_opening(peer);
    wire_connection_close(&wire, 530, "NOT_ALLOWED - vhost nowhere not found");
    feed();
    peer_expect_closed(peer, SESSION_END_BROKER, 530, "vhost nowhere not found");
    cr_assert_eq(peer->closing.during, SESSION_OPENING, "%d", peer->closing.during);
    expect_close_ok_sent();
}

Test(handshake, a_server_may_close_at_once)
{
    peer_start(peer);
    wire_connection_close(&wire, 320, "CONNECTION_FORCED - going down");
    feed();
    peer_expect_closed(peer, SESSION_END_BROKER, 320, "going down");
    cr_assert_eq(peer->closing.during, SESSION_STARTING, "%d", peer->closing.during);
}

Test(handshake, without_plain_among_the_mechanisms_it_does_not_log_in)
{
    static const char *const lists[] = {
        "", "AMQPLAIN", "EXTERNAL", "PLAINTEXT", "XPLAIN", "plain-ish", "AMQPLAIN XPLAIN PLAINX", " "};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct session_options options = peer_options();
        replace_peer(&options);
        peer_start(peer);
        wire_start(&wire, lists[i]);
        feed();
        cr_assert_eq(peer->closed_events, 1, "\"%s\": not closed", lists[i]);
        cr_assert_not_null(strstr(peer->closing.text.data, "PLAIN"), "\"%s\": %s", lists[i],
                           (const char *)peer->closing.text.data);
        cr_assert_null(memmem(peer->outbox.data, peer->outbox.length, PEER_PASSWORD, strlen(PEER_PASSWORD)));
        peer_skip_sent(peer);
        cr_assert_null(memmem(peer->outbox.data, peer->outbox.length, PEER_PASSWORD, strlen(PEER_PASSWORD)),
                       "\"%s\": the password was sent", lists[i]);
    }
}

/* PLAIN has no challenge. */
Test(handshake, a_challenge_is_not_answered)
{
    peer_reach_tuning(peer);
    amqp_connection_secure_t secure = {.challenge = amqp_cstring_bytes("who?")};
    wire_method(&wire, 0, AMQP_CONNECTION_SECURE_METHOD, &secure);
    feed();
    cr_assert_eq(peer->closed_events, 1);
    cr_assert_neq(peer->closing.end, SESSION_END_ASKED);
    cr_assert_gt(peer->closing.text.len, 0);
}

/* --- Not this protocol ----------------------------------------------------------------------------------*/

static void expect_not_understood(const void *data, size_t size, enum peer_cut cut, const char *word)
{
    struct session_options options = peer_options();
    replace_peer(&options);
    peer_start(peer);
    peer->cut = cut;
    peer_feed(peer, data, size);
    peer_expect_violation(peer, 0, 0, word);
    cr_assert_eq(peer->closing.during, SESSION_STARTING, "%d", peer->closing.during);
}

Test(handshake, a_server_that_answers_with_a_protocol_header_wants_another_version)
{
    static const struct {
        const char *header;
        const char *version;
    } answers[] = {
        {"AMQP\0\0\x09\x01", "0-9-1"},
        {"AMQP\1\1\x08\x00", "1-8-0"},
        {"AMQP\0\1\0\0", "1-0-0"},
        {"AMQP\3\1\0\0", "1-0-0"},
    };
    for (size_t i = 0; i < 4; i++)
        for (enum peer_cut cut = PEER_WHOLE; cut <= PEER_BYTE_BY_BYTE; cut++)
            expect_not_understood(answers[i].header, 8, cut, answers[i].version);
}

Test(handshake, a_server_of_another_kind_is_told_apart)
{
    static const char http[] = "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n";
    static const char alert[] = "\x15\x03\x03\x00\x02\x02\x46";
    static const char ssh[] = "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n";
    expect_not_understood(http, sizeof http - 1, PEER_WHOLE, NULL);
    expect_not_understood(http, sizeof http - 1, PEER_BYTE_BY_BYTE, NULL);
    expect_not_understood(alert, sizeof alert - 1, PEER_WHOLE, NULL);
    expect_not_understood(alert, sizeof alert - 1, PEER_BYTE_BY_BYTE, NULL);
    expect_not_understood(ssh, sizeof ssh - 1, PEER_WHOLE, NULL);
}

Test(handshake, a_server_of_another_version_in_connection_start_is_refused)
{
    amqp_connection_start_t start = {.version_major = 8,
                                     .version_minor = 0,
                                     .mechanisms = amqp_cstring_bytes("PLAIN"),
                                     .locales = amqp_cstring_bytes("en_US")};
    peer_start(peer);
    wire_method(&wire, 0, AMQP_CONNECTION_START_METHOD, &start);
    feed();
    peer_expect_violation(peer, 0, 0, "8");
}

/* --- Out of turn ----------------------------------------------------------------------------------------*/

typedef void reach_state(struct peer *);

static void write_method_of(amqp_method_number_t id)
{
    /* Large enough for any of the structs; all zero is a valid value of each. */
    static const char zeros[512];
    wire_method(&wire, 0, id, zeros);
}

static void expect_refused(reach_state *reach, enum session_state during, amqp_method_number_t id)
{
    struct session_options options = peer_options();
    replace_peer(&options);
    reach(peer);
    peer_skip_sent(peer);
    write_method_of(id);
    feed();
    peer_expect_violation(peer, 503, 505, NULL);
    cr_assert_eq(peer->closing.during, during, "%s: during %d", amqp_method_name(id), peer->closing.during);
}

Test(handshake, a_method_out_of_turn_is_refused)
{
    static const struct {
        reach_state *reach;
        enum session_state during;
        amqp_method_number_t expected;
    } states[] = {
        {peer_start, SESSION_STARTING, AMQP_CONNECTION_START_METHOD},
        {peer_reach_tuning, SESSION_TUNING, AMQP_CONNECTION_TUNE_METHOD},
        {peer_reach_opening, SESSION_OPENING, AMQP_CONNECTION_OPEN_OK_METHOD},
        {peer_open, SESSION_OPEN, 0},
    };
    static const amqp_method_number_t methods[] = {
        AMQP_CONNECTION_START_METHOD,    AMQP_CONNECTION_TUNE_METHOD,    AMQP_CONNECTION_OPEN_OK_METHOD,
        AMQP_CONNECTION_START_OK_METHOD, AMQP_CONNECTION_TUNE_OK_METHOD, AMQP_CONNECTION_OPEN_METHOD,
        AMQP_CONNECTION_CLOSE_OK_METHOD,
    };
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        for (size_t j = 0; j < sizeof methods / sizeof *methods; j++)
            if (methods[j] != states[i].expected)
                expect_refused(states[i].reach, states[i].during, methods[j]);
}

Test(handshake, blocked_does_not_come_before_open_ok)
{
    expect_refused(peer_reach_tuning, SESSION_TUNING, AMQP_CONNECTION_BLOCKED_METHOD);
}

Test(handshake, a_method_on_a_channel_is_refused)
{
    peer_reach_opening(peer);
    wire_channel_open_ok(&wire, 1);
    feed();
    cr_assert_eq(peer->closed_events + (session_state(peer->session) == SESSION_CLOSING), 1,
                 "nothing happened");
    peer_expect_violation(peer, 0, 0, NULL);
}

/* Section 2.2.4: before Open, who detects an error closes the socket without sending any further data. */
Test(handshake, a_violation_before_open_is_answered_with_silence)
{
    peer_start(peer);
    wire_open_ok(&wire);
    feed();
    peer_expect_nothing_sent(peer);
    peer_expect_violation(peer, 0, 0, NULL);

    struct session_options options = peer_options();
    replace_peer(&options);
    peer_reach_tuning(peer);
    wire_open_ok(&wire);
    feed();
    peer_expect_nothing_sent(peer);
    peer_expect_violation(peer, 0, 0, NULL);
}

Test(handshake, a_malformed_start_is_refused)
{
    struct wire properties = {0};
    wire_entry(&properties, "product", 'S');
    wire_long(&properties, 0xFFFFFFFF);
    peer_start(peer);
    write_start_with(&properties);
    wire_destroy(&properties);
    feed();
    peer_expect_violation(peer, 502, 0, NULL);
}

/* rabbitmq-c's decoder has no limit of its own. */
Test(handshake, server_properties_nested_21000_deep_do_no_harm)
{
    struct wire properties = {0};
    wire_nested_tables(&properties, 21000);
    peer_start(peer);
    write_start_with(&properties);
    wire_destroy(&properties);
    feed();
    peer_expect_violation(peer, 0, 0, NULL);
}

Test(handshake, a_frame_over_our_size_is_refused_before_it_arrives)
{
    peer_start(peer);
    wire_octet(&wire, WIRE_METHOD);
    wire_short(&wire, 0);
    wire_long(&wire, SESSION_FRAME_MAX - WIRE_FRAME_OVERHEAD + 1);
    feed();
    peer_expect_violation(peer, 501, 0, "frame");
}

/* --- Options at their limits ----------------------------------------------------------------------------*/

/* A password of so many bytes, for a login; static. */
static struct session_options login_with(size_t size)
{
    static char password[10001];
    struct session_options options = peer_options();
    memset(password, 't', size);
    password[size] = '\0';
    options.password = password;
    return options;
}

static struct peer_frame login_frame(void)
{
    struct peer_frame frame;
    peer_start(peer);
    wire_start(&wire, "PLAIN");
    feed();
    cr_assert(peer_next_frame(peer, &frame), "%s", peer_log(peer));
    return frame;
}

/* What RabbitMQ takes from 4.1 on. */
Test(handshake, a_login_may_have_8192_bytes_and_no_more)
{
    struct session_options options = login_with(4000);
    replace_peer(&options);
    size_t around = login_frame().size + WIRE_FRAME_OVERHEAD - 4000;
    options = login_with(SESSION_LOGIN_MAX - around);
    replace_peer(&options);
    cr_assert_eq(login_frame().size + WIRE_FRAME_OVERHEAD, SESSION_LOGIN_MAX);
    cr_assert_eq(session_state(peer->session), SESSION_TUNING);

    options = login_with(SESSION_LOGIN_MAX - around + 1);
    replace_peer(&options);
    peer_start(peer);
    wire_start(&wire, "PLAIN");
    feed();
    peer_expect_closed(peer, SESSION_END_LOCAL, 0, "too long together");
    peer_expect_nothing_sent(peer);
}

/* It hangs up, and says nothing. */
Test(handshake, an_end_after_a_login_that_older_brokers_do_not_take_says_so)
{
    for (size_t size = 100; size < 6000; size += 5000) {
        struct session_options options = login_with(size);
        replace_peer(&options);
        login_frame();
        session_abort(peer->session, "Connection reset by peer");
        peer_expect_closed(peer, SESSION_END_LOCAL, 0, "Connection reset by peer");
        bool explained = strstr(peer->closing.text.data, "RabbitMQ before 4.1 hangs up") != NULL;
        cr_assert_eq(explained, size > 4096, "%s", (const char *)peer->closing.text.data);
    }
}

/* Until tuned, no peer takes more. */
Test(handshake, nothing_it_sends_before_tuning_is_over_the_size_of_a_login)
{
    char name[10001];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    struct session_options options = peer_options();
    options.connection_name = name;
    replace_peer(&options);
    peer_start(peer);
    wire_start(&wire, "PLAIN");
    feed();
    struct peer_frame frame;
    while (peer_next_frame(peer, &frame))
        cr_assert_leq(frame.size + WIRE_FRAME_OVERHEAD, SESSION_LOGIN_MAX, "a frame of %zu bytes",
                      frame.size);
}

Test(handshake, a_virtual_host_that_does_not_fit_ends_it_in_words)
{
    char vhost[301];
    memset(vhost, 'v', sizeof vhost);
    vhost[sizeof vhost - 1] = '\0';
    struct session_options options = peer_options();
    options.vhost = vhost;
    replace_peer(&options);
    peer_reach_tuning(peer);
    wire_tune(&wire, 2047, 131072, 60);
    feed();
    peer_expect_closed(peer, SESSION_END_LOCAL, peer->closing.code, "virtual host");
}

Test(handshake, requests_before_it_is_open_are_refused)
{
    uint16_t channel;
    reach_state *const states[] = {peer_start, peer_reach_tuning, peer_reach_opening};
    cr_assert_eq(session_channel_open(peer->session, &channel), WHIPPET_E_CLOSED);
    cr_assert_eq(session_ack(peer->session, 1, 1, false), WHIPPET_E_CLOSED);
    for (size_t i = 0; i < 3; i++) {
        struct session_options options = peer_options();
        replace_peer(&options);
        states[i](peer);
        cr_assert_eq(session_channel_open(peer->session, &channel), WHIPPET_E_CLOSED);
        cr_assert_eq(session_qos(peer->session, 1, 10), WHIPPET_E_CLOSED);
        cr_assert_eq(session_publish(peer->session, 1, "", "q", bytes_of("\0\0", 2), (whippet_bytes){0}),
                     WHIPPET_E_CLOSED);
        peer_expect_nothing_sent(peer);
    }
}
