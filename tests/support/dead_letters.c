#include "dead_letters.h"
#include "command.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char dead_output[DEAD_OUTPUT_SIZE];

/* --- The command ----------------------------------------------------------------------------------------*/

int dead_open_output(void)
{
    int descriptor = open(stage_path("output"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    cr_assert(descriptor >= 0, "%s", strerror(errno));
    return descriptor;
}

void dead_peek_output(int descriptor)
{
    ssize_t length = pread(descriptor, dead_output, sizeof dead_output - 1, 0);

    dead_output[length > 0 ? length : 0] = '\0';
}

void dead_read_output(int descriptor)
{
    dead_peek_output(descriptor);
    close(descriptor);
}

pid_t dead_start_at(const char *url, int input, int descriptor, const char *verb, const char *queue,
                    const char *option)
{
    const char *arguments[] = {getenv("WHIPPET_PROGRAM"), "dead", "--url", url, verb, queue, option, NULL};

    return command_start(arguments, input, descriptor, descriptor);
}

pid_t dead_start(int input, int descriptor, const char *verb, const char *queue, const char *first,
                 const char *second)
{
    const char *arguments[] = {
        getenv("WHIPPET_PROGRAM"), "dead", "--url", stage_broker()->url, verb, queue, first, second, NULL};

    return command_start(arguments, input, descriptor, descriptor);
}

int dead(const char *verb, const char *queue, const char *first, const char *second)
{
    int descriptor = dead_open_output();
    int status = command_wait(dead_start(-1, descriptor, verb, queue, first, second));

    dead_read_output(descriptor);
    return status;
}

/* --- Letters --------------------------------------------------------------------------------------------*/

/* Sends it by that function of the client's. */
static void send_by(void (*publish)(struct client *, const char *, const char *,
                                    const amqp_basic_properties_t *, amqp_bytes_t),
                    const char *queue, const char *id, const struct letter_header *headers, amqp_bytes_t body)
{
    amqp_table_entry_t entries[8];
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_HEADERS_FLAG |
                                                    AMQP_BASIC_DELIVERY_MODE_FLAG,
                                          .message_id = amqp_cstring_bytes(id),
                                          .delivery_mode = AMQP_DELIVERY_PERSISTENT,
                                          .headers = {.entries = entries}};

    for (int i = 0; i < 8 && headers[i].name != NULL; i++)
        entries[properties.headers.num_entries++] = (amqp_table_entry_t){
            .key = amqp_cstring_bytes(headers[i].name),
            .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(headers[i].value)}};
    publish(stage_client(), "", queue, &properties, body);
}

void letter_send(const char *queue, const char *id, const struct letter_header *headers, amqp_bytes_t body)
{
    send_by(client_publish, queue, id, headers, body);
}

void letters_send(const char *queue, const char *dead_queue, unsigned count)
{
    client_declare(stage_client(), queue, "quorum");
    client_declare(stage_client(), dead_queue, "quorum");
    for (unsigned i = 0; i < count; i++) {
        const struct letter_header headers[] = {{"whippet-reason", i % 10 == 0 ? "timeout" : "rejected"},
                                                {"whippet-queue", queue},
                                                {"whippet-exchange", "shop"},
                                                {"whippet-routing-key", "orders.new"},
                                                {"whippet-attempts", "5"},
                                                {"whippet-expiration", "3600000"},
                                                {"tenant", "acme"},
                                                {NULL, NULL}};
        char id[16];

        snprintf(id, sizeof id, "%u", i);
        send_by(client_publish_ahead, dead_queue, id, headers, amqp_cstring_bytes("a body"));
    }
    client_await_confirms(stage_client());
}

void letters_await(const char *queue, long count)
{
    await(15, client_ready(stage_client(), queue) == count, "%ld in %s, found %ld", count, queue,
          client_ready(stage_client(), queue));
}

unsigned letters_take_all(const char *queue, unsigned char *seen, unsigned most)
{
    struct client_message *message;
    unsigned count = 0;

    while ((message = client_get(stage_client(), queue)) != NULL) {
        char id[16] = "";
        amqp_bytes_t text = message->content.properties.message_id;

        memcpy(id, text.bytes, text.len < sizeof id ? text.len : sizeof id - 1);
        cr_assert_lt(strtoul(id, NULL, 10), most);
        seen[strtoul(id, NULL, 10)]++;
        count++;
        client_message_destroy(message);
    }
    return count;
}
