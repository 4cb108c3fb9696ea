/* TLS over a socket pair: the handshake, whom we trust, and the bytes. */
#include "io_testing.h"
#include <certificate.h>
#include <errno.h>
#include <io/tls.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <tls_peer.h>

/* --- Both ends ------------------------------------------------------------------------------------------*/

static char folder[64], ca_file[80];
static struct certificate authority, server;
static struct tls_options options;
static struct tls_peer_options peer_options;
static int ends[2]; /* ours, which the transport owns from the handshake on; the peer's */
static struct tls *tls;
static struct tls_peer *peer;
static struct transport *transport;
static struct whippet_failure failure;
static enum tls_option culprit;
static const char *host = "broker.example";
static double time_limit;
static bool opened; /* the handshake came to its end, one way or the other */
static whippet_task *opening;

static const char *path(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *text = paths[next++ % 8];
    snprintf(text, 128, "%s/%s", folder, name);
    return text;
}

static void write_text(const char *file, const char *text)
{
    FILE *stream = fopen(file, "w");
    cr_assert_not_null(stream);
    fputs(text, stream);
    fclose(stream);
}

static void open_all(void)
{
    signal(SIGPIPE, SIG_DFL);
    rig_open();
    snprintf(folder, sizeof folder, "/tmp/whippet-tls.XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    authority = certificate_authority("CA of the test");
    server = certificate_valid(&authority, "DNS:broker.example,IP:127.0.0.1,IP:::1");
    snprintf(ca_file, sizeof ca_file, "%s/ca.pem", folder);
    certificate_write(&authority, ca_file);
    options = (struct tls_options){.ca = ca_file};
    peer_options = (struct tls_peer_options){.certificate = &server};
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    time_limit = 20;
}

static void clear_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

static void close_all(void)
{
    memory_permit = NULL;
    rig_until(loop_scheduler(rig.loop)->tasks == 0);
    transport_destroy(transport);
    tls_peer_destroy(peer);
    tls_destroy(tls);
    if (ends[1] >= 0)
        close(ends[1]);
    certificate_destroy(&server);
    certificate_destroy(&authority);
    clear_folder();
    rig_close();
}

TestSuite(tls, .init = open_all, .fini = close_all, .timeout = 180);

static void create(void)
{
    tls = tls_create(&options, &culprit, &failure);
    cr_assert_not_null(tls, "%s", failure.text);
}

static int open_within(whippet_task *task, void *arg)
{
    (void)arg;
    transport = tls_open(task, tls, ends[0], host, &failure);
    return 0;
}

static int open_main(whippet_task *task, void *arg)
{
    whippet_with_timeout(task, time_limit, open_within, arg);
    opened = true;
    opening = NULL;
    return 0;
}

static void begin_opening(void)
{
    bool started;
    if (tls == NULL)
        create();
    opened = false;
    loop_refresh_now(rig.loop);
    opening = task_start(loop_scheduler(rig.loop), open_main, NULL, INFINITY, NULL, NULL, &started);
    cr_assert(started);
}

/* Both sides, until ours is done. */
static void shake_hands(void)
{
    char data[16];
    peer = tls_peer_create(ends[1], &peer_options);
    begin_opening();
    while (!opened) {
        rig_turn();
        tls_peer_receive(peer, data, sizeof data);
        tls_peer_flush(peer);
    }
}

static void shake_hands_well(void)
{
    shake_hands();
    cr_assert_not_null(transport, "%s", failure.text);
    for (int i = 0; i < 1000 && !tls_peer_is_open(peer); i++)
        tls_peer_receive(peer, (char[1]){0}, 1);
    cr_assert(tls_peer_is_open(peer));
}

static void assert_refused(const char *words)
{
    cr_assert_null(transport, "the handshake went well");
    cr_assert_not_null(strstr(failure.text, words), "%s", failure.text);
    cr_assert_eq(fcntl(ends[0], F_GETFD), -1, "the descriptor is still open");
}

static ssize_t read_some(void *data, size_t size)
{
    return transport->kind->read(transport, data, size, &failure);
}

static ssize_t write_some(const void *data, size_t size)
{
    return transport->kind->write(transport, data, size, &failure);
}

/* --- Shaking hands --------------------------------------------------------------------------------------*/

static void assert_carries_both_ways(void)
{
    char data[8] = "";
    cr_assert_eq(write_some("ping", 4), 4);
    cr_assert_eq(tls_peer_receive(peer, data, sizeof data), 4);
    cr_assert(memcmp(data, "ping", 4) == 0);
    cr_assert_eq(tls_peer_send(peer, "pong", 4), 4);
    cr_assert_eq(read_some(data, sizeof data), 4);
    cr_assert(memcmp(data, "pong", 4) == 0);
    cr_assert_eq(read_some(data, sizeof data), TRANSPORT_AGAIN);
}

Test(tls, carries_bytes_both_ways)
{
    shake_hands_well();
    cr_assert_str_eq(SSL_get_version(peer->ssl), "TLSv1.3");
    assert_carries_both_ways();
}

Test(tls, speaks_1_2_where_the_broker_has_nothing_newer)
{
    peer_options.version_max = TLS1_2_VERSION;
    shake_hands_well();
    cr_assert_str_eq(SSL_get_version(peer->ssl), "TLSv1.2");
    assert_carries_both_ways();
}

Test(tls, says_that_a_broker_with_nothing_but_1_1_is_too_old)
{
    peer_options.version_max = TLS1_1_VERSION;
    shake_hands();
    assert_refused("no TLS 1.2 or later");
}

Test(tls, shakes_hands_with_a_peer_that_trickles_one_byte_at_a_time)
{
    char data[16];
    peer = tls_peer_create(ends[1], &peer_options);
    peer->trickles = true;
    begin_opening();
    while (!opened) {
        rig_step();
        tls_peer_receive(peer, data, sizeof data);
    }
    cr_assert_not_null(transport, "%s", failure.text);
}

Test(tls, gives_a_peer_that_never_answers_up_within_the_deadline)
{
    time_limit = 0.05;
    begin_opening();
    rig_until(opened);
    assert_refused("did not finish the TLS handshake in time");
    cr_assert_eq(failure.error, WHIPPET_E_TIMEOUT);
}

Test(tls, ends_when_it_is_cancelled_in_the_middle_of_the_handshake)
{
    begin_opening();
    rig_settle_down();
    task_cancel(opening);
    rig_until(opened);
    assert_refused("cancelled");
    cr_assert_eq(failure.error, WHIPPET_E_CANCELLED);
}

static void assert_explained(const char *answer, const char *words)
{
    char hello[4096];
    begin_opening();
    rig_settle_down();
    cr_assert_gt(read(ends[1], hello, sizeof hello), 0);
    cr_assert_eq(write(ends[1], answer, strlen(answer)), (ssize_t)strlen(answer));
    close(ends[1]);
    ends[1] = -1;
    rig_until(opened);
    assert_refused(words);
}

Test(tls, says_that_the_broker_speaks_amqp_without_tls)
{
    assert_explained("AMQP\1\1\1\1\11\1\1\1\1", "AMQP without TLS");
}

Test(tls, says_that_the_server_speaks_http)
{
    assert_explained("HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP");
}

Test(tls, says_that_the_server_speaks_something_else)
{
    assert_explained("220 mail.example ESMTP\r\n", "does not speak TLS");
}

Test(tls, says_that_the_server_hung_up_during_the_handshake)
{
    assert_explained("", "hung up during the TLS handshake");
}

/* --- Whom we trust --------------------------------------------------------------------------------------*/

static void reissue(const char *alternatives)
{
    certificate_destroy(&server);
    server = certificate_valid(&authority, alternatives);
}

Test(tls, tells_the_broker_the_name_that_it_was_dialled_by)
{
    shake_hands_well();
    cr_assert_str_eq(tls_peer_name_asked_for(peer), "broker.example");
}

Test(tls, takes_an_address_that_is_in_the_certificate_and_tells_no_name_then)
{
    host = "127.0.0.1";
    shake_hands_well();
    cr_assert_null(tls_peer_name_asked_for(peer));
}

Test(tls, takes_an_ipv6_address_that_is_in_the_certificate)
{
    host = "::1";
    shake_hands_well();
}

Test(tls, refuses_an_address_that_is_not_in_the_certificate)
{
    host = "127.0.0.2";
    shake_hands();
    assert_refused("not for \"127.0.0.2\" but for broker.example, 127.0.0.1, ::1");
}

Test(tls, refuses_a_certificate_for_another_name_and_says_for_which)
{
    host = "other.example";
    shake_hands();
    assert_refused("not for \"other.example\" but for broker.example");
    cr_assert_not_null(strstr(failure.text, "amqp.tls.server_name"), "%s", failure.text);
}

Test(tls, refuses_a_certificate_for_no_name_at_all)
{
    reissue(NULL);
    shake_hands();
    assert_refused("for no name at all");
}

/* An iPAddress of one octet, of which OpenSSL takes any number. */
Test(tls, refuses_a_certificate_for_an_address_that_is_none)
{
    certificate_destroy(&server);
    server = certificate_valid(&authority, "DER:30:03:87:01:7F");
    shake_hands();
    assert_refused("an address that is none");
}

Test(tls, expects_the_server_name_of_the_options_in_place_of_the_host)
{
    host = "10.1.2.3";
    options.server_name = "broker.example";
    shake_hands_well();
    cr_assert_str_eq(tls_peer_name_asked_for(peer), "broker.example");
}

Test(tls, refuses_an_expired_certificate)
{
    certificate_destroy(&server);
    server = certificate_issue(&authority, "DNS:broker.example", -7200, -3600);
    shake_hands();
    assert_refused("has expired");
}

Test(tls, refuses_a_certificate_that_is_not_valid_yet)
{
    certificate_destroy(&server);
    server = certificate_issue(&authority, "DNS:broker.example", 3600, 7200);
    shake_hands();
    assert_refused("not yet valid");
}

Test(tls, refuses_a_certificate_that_signed_itself)
{
    certificate_destroy(&server);
    server = certificate_valid(NULL, "DNS:broker.example");
    shake_hands();
    assert_refused("from nobody that is trusted");
}

Test(tls, refuses_a_certificate_of_a_ca_that_the_system_does_not_know)
{
    options.ca = NULL;
    shake_hands();
    assert_refused("amqp.tls.ca");
}

Test(tls, takes_any_certificate_where_verification_is_off)
{
    certificate_destroy(&server);
    server = certificate_issue(NULL, "DNS:other.example", -7200, -3600);
    options.skips_verification = true;
    options.ca = NULL;
    shake_hands_well();
}

/* --- What we show ---------------------------------------------------------------------------------------*/

/* Writes a client's certificate and key, and names both in the options. */
static void make_client(const char *password)
{
    struct certificate client = certificate_valid(&authority, NULL);
    certificate_write(&client, path("client.pem"));
    certificate_write_key(&client, path("client-key.pem"), password);
    certificate_destroy(&client);
    options.certificate = path("client.pem");
    options.key = path("client-key.pem");
}

Test(tls, shows_its_certificate_to_a_broker_that_asks_for_one)
{
    make_client(NULL);
    peer_options.client = &authority;
    shake_hands_well();
    X509 *shown = SSL_get1_peer_certificate(peer->ssl);
    cr_assert_not_null(shown);
    X509_free(shown);
    assert_carries_both_ways();
}

/* The broker's refusal comes behind our end of the handshake in TLS 1.3, and within it in 1.2. */
Test(tls, says_that_the_broker_asks_for_a_certificate_of_ours)
{
    peer_options.client = &authority;
    shake_hands();
    cr_assert_not_null(transport, "%s", failure.text);
    cr_assert_eq(read_some((char[8]){0}, 8), TRANSPORT_FAILED);
    cr_assert_not_null(strstr(failure.text, "asks for a client certificate"), "%s", failure.text);
}

Test(tls, says_that_a_broker_with_1_2_asks_for_a_certificate_of_ours)
{
    peer_options.version_max = TLS1_2_VERSION;
    peer_options.client = &authority;
    shake_hands();
    assert_refused("asks for a client certificate");
}

/* OpenSSL finds fault with the broker's certificate all the same, which is not why it failed. */
Test(tls, says_that_a_broker_with_1_2_asks_for_a_certificate_of_ours_where_verification_is_off)
{
    certificate_destroy(&server);
    server = certificate_issue(NULL, "DNS:other.example", -7200, -3600);
    options.skips_verification = true;
    options.ca = NULL;
    peer_options.version_max = TLS1_2_VERSION;
    peer_options.client = &authority;
    shake_hands();
    assert_refused("asks for a client certificate");
}

Test(tls, says_that_the_broker_does_not_trust_our_certificate)
{
    struct certificate other = certificate_authority("another CA");
    make_client(NULL);
    peer_options.client = &other;
    shake_hands();
    cr_assert_not_null(transport, "%s", failure.text);
    cr_assert_eq(read_some((char[8]){0}, 8), TRANSPORT_FAILED);
    cr_assert_not_null(strstr(failure.text, "does not trust the CA of our certificate"), "%s", failure.text);
    certificate_destroy(&other);
}

Test(tls, opens_an_encrypted_key_with_the_password_of_a_file)
{
    make_client("s3cr3t");
    write_text(path("password"), "s3cr3t\n");
    options.key_password_file = path("password");
    peer_options.client = &authority;
    shake_hands_well();
}

/* --- Files that can't be used ---------------------------------------------------------------------------*/

static void assert_unusable(enum tls_option option, const char *words)
{
    cr_assert_null(tls_create(&options, &culprit, &failure));
    cr_assert_eq(culprit, option, "%s", failure.text);
    cr_assert_not_null(strstr(failure.text, words), "%s", failure.text);
    cr_assert_null(strstr(failure.text, "s3cr3t"), "%s", failure.text);
}

Test(tls, refuses_a_ca_that_is_missing)
{
    options.ca = path("missing.pem");
    assert_unusable(TLS_OPTION_CA, "missing.pem\" can't be read: No such file");
}

Test(tls, refuses_a_ca_that_is_a_folder)
{
    options.ca = folder;
    assert_unusable(TLS_OPTION_CA, "is a folder");
}

Test(tls, refuses_a_ca_without_a_certificate)
{
    write_text(path("empty.pem"), "");
    options.ca = path("empty.pem");
    assert_unusable(TLS_OPTION_CA, "is empty");
    write_text(path("text.pem"), "no certificate\n");
    options.ca = path("text.pem");
    assert_unusable(TLS_OPTION_CA, "holds no certificate");
}

Test(tls, refuses_a_certificate_that_is_none)
{
    make_client(NULL);
    options.certificate = options.key;
    assert_unusable(TLS_OPTION_CERTIFICATE, "holds no certificate that can be used");
}

Test(tls, refuses_a_key_that_is_none)
{
    make_client(NULL);
    options.key = options.certificate;
    assert_unusable(TLS_OPTION_KEY, "holds no private key");
}

Test(tls, refuses_a_key_of_another_certificate)
{
    make_client(NULL);
    certificate_write_key(&server, path("other-key.pem"), NULL);
    options.key = path("other-key.pem");
    assert_unusable(TLS_OPTION_KEY, "is not the key of the certificate");
}

Test(tls, refuses_an_encrypted_key_without_a_password)
{
    make_client("s3cr3t");
    assert_unusable(TLS_OPTION_KEY, "amqp.tls.key_password_file");
}

Test(tls, refuses_a_password_that_does_not_open_the_key)
{
    make_client("s3cr3t");
    write_text(path("password"), "s3cr3t2");
    options.key_password_file = path("password");
    assert_unusable(TLS_OPTION_KEY_PASSWORD_FILE, "does not open the key");
}

Test(tls, refuses_a_file_of_the_keys_password_that_is_missing)
{
    make_client("s3cr3t");
    options.key_password_file = path("missing");
    assert_unusable(TLS_OPTION_KEY_PASSWORD_FILE, "No such file");
}

/* --- Files that change ----------------------------------------------------------------------------------*/

static bool refreshed;
static int refresh_result;

static int refresh_main(whippet_task *task, void *arg)
{
    (void)arg;
    refresh_result = tls_refresh(task, tls, &culprit, &failure);
    refreshed = true;
    return 0;
}

static void refresh(void)
{
    bool started;
    refreshed = false;
    task_start(loop_scheduler(rig.loop), refresh_main, NULL, INFINITY, NULL, NULL, &started);
    rig_until(refreshed);
}

Test(tls, trusts_the_new_ca_once_the_files_were_read_again)
{
    struct certificate next = certificate_authority("the next CA");
    create();
    certificate_write(&next, ca_file);
    refresh();
    cr_assert_eq(refresh_result, 0, "%s", failure.text);
    certificate_destroy(&server);
    server = certificate_valid(&next, "DNS:broker.example");
    certificate_destroy(&next);
    shake_hands_well();
}

Test(tls, keeps_what_it_has_where_the_new_files_are_broken)
{
    create();
    write_text(ca_file, "half a certi");
    refresh();
    cr_assert_eq(refresh_result, WHIPPET_E_INVALID);
    cr_assert_eq(culprit, TLS_OPTION_CA);
    cr_assert_not_null(strstr(failure.text, "holds no certificate"), "%s", failure.text);
    shake_hands_well();
}

/* --- The end --------------------------------------------------------------------------------------------*/

Test(tls, says_closed_once_the_peer_has_said_goodbye_and_all_was_read)
{
    char data[8];
    shake_hands_well();
    cr_assert_eq(tls_peer_send(peer, "last", 4), 4);
    tls_peer_say_goodbye(peer);
    cr_assert_eq(read_some(data, sizeof data), 4);
    cr_assert(transport->has_more, "nothing tells that the end is to be read");
    cr_assert_eq(read_some(data, sizeof data), TRANSPORT_CLOSED);
}

Test(tls, tells_an_end_without_a_goodbye_from_one_with_it)
{
    char data[8];
    shake_hands_well();
    cr_assert_eq(tls_peer_send(peer, "last", 4), 4);
    close(ends[1]);
    ends[1] = -1;
    cr_assert_eq(read_some(data, sizeof data), 4);
    cr_assert_eq(read_some(data, sizeof data), TRANSPORT_FAILED);
    cr_assert_not_null(strstr(failure.text, "cut off"), "%s", failure.text);
}

Test(tls, says_goodbye_itself)
{
    char data[8];
    shake_hands_well();
    transport_destroy(transport);
    transport = NULL;
    cr_assert_eq(tls_peer_receive(peer, data, sizeof data), 0);
    cr_assert_eq(fcntl(ends[0], F_GETFD), -1);
}

Test(tls, says_why_writing_failed_and_raises_no_signal)
{
    shake_hands_well();
    close(ends[1]);
    ends[1] = -1;
    cr_assert_eq(write_some("x", 1), TRANSPORT_FAILED);
    cr_assert_not_null(strstr(failure.text, strerror(EPIPE)), "%s", failure.text);
}

Test(tls, fails_at_a_record_that_was_tampered_with)
{
    char garbage[64] = {23, 3, 3, 0, 40};
    shake_hands_well();
    cr_assert_eq(write(ends[1], garbage, 45), 45);
    cr_assert_eq(read_some(garbage, sizeof garbage), TRANSPORT_FAILED);
    cr_assert_not_null(strstr(failure.text, "TLS broke"), "%s", failure.text);
    cr_assert_eq(read_some(garbage, sizeof garbage), TRANSPORT_FAILED);
}

/* --- Much at a time -------------------------------------------------------------------------------------*/

enum {
    MUCH = 3000000
};

static char *much(void)
{
    char *data = malloc(MUCH);
    for (size_t i = 0; i < MUCH; i++)
        data[i] = (char)(i * 7 + i / 1000);
    return data;
}

Test(tls, sends_all_of_much_to_a_peer_that_takes_little_at_a_time)
{
    char *data = much(), *arrived = malloc(MUCH);
    size_t sent = 0, received = 0, again = 0;
    shake_hands_well();
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &(int){2048}, sizeof(int));
    while (received < MUCH) {
        ssize_t count = sent < MUCH ? write_some(data + sent, MUCH - sent) : TRANSPORT_AGAIN;
        cr_assert(count > 0 || count == TRANSPORT_AGAIN, "%s", failure.text);
        again += count == TRANSPORT_AGAIN;
        sent += count > 0 ? (size_t)count : 0;
        count = tls_peer_receive(peer, arrived + received, MUCH - received);
        received += count > 0 ? (size_t)count : 0;
    }
    cr_assert_gt(again, 0, "the socket took it all at once");
    cr_assert(memcmp(data, arrived, MUCH) == 0, "it arrived otherwise");
    free(data);
    free(arrived);
}

/* Reads `size` bytes at a time until nothing is left, as the readiness of the socket and has_more say. */
static void read_much(size_t size)
{
    char *data = much(), *arrived = malloc(MUCH + size);
    size_t sent = 0, received = 0;
    shake_hands_well();
    while (received < MUCH) {
        ssize_t count = sent < MUCH ? tls_peer_send(peer, data + sent, MUCH - sent) : -1;
        sent += count > 0 ? (size_t)count : 0;
        tls_peer_flush(peer);
        bool ready = recv(ends[0], (char[1]){0}, 1, MSG_PEEK) == 1;
        cr_assert(ready || transport->has_more || sent < MUCH, "%zu of %d bytes are lost in between",
                  received, MUCH);
        count = read_some(arrived + received, size);
        cr_assert(count > 0 || count == TRANSPORT_AGAIN, "%s", failure.text);
        received += count > 0 ? (size_t)count : 0;
    }
    cr_assert(memcmp(data, arrived, MUCH) == 0, "it arrived otherwise");
    free(data);
    free(arrived);
}

Test(tls, takes_many_records_at_a_time)
{
    read_much(262144);
}

Test(tls, says_that_there_is_more_where_a_read_takes_less_than_there_is)
{
    read_much(1000);
}

Test(tls, goes_on_when_the_peer_changes_its_keys)
{
    char data[8];
    shake_hands_well();
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(SSL_key_update(peer->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        cr_assert_eq(tls_peer_send(peer, "pong", 4), 4);
        cr_assert_eq(read_some(data, sizeof data), 4);
        assert_carries_both_ways();
    }
}

/* Our answer to the peer's change of keys has to wait then. */
Test(tls, takes_a_change_of_keys_while_the_socket_takes_nothing)
{
    char *data = much(), *arrived = malloc(MUCH + 16), pong[8];
    size_t sent = 0, received = 0;
    ssize_t count;
    shake_hands_well();
    while ((count = write_some(data + sent, MUCH - sent)) > 0)
        sent += (size_t)count;
    cr_assert_eq(count, TRANSPORT_AGAIN);
    cr_assert_eq(SSL_key_update(peer->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    cr_assert_eq(tls_peer_send(peer, "pong", 4), 4);
    for (int i = 0; i < 100 && (count = read_some(pong, sizeof pong)) == TRANSPORT_AGAIN && received < MUCH;
         i++) {
        ssize_t taken = tls_peer_receive(peer, arrived + received, MUCH - received);
        received += taken > 0 ? (size_t)taken : 0;
    }
    cr_assert_eq(count, 4, "%s", failure.text);
    while (received < MUCH) {
        count = sent < MUCH ? write_some(data + sent, MUCH - sent) : 0;
        cr_assert(count >= 0 || count == TRANSPORT_AGAIN, "%s", failure.text);
        sent += count > 0 ? (size_t)count : 0;
        count = tls_peer_receive(peer, arrived + received, MUCH - received);
        received += count > 0 ? (size_t)count : 0;
    }
    cr_assert(memcmp(data, arrived, MUCH) == 0, "it arrived otherwise");
    free(data);
    free(arrived);
}

/* --- Without memory -------------------------------------------------------------------------------------*/

static bool never(size_t size)
{
    (void)size;
    return false;
}

Test(tls, says_so_where_memory_is_short)
{
    memory_permit = never;
    cr_assert_null(tls_create(&options, &culprit, &failure));
    cr_assert_eq(failure.error, WHIPPET_E_MEMORY);
}

static int open_without_memory(whippet_task *task, void *arg)
{
    (void)arg;
    memory_permit = never;
    transport = tls_open(task, tls, ends[0], host, &failure);
    memory_permit = NULL;
    opened = true;
    return 0;
}

Test(tls, closes_the_descriptor_also_where_memory_is_short)
{
    bool started;
    create();
    task_start(loop_scheduler(rig.loop), open_without_memory, NULL, INFINITY, NULL, NULL, &started);
    rig_until(opened);
    assert_refused("out of memory");
}
