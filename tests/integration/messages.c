/* What a processor sees of a message, and what is too large to be seen. */
#include "stage.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(messages, .init = stage_open, .fini = stage_close, .timeout = 300);

enum {
    KIB = 1024,
    MIB = 1024 * 1024
};

static struct worker *start_inspector(const char *queue, const char *more)
{
    struct worker *worker =
        worker_start("", "[{'name': '%s', 'processor': 'inspect', 'settings': {'path': '%s'}%s}]", queue,
                     stage_path("seen"), more);

    worker_await_consuming(worker, queue);
    return worker;
}

/* What the inspect processor wrote, once it is `count` messages; the caller frees it. */
static char *read_seen(unsigned count)
{
    char *text = NULL;
    size_t size = 0;
    unsigned found = 0;
    double deadline = patience_deadline(60);

    while (found < count) {
        FILE *file = fopen(stage_path("seen"), "re");
        free(text);
        text = NULL;
        size = 0;
        if (file && getdelim(&text, &size, '\0', file) > 0) {
            found = 0;
            for (const char *end = text; (end = strstr(end, "\n.\n")) != NULL; end++) {
                found++;
            }
        }
        if (file) {
            fclose(file);
        }
        cr_assert(found >= count || patience_now() < deadline, "waited in vain for %u messages", count);
        patience_pause();
    }
    return text;
}

static void assert_seen(const char *text, const char *line)
{
    cr_expect(strstr(text, line), "there is no \"%s\" in:\n%s", line, text);
}

/* As tests/plugins/inspect.c computes it. */
static uint64_t digest(const char *data, size_t length)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)data[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

/* A body in which no two frames are alike, with every byte value; the caller frees it. */
static char *make_body(size_t length)
{
    char *body = malloc(length);
    uint32_t state = 2463534242u;

    cr_assert_not_null(body, "out of memory");
    for (size_t i = 0; i < length; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        body[i] = (char)state;
    }
    return body;
}

static void send_body(const char *queue, const char *id, const char *body, size_t length)
{
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_MESSAGE_ID_FLAG,
                                          .message_id = amqp_cstring_bytes(id)};

    client_publish(stage_client(), "", queue, &properties,
                   (amqp_bytes_t){.len = length, .bytes = (char *)body});
}

static void assert_body_arrives(size_t length)
{
    const char *queue = stage_name("body");
    struct worker *worker = start_inspector(queue, "");
    char *body = make_body(length), expected[64], *seen;

    send_body(queue, "m", body, length);
    seen = read_seen(1);
    snprintf(expected, sizeof(expected), "body=%zu bytes, digest %016" PRIx64 "\n", length,
             digest(body, length));
    assert_seen(seen, expected);
    free(seen);
    free(body);
    worker_stop(worker, 10);
}

Test(messages, arrive_with_every_property)
{
    const char *queue = stage_name("properties");
    struct worker *worker = start_inspector(queue, "");
    amqp_basic_properties_t properties = {
        ._flags = 0xffffu & ~AMQP_BASIC_HEADERS_FLAG & ~AMQP_BASIC_CLUSTER_ID_FLAG & 0xfffcu,
        .content_type = amqp_cstring_bytes("text/plain; charset=utf-8"),
        .content_encoding = amqp_cstring_bytes("gzip"),
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .priority = 7,
        .correlation_id = amqp_cstring_bytes("correlation 1"),
        .reply_to = amqp_cstring_bytes("answers"),
        .expiration = amqp_cstring_bytes("3600000"),
        .message_id = amqp_cstring_bytes("message 1"),
        .timestamp = 4102444800,
        .type = amqp_cstring_bytes("order.created"),
        .user_id = amqp_cstring_bytes("guest"),
        .app_id = amqp_cstring_bytes("shop"),
    };
    char expected[256], *seen;

    client_publish(stage_client(), "", queue, &properties, amqp_cstring_bytes("body"));
    seen = read_seen(1);
    snprintf(expected, sizeof(expected), "exchange=\nrouting_key=%s\nqueue=%s\n", queue, queue);
    assert_seen(seen, expected);
    assert_seen(seen, "content_type=text/plain; charset=utf-8\ncontent_encoding=gzip\nmessage_id=message 1\n"
                      "correlation_id=correlation 1\nreply_to=answers\ntype=order.created\nuser_id=guest\n"
                      "app_id=shop\nexpiration=3600000\ntimestamp=4102444800\npriority=7\npersistent=1\n"
                      "redelivered=0\nattempt=1 of 5\n");
    free(seen);
    worker_stop(worker, 20);
}

Test(messages, arrive_without_any_property)
{
    const char *queue = stage_name("bare");
    struct worker *worker = start_inspector(queue, "");
    char *seen;

    client_publish(stage_client(), "", queue, NULL, amqp_empty_bytes);
    seen = read_seen(1);
    assert_seen(seen,
                "content_type absent\ncontent_encoding absent\nmessage_id absent\ncorrelation_id absent\n"
                "reply_to absent\ntype absent\nuser_id absent\napp_id absent\nexpiration absent\n"
                "timestamp=0\npriority=0\npersistent=0\n");
    assert_seen(seen, "body=0 bytes");
    assert_seen(seen, "no such header: kind 0\n");
    free(seen);
    worker_stop(worker, 20);
}

static amqp_table_entry_t header(const char *name, uint8_t kind)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(name), .value = {.kind = kind}};
}

Test(messages, arrive_with_headers_of_every_type)
{
    const char *queue = stage_name("headers");
    struct worker *worker = start_inspector(queue, "");
    amqp_field_value_t items[] = {{.kind = AMQP_FIELD_KIND_I32, .value.i32 = 1},
                                  {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("two")}};
    amqp_table_entry_t inner[] = {header("key", AMQP_FIELD_KIND_I64)};
    amqp_table_entry_t entries[] = {
        header("boolean", AMQP_FIELD_KIND_BOOLEAN), header("i8", AMQP_FIELD_KIND_I8),
        header("i16", AMQP_FIELD_KIND_I16),         header("i32", AMQP_FIELD_KIND_I32),
        header("i64", AMQP_FIELD_KIND_I64),         header("u8", AMQP_FIELD_KIND_U8),
        header("u16", AMQP_FIELD_KIND_U16),         header("u32", AMQP_FIELD_KIND_U32),
        header("f32", AMQP_FIELD_KIND_F32),         header("f64", AMQP_FIELD_KIND_F64),
        header("decimal", AMQP_FIELD_KIND_DECIMAL), header("text", AMQP_FIELD_KIND_UTF8),
        header("binary", AMQP_FIELD_KIND_BYTES),    header("timestamp", AMQP_FIELD_KIND_TIMESTAMP),
        header("void", AMQP_FIELD_KIND_VOID),       header("array", AMQP_FIELD_KIND_ARRAY),
        header("table", AMQP_FIELD_KIND_TABLE),
    };
    enum {
        COUNT = sizeof(entries) / sizeof(entries[0])
    };
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_HEADERS_FLAG,
                                          .headers = {.num_entries = COUNT, .entries = entries}};
    char *seen;

    inner[0].value.value.i64 = 42;
    entries[0].value.value.boolean = 1;
    entries[1].value.value.i8 = -8;
    entries[2].value.value.i16 = -16000;
    entries[3].value.value.i32 = -2000000000;
    entries[4].value.value.i64 = INT64_MIN;
    entries[5].value.value.u8 = 200;
    entries[6].value.value.u16 = 60000;
    entries[7].value.value.u32 = 4000000000u;
    entries[8].value.value.f32 = 1.5F;
    entries[9].value.value.f64 = -2.25;
    entries[10].value.value.decimal = (amqp_decimal_t){.decimals = 2, .value = 12345};
    entries[11].value.value.bytes = amqp_cstring_bytes("gr\xc3\xbc\xc3\x9f");
    entries[12].value.value.bytes = amqp_cstring_bytes("raw bytes");
    entries[13].value.value.u64 = 1700000000;
    entries[15].value.value.array = (amqp_array_t){.num_entries = 2, .entries = items};
    entries[16].value.value.table = (amqp_table_t){.num_entries = 1, .entries = inner};
    client_publish(stage_client(), "", queue, &properties, amqp_empty_bytes);

    seen = read_seen(1);
    /* RabbitMQ 4 sorts them by name. */
    assert_seen(seen, "header boolean=t:true\n");
    assert_seen(seen, "header i8=b:-8\n");
    assert_seen(seen, "header i16=s:-16000\n");
    assert_seen(seen, "header i32=I:-2000000000\n");
    assert_seen(seen, "header i64=l:-9223372036854775808\n");
    assert_seen(seen, "header u8=B:200\n");
    assert_seen(seen, "header u16=u:60000\n");
    assert_seen(seen, "header u32=i:4000000000\n");
    assert_seen(seen, "header f32=f:1.500000\n");
    assert_seen(seen, "header f64=d:-2.250000\n");
    assert_seen(seen, "header decimal=D:12345/10^2\n");
    assert_seen(seen, "header text=S:gr\xc3\xbc\xc3\x9f\n");
    assert_seen(seen, "header binary=x:raw bytes\n");
    assert_seen(seen, "header timestamp=T:1700000000\n");
    assert_seen(seen, "header void=V:null\n");
    assert_seen(seen, "header array=A:[ =I:1 =S:two ]\n");
    assert_seen(seen, "header table=F:[ key=l:42 ]\n");
    free(seen);
    worker_stop(worker, 20);
}

Test(messages, of_one_frame_exactly_arrive_whole)
{
    assert_body_arrives(131072 - 8);
}

Test(messages, of_one_byte_more_than_a_frame_arrive_whole)
{
    assert_body_arrives(131072 - 7);
}

Test(messages, of_16_mib_arrive_whole)
{
    assert_body_arrives(16 * MIB);
}

Test(messages, that_are_too_large_are_dead_lettered_whole_without_being_held)
{
    enum {
        LENGTH = 40 * MIB,
        ROOM = 16 * MIB
    };
    const char *queue = stage_name("large");
    char dead_queue[256], *body = make_body(LENGTH), *reason, *seen;
    struct client_message *dead = NULL;
    struct worker *worker;
    uint64_t before, peak;

    /* Under AddressSanitizer, what was freed must not count. */
    setenv("ASAN_OPTIONS", "quarantine_size_mb=1", 1);
    client_declare(stage_client(), queue, "classic");
    snprintf(dead_queue, sizeof(dead_queue), "%s.dead", queue);
    worker = start_inspector(queue, ", 'max_message_size': '64KiB'");
    before = worker_memory(worker);
    send_body(queue, "large", body, LENGTH);
    send_body(queue, "small", body, 64 * KIB);
    await(60, client_ready(stage_client(), dead_queue) == 1, "the dead letter");
    peak = worker_memory_peak(worker);
    await(5, (dead = client_get(stage_client(), dead_queue)) != NULL, "the dead letter");
    reason = client_header_text(dead, "whippet-reason");
    cr_assert_str_eq(reason, "too-large");
    cr_assert_eq(dead->content.body.len, LENGTH, "%zu bytes", dead->content.body.len);
    cr_assert_eq(memcmp(dead->content.body.bytes, body, LENGTH), 0, "the body is not what was sent");
    cr_assert_lt(peak - before, ROOM, "memory grew by %" PRIu64 " KiB", (peak - before) / KIB);
    seen = read_seen(1);
    assert_seen(seen, "message_id=small\n");
    free(seen);
    free(reason);
    free(body);
    client_message_destroy(dead);
    worker_stop(worker, 10);
    cr_assert_eq(client_ready(stage_client(), queue), 0);
}

/* --- Headers that do not fit a frame --------------------------------------------------------------------*/

/* From within the broker, as the management API and other protocols do: no frame limits it. `size` bytes are
 * in one header. */
static void send_from_within(const char *queue, const char *id, size_t size)
{
    static const char publish[] =
        "X = rabbit_misc:r(<<\"/\">>, exchange, <<>>), "
        "H = [{<<\"long\">>, longstr, binary:copy(<<\"x\">>, %zu)}], "
        "P = {'P_basic', undefined, undefined, H, 2, undefined, undefined, undefined, undefined, <<\"%s\">>, "
        "undefined, undefined, undefined, undefined, undefined}, "
        "C = rabbit_basic:build_content(P, <<\"body\">>), "
        "_ = code:ensure_loaded(mc_amqpl), "
        "case erlang:function_exported(mc_amqpl, message, 3) of "
        "true -> {ok, M} = mc_amqpl:message(X, <<\"%s\">>, C), {ok, E} = rabbit_exchange:lookup(X), "
        "rabbit_queue_type:publish_at_most_once(E, M); "
        "false -> {ok, M} = rabbit_basic:message(X, <<\"%s\">>, C), "
        "rabbit_basic:publish(rabbit_basic:delivery(false, false, M, undefined)), ok end";

    /* It can't always be reached at once. */
    await(20, strstr(broker_eval(stage_broker(), publish, size, id, queue, queue), "ok") != NULL,
          "the broker to publish");
}

static void assert_at_ease(const struct worker *worker)
{
    /* Messages come by the first connection, and do not wait for the second. */
    await(20, worker_said(worker, "connected to") >= 2, "both connections");
    cr_assert_eq(worker_said(worker, "broke the protocol"), 0);
    cr_assert_eq(worker_said(worker, "connected to"), 2, "it connected again");
}

Test(messages, whose_headers_outgrew_a_frame_on_their_way_arrive)
{
    enum {
        AROUND = 12 + 2 + 4 + 5 + 5 + 2 /* of a content header: all but the value, see below */
    };
    const char *queue = stage_name("grown");
    char *value = malloc(131072 - 8 - AROUND), *seen;
    amqp_table_entry_t header = {.key = amqp_cstring_bytes("long"),
                                 .value = {.kind = AMQP_FIELD_KIND_BYTES,
                                           .value.bytes = {.len = 131072 - 8 - AROUND, .bytes = value}}};
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG,
                                          .headers = {.num_entries = 1, .entries = &header},
                                          .message_id = amqp_cstring_bytes("m")};
    struct worker *worker;

    cr_assert_not_null(value, "out of memory");
    memset(value, 'x', 131072 - 8 - AROUND);
    client_declare(stage_client(), queue, "quorum");
    client_publish(stage_client(), "", queue, &properties, amqp_cstring_bytes("body"));
    worker = worker_start(
        "", "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s', 'delay': '120s'}}]", queue,
        stage_path("record"));
    await(20, records_count(stage_path("record"), "begin", "m") == 1, "the first delivery");
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 10, WORKER_ANY_STATUS);

    /* Now the broker adds x-delivery-count. */
    worker = start_inspector(queue, "");
    seen = read_seen(1);
    assert_seen(seen, "message_id=m\n");
    assert_seen(seen, "redelivered=1");
    assert_seen(seen, "header x-delivery-count=l:1\n");
    free(seen);
    free(value);
    assert_at_ease(worker);
    worker_stop(worker, 10);
    cr_assert_eq(client_ready(stage_client(), queue), 0);
}

Test(messages, with_headers_that_exceed_a_frame_arrive)
{
    const char *queue = stage_name("headers");
    struct worker *worker = start_inspector(queue, "");
    char *seen;

    send_from_within(queue, "long", 140 * KIB);
    send_from_within(queue, "longest", MIB - 100);
    seen = read_seen(2);
    assert_seen(seen, "message_id=long\n");
    assert_seen(seen, "message_id=longest\n");
    free(seen);
    assert_at_ease(worker);
    worker_stop(worker, 10);
    cr_assert_eq(worker_counts(worker, queue).acked, 2);
}

Test(messages, with_headers_too_large_to_be_held_are_dead_lettered_without_them)
{
    const char *queue = stage_name("headers");
    struct worker *worker = start_inspector(queue, "");
    struct client_message *dead = NULL;
    char dead_queue[256], *reason, *error, *seen;

    snprintf(dead_queue, sizeof(dead_queue), "%s.dead", queue);
    send_from_within(queue, "huge", 2 * MIB);
    client_send(stage_client(), queue, "small", "");
    await(20, (dead = client_get(stage_client(), dead_queue)) != NULL, "the dead letter");
    reason = client_header_text(dead, "whippet-reason");
    error = client_header_text(dead, "whippet-error");
    cr_assert_str_eq(reason, "too-large");
    cr_assert_not_null(strstr(error, "headers of 2097"), "%s", error);
    cr_assert_null(client_header(dead, "long"));
    cr_assert(dead->content.body.len == 4 && memcmp(dead->content.body.bytes, "body", 4) == 0);
    cr_assert_eq(dead->content.properties.delivery_mode, AMQP_DELIVERY_PERSISTENT);
    seen = read_seen(1);
    assert_seen(seen, "message_id=small\n");
    free(seen);
    free(reason);
    free(error);
    client_message_destroy(dead);
    worker_stop(worker, 10);
    cr_assert_eq(worker_said(worker, "broke the protocol"), 0);
    cr_assert_eq(worker_counts(worker, queue).dead_lettered, 1);
}
