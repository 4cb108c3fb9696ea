/* Writes the seeds of the corpus: seeds FOLDER. Run once for each change of the targets' inputs; what it
 * writes is committed, so that replaying it needs no generator. */
#include "../support/wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *corpus;

/* Writes and empties the wire. */
static void save(struct wire *wire, const char *target, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", corpus, target);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/%s", corpus, target, name);
    FILE *file = fopen(path, "wb");
    size_t written = file != NULL && wire->length > 0 ? fwrite(wire->data, 1, wire->length, file) : 0;
    if (file == NULL || wire->length > 4096 || written != wire->length || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
    wire_clear(wire);
}

/* --- Tables and properties ------------------------------------------------------------------------------*/

static void write_every_type(struct wire *wire)
{
    static const char types[] = "tbBsuIilLfdDT";
    static const unsigned char sizes[] = {1, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8, 5, 8};
    wire_entry(wire, "void", 'V');
    for (size_t i = 0; i < sizeof sizes; i++) {
        wire_entry(wire, "value", types[i]);
        wire_fill(wire, 0x81, sizes[i]);
    }
    wire_entry_text(wire, "text", "hello");
    wire_entry(wire, "bytes", 'x');
    wire_long_text(wire, "\x01\x02");
    wire_entry(wire, "list", 'A');
    size_t list = wire_begin_long(wire);
    wire_entry_boolean(wire, NULL, true);
    wire_entry_text(wire, NULL, "item");
    wire_end_long(wire, list);
    wire_entry(wire, "x-death", 'F');
    size_t table = wire_begin_long(wire);
    wire_entry_text(wire, "reason", "rejected");
    wire_end_long(wire, table);
}

static void save_tables(void)
{
    static const size_t levels[] = {31, 32, 33, 600};
    struct wire wire = {0};
    char name[32];
    write_every_type(&wire);
    save(&wire, "table", "every-type");
    for (size_t i = 0; i < 4; i++) {
        wire_nested_tables(&wire, levels[i]);
        snprintf(name, sizeof name, "tables-%zu", levels[i]);
        save(&wire, "table", name);
        wire_nested_arrays(&wire, levels[i]);
        snprintf(name, sizeof name, "arrays-%zu", levels[i]);
        save(&wire, "table", name);
    }
    wire_entry(&wire, "n", 'S');
    wire_long(&wire, 0xFFFFFFFF);
    save(&wire, "table", "length-too-large");
    wire_entry(&wire, "n", 'Z');
    save(&wire, "table", "unknown-type");
    wire_destroy(&wire);
}

static void write_every_property(struct wire *wire)
{
    struct wire headers = {0};
    write_every_type(&headers);
    wire_short(wire, 0xFFFC);
    wire_short_text(wire, "application/json");
    wire_short_text(wire, "gzip");
    wire_long(wire, (uint32_t)headers.length);
    wire_raw(wire, headers.data, headers.length);
    wire_octet(wire, 2);
    wire_octet(wire, 9);
    wire_short_text(wire, "correlation");
    wire_short_text(wire, "reply");
    wire_short_text(wire, "60000");
    wire_short_text(wire, "message");
    wire_longlong(wire, 1700000000);
    wire_short_text(wire, "type");
    wire_short_text(wire, "user");
    wire_short_text(wire, "app");
    wire_short_text(wire, "cluster");
    wire_destroy(&headers);
}

static void save_properties(void)
{
    struct wire wire = {0}, headers = {0};
    write_every_property(&wire);
    save(&wire, "properties", "every-property");
    wire_short(&wire, 0);
    save(&wire, "properties", "none");
    wire_nested_tables(&headers, 600);
    wire_properties_with_headers(&wire, &headers);
    save(&wire, "properties", "headers-too-deep");
    wire_clear(&headers);
    wire_entry(&headers, "x", 'Z');
    wire_properties_with_headers(&wire, &headers);
    save(&wire, "properties", "headers-malformed");
    wire_short(&wire, 0x2000);
    wire_long(&wire, 0xFFFFFFFF);
    save(&wire, "properties", "headers-too-long");
    wire_short(&wire, 0x0001);
    wire_short(&wire, 0);
    save(&wire, "properties", "more-flags");
    wire_destroy(&headers);
    wire_destroy(&wire);
}

/* --- A whole connection ---------------------------------------------------------------------------------*/

static void write_handshake(struct wire *wire)
{
    wire_octet(wire, 3); /* the owner acks and publishes */
    wire_start(wire, "AMQPLAIN PLAIN");
    wire_tune(wire, 2047, 4096, 10);
    wire_open_ok(wire);
    for (unsigned channel = 1; channel <= 4; channel++)
        wire_channel_open_ok(wire, channel);
    wire_consume_ok(wire, 1, "a");
    wire_consume_ok(wire, 2, "b");
}

static void write_conversation(struct wire *wire)
{
    struct wire properties = {0};
    amqp_connection_blocked_t blocked = {.reason = amqp_cstring_bytes("low on memory")};
    write_every_property(&properties);
    wire_method(wire, 3, AMQP_CONFIRM_SELECT_OK_METHOD, &(amqp_confirm_select_ok_t){0});
    wire_declare_ok(wire, 4, "q", 1, 2);
    wire_deliver(wire, 1, "a", 1);
    wire_content(wire, 1, &properties, "twelve bytes", 12, 15);
    wire_deliver(wire, 2, "b", 1);
    wire_content(wire, 2, NULL, "twelve bytes", 12, 15);
    wire_heartbeat(wire);
    wire_return(wire, 3, "e", "k");
    wire_content(wire, 3, NULL, "hello", 5, 4096);
    wire_ack(wire, 3, 1, false);
    wire_nack(wire, 3, 2, true);
    wire_method(wire, 0, AMQP_CONNECTION_BLOCKED_METHOD, &blocked);
    wire_method(wire, 0, AMQP_CONNECTION_UNBLOCKED_METHOD, &(amqp_connection_unblocked_t){0});
    wire_cancel(wire, 1, "a", false);
    wire_channel_close(wire, 2, 404, "NOT_FOUND");
    wire_connection_close(wire, 320, "CONNECTION_FORCED");
    wire_destroy(&properties);
}

/* As in GHSA-9mmv-r8g3-qp46: frames too small for what their type promises. */
static void save_undersized_frames(void)
{
    struct wire wire = {0};
    char name[40];
    for (size_t size = 0; size < 4; size++) {
        wire_octet(&wire, 0);
        wire_frame(&wire, WIRE_METHOD, 0, "\x00\x0a\x00\x0a", size);
        snprintf(name, sizeof name, "undersized-method-%zu", size);
        save(&wire, "session", name);
    }
    for (size_t size = 0; size < 14; size += 3) {
        write_handshake(&wire);
        wire_deliver(&wire, 1, "a", 1);
        wire_frame(&wire, WIRE_HEADER, 1, "\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00", size);
        snprintf(name, sizeof name, "undersized-header-%zu", size);
        save(&wire, "session", name);
    }
    write_handshake(&wire);
    wire_frame(&wire, WIRE_METHOD, 1, "\x00\x3c\x00\x3c\x01", 5);
    save(&wire, "session", "undersized-deliver");
    wire_destroy(&wire);
}

static void save_text(const char *target, const char *name, const char *text, size_t size)
{
    struct wire wire = {0};
    wire_raw(&wire, text, size);
    save(&wire, target, name);
    wire_destroy(&wire);
}

static void save_sessions(void)
{
    static const char http[] = "\0HTTP/1.1 400 Bad Request\r\n\r\n";
    struct wire wire = {0}, nested = {0};
    write_handshake(&wire);
    write_conversation(&wire);
    save(&wire, "session", "conversation");
    write_handshake(&wire);
    wire_deliver(&wire, 1, "a", 1);
    wire_header(&wire, 1, UINT64_MAX, NULL, 0);
    wire_body(&wire, 1, "part", 4);
    save(&wire, "session", "endless-body");
    save_text("session", "another-version", "\0AMQP\0\0\x09\x01", 9);
    save_text("session", "http", http, sizeof http - 1);
    save_text("session", "frame-too-large", "\0\x01\x00\x00\xff\xff\xff\xff", 8);
    save_text("session", "bad-frame-end", "\0\x08\x00\x00\x00\x00\x00\x00\x00", 9);
    wire_octet(&wire, 0);
    wire_long(&nested, AMQP_CONNECTION_START_METHOD);
    wire_short(&nested, 9);
    size_t table = wire_begin_long(&nested);
    wire_nested_tables(&nested, 600);
    wire_end_long(&nested, table);
    wire_frame(&wire, WIRE_METHOD, 0, nested.data, nested.length);
    save(&wire, "session", "nested-server-properties");
    wire_octet(&wire, 0);
    wire_start(&wire, "PLAIN");
    wire_connection_close(&wire, 403, "ACCESS_REFUSED");
    save(&wire, "session", "login-refused");
    wire_destroy(&nested);
    wire_destroy(&wire);
}

/* --- Frames on an open connection, in the form that frames.c takes --------------------------------------*/

/* The frames of `wire` from `start` on, in that form; empties the wire. */
static void save_frames(struct wire *wire, unsigned reactions, const char *name)
{
    struct wire input = {0};
    wire_octet(&input, reactions);
    for (size_t at = 0; at + WIRE_FRAME_OVERHEAD <= wire->length;) {
        size_t size = (size_t)wire->data[at + 5] << 8 | wire->data[at + 6];
        unsigned type = wire->data[at] == WIRE_HEARTBEAT ? 3u : wire->data[at] - 1u;
        wire_octet(&input, type | (unsigned)wire->data[at + 2] << 2);
        wire_short(&input, (unsigned)size);
        wire_raw(&input, wire->data + at + 7, size);
        at += size + WIRE_FRAME_OVERHEAD;
    }
    wire_clear(wire);
    save(&input, "frames", name);
    wire_destroy(&input);
}

static void save_all_frames(void)
{
    struct wire wire = {0}, headers = {0}, properties = {0};
    for (unsigned bit = 0; bit <= 6; bit++) {
        char name[32];
        snprintf(name, sizeof name, "conversation-%u", bit);
        write_conversation(&wire);
        save_frames(&wire, 1u << bit, name);
    }
    wire_nested_tables(&headers, 600);
    wire_properties_with_headers(&properties, &headers);
    wire_deliver(&wire, 1, "a", 1);
    wire_content(&wire, 1, &properties, "x", 1, 4096);
    save_frames(&wire, 1, "nested-headers");
    wire_deliver(&wire, 2, "b", 1);
    wire_header(&wire, 2, 1u << 30, NULL, 0);
    wire_body(&wire, 2, "part", 4);
    wire_channel_close(&wire, 2, 406, "PRECONDITION_FAILED");
    wire_channel_open_ok(&wire, 2);
    save_frames(&wire, 64, "oversized-cut-off");
    wire_deliver(&wire, 1, "a", 1);
    wire_deliver(&wire, 1, "a", 2);
    save_frames(&wire, 1, "two-methods");
    wire_return(&wire, 3, "e", "k");
    wire_header(&wire, 3, UINT64_MAX, NULL, 0);
    save_frames(&wire, 1, "endless-return");
    for (size_t size = 0; size < 14; size += 4)
        wire_frame(&wire, WIRE_HEADER, 1, "\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00", size);
    save_frames(&wire, 1, "undersized-headers");
    wire_cancel(&wire, 1, "a", true);
    wire_consume_ok(&wire, 1, "a");
    wire_channel_close_ok(&wire, 1);
    save_frames(&wire, 8 | 4, "crossing");
    wire_destroy(&headers);
    wire_destroy(&properties);
    wire_destroy(&wire);
}

/* --- Configurations -------------------------------------------------------------------------------------*/

static void save_configurations(void)
{
    static const struct {
        const char *name;
        const char *text;
    } texts[] = {
        {"small", "{\"queues\": [{\"name\": \"orders\", \"processor\": \"log\"}]}"},
        {"large",
         "{\n  \"amqp\": {\"url\": [\"amqp://guest:guest@localhost:5672/\", \"amqp://h/%2Fv\"], "
         "\"heartbeat\": \"20s\",\n"
         "    \"connect_timeout\": 10, \"reconnect\": {\"min\": \"500ms\", \"max\": \"30s\"}},\n"
         "  \"queues\": [{\"name\": \"emails\", \"processor\": \"exec\", \"settings\": {\"command\": "
         "[\"./send\"]},\n"
         "    \"declare\": \"create\", \"type\": \"classic\", \"arguments\": {\"x-max-length\": 10},\n"
         "    \"bindings\": [{\"exchange\": \"e\", \"exchange_type\": \"topic\", \"routing_key\": "
         "\"a.#\"}],\n"
         "    \"concurrency\": 8, \"prefetch\": 16, \"priority\": -1, \"exclusive\": true, \"timeout\": "
         "\"30s\",\n"
         "    \"retry\": {\"attempts\": 5, \"delay\": \"3s\", \"backoff\": \"exponential\", \"jitter\": "
         "0.5},\n"
         "    \"on_failure\": \"discard\", \"dead_letter\": \"lost\", \"max_message_size\": \"16MiB\"}],\n"
         "  \"stack_size\": \"256KiB\", \"shutdown_timeout\": \"25s\", \"processor_path\": [\"a\", \"b\"],\n"
         "  \"log\": {\"level\": \"debug\", \"format\": \"json\"}\n}\n"},
        {"wrong",
         "{\"queues\": [{\"name\": 1, \"processor\": true, \"concurrency\": -1, \"retyr\": {}, \"timeout\": "
         "\"soon\", \"max_message_size\": \"16MB\"}, 5], \"unknown\": null, \"amqp\": []}"},
        {"twice",
         "{\"queues\": [{\"name\": \"a\", \"name\": \"b\", \"processor\": \"log\"}], \"queues\": []}"},
        {"queues-twice",
         "{\"queues\": [{\"name\": \"a\", \"processor\": \"log\"}], \"queues\": [{\"name\": \"b\"}, 1]}"},
        {"environment",
         "{\"amqp\": {\"url\": \"${NOWHERE:-amqp://u:p%40@[::1]:5673/v}\"}, \"queues\": [{\"name\": "
         "\"${HOME}$${x}\", \"processor\": \"${UNSET}\"}]}"},
        {"urls",
         "{\"amqp\": {\"url\": [\"amqp://\", \"amqps://h\", \"http://h\", \"amqp://u@h:99999/\", "
         "\"amqp://h/%zz\", \"amqp://h/a/b\", \"amqp://[::1\", \"amqp://:@:/?heartbeat=3#f\", \"\"]}}"},
        {"escapes",
         "{\"queues\": [{\"name\": \"\\u00e9\\ud83d\\ude00\\u0000\\n\", \"processor\": \"\\ud800\"}]}"},
        {"cut-off", "{\"queues\": [{\"name\": \"orders\", \"proc"},
        {"nested", "[[[[[[[[[[[[[[[[{\"a\":{\"a\":{\"a\":{\"a\":[1e999,-0,0.1e-5,1E+2]}}}}]]]]]]]]]]]]]]]]"},
        {"no-object", "\"queues\""},
        {"empty", ""},
        {"comment", "// no\n{\"queues\": [] /* here */, }"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        save_text("config", texts[i].name, texts[i].text, strlen(texts[i].text));
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 64;
    }
    corpus = argv[1];
    mkdir(corpus, 0777);
    save_tables();
    save_properties();
    save_sessions();
    save_undersized_frames();
    save_all_frames();
    save_configurations();
    return 0;
}
