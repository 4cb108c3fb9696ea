#include "fake_broker.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void breach(struct fake_broker *broker, const char *what, uint64_t tag)
{
    if (broker->breaches++ == 0)
        snprintf(broker->breach, sizeof broker->breach, "%s: tag %llu", what, (unsigned long long)tag);
}

static void check(bool fine, const char *what)
{
    if (fine)
        return;
    perror(what);
    abort();
}

/* --- Coming and going -----------------------------------------------------------------------------------*/

/* A socket bound to the broker's port, or to any where it has none yet; several can be, until one listens. */
static int bind_to_port(struct fake_broker *broker)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(broker->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int on = 1;
    int bound = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    check(bound >= 0, "socket");
    setsockopt(bound, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    check(bind(bound, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    check(getsockname(bound, (struct sockaddr *)&address, &size) == 0, "getsockname");
    broker->port = ntohs(address.sin_port);
    return bound;
}

struct fake_broker *fake_broker_create(void)
{
    struct fake_broker *broker = calloc(1, sizeof *broker);
    check(broker != NULL, "calloc");
    broker->frame_max = 131072;
    broker->channel_max = 2047;
    init_amqp_pool(&broker->pool, 4096);
    broker->holder = bind_to_port(broker);
    fake_broker_reopen(broker);
    return broker;
}

static void link_close(struct fake_broker *broker, struct fake_link *link);

void fake_broker_destroy(struct fake_broker *broker)
{
    fake_broker_shut(broker);
    close(broker->holder);
    for (size_t i = 0; i < broker->link_count; i++) {
        struct fake_link *link = broker->links[i];
        link_close(broker, link);
        wire_destroy(&link->in);
        wire_destroy(&link->out);
        for (size_t j = 0; j < FAKE_CHANNELS; j++)
            free(link->channels[j].tags);
        free(link);
    }
    for (size_t i = 0; i < broker->publish_count; i++) {
        wire_destroy(&broker->publishes[i].properties);
        wire_destroy(&broker->publishes[i].body);
    }
    free(broker->publishes);
    empty_amqp_pool(&broker->pool);
    free(broker);
}

void fake_broker_shut(struct fake_broker *broker)
{
    if (broker->listener >= 0)
        close(broker->listener);
    broker->listener = -1;
}

void fake_broker_reopen(struct fake_broker *broker)
{
    broker->listener = bind_to_port(broker);
    if (broker->receive_buffer > 0)
        setsockopt(broker->listener, SOL_SOCKET, SO_RCVBUF, &broker->receive_buffer,
                   sizeof broker->receive_buffer);
    check(listen(broker->listener, FAKE_LINKS) == 0, "listen");
}

const char *fake_broker_breach(const struct fake_broker *broker)
{
    return broker->breaches > 0 ? broker->breach : NULL;
}

/* --- Books ----------------------------------------------------------------------------------------------*/

static void requeue_all(struct fake_broker *broker, struct fake_channel *channel)
{
    for (uint64_t i = 0; i < channel->delivered; i++) {
        if (channel->tags[i] != FAKE_TAG_OUTSTANDING)
            continue;
        channel->tags[i] = FAKE_TAG_REQUEUED;
        broker->requeued++;
    }
}

/* Its books stay readable until the number is taken anew. */
static void channel_end(struct fake_broker *broker, struct fake_channel *channel)
{
    if (!channel->is_open)
        return;
    requeue_all(broker, channel);
    channel->is_open = channel->is_consuming = channel->is_confirming = false;
}

static void link_close(struct fake_broker *broker, struct fake_link *link)
{
    if (link->descriptor < 0)
        return;
    tls_peer_destroy(link->tls);
    link->tls = NULL;
    close(link->descriptor);
    link->descriptor = -1;
    link->is_open = false;
    for (size_t i = 0; i < FAKE_CHANNELS; i++)
        channel_end(broker, &link->channels[i]);
}

static void settle(struct fake_broker *broker, struct fake_channel *channel, uint64_t tag, bool multiple,
                   enum fake_tag outcome)
{
    uint64_t *count = outcome == FAKE_TAG_ACKED ? &broker->acked : &broker->requeued;
    if (tag == 0 || tag > channel->delivered) {
        breach(broker, "a tag that was never delivered is settled", tag);
        return;
    }
    if (channel->tags[tag - 1] != FAKE_TAG_OUTSTANDING) {
        breach(broker, "a tag is settled twice", tag);
        return;
    }
    for (uint64_t i = multiple ? 0 : tag - 1; i < tag; i++) {
        if (channel->tags[i] != FAKE_TAG_OUTSTANDING)
            continue;
        channel->tags[i] = (uint8_t)outcome;
        ++*count;
    }
}

enum fake_tag fake_tag_state(const struct fake_link *link, unsigned channel, uint64_t tag)
{
    return (enum fake_tag)link->channels[channel].tags[tag - 1];
}

uint64_t fake_outstanding(const struct fake_broker *broker)
{
    return broker->delivered - broker->acked - broker->requeued;
}

size_t fake_published(const struct fake_broker *broker)
{
    return broker->publish_count;
}

struct fake_link *fake_link_named(const struct fake_broker *broker, const char *end)
{
    for (size_t i = broker->link_count; i-- > 0;) {
        struct fake_link *link = broker->links[i];
        size_t length = strlen(link->name);
        if (link->is_open && length >= strlen(end) && strcmp(link->name + length - strlen(end), end) == 0)
            return link;
    }
    return NULL;
}

unsigned fake_consumer(const struct fake_link *link, const char *queue)
{
    for (unsigned i = 1; link != NULL && i < FAKE_CHANNELS; i++)
        if (link->channels[i].is_consuming && strcmp(link->channels[i].queue, queue) == 0)
            return i;
    return 0;
}

unsigned fake_confirmer(const struct fake_link *link)
{
    for (unsigned i = 1; link != NULL && i < FAKE_CHANNELS; i++)
        if (link->channels[i].is_confirming)
            return i;
    return 0;
}

/* --- Saying ---------------------------------------------------------------------------------------------*/

void fake_send(struct fake_link *link, struct wire *wire)
{
    wire_raw(&link->out, wire->data, wire->length);
    wire_destroy(wire);
}

static void say(struct fake_link *link, unsigned channel, amqp_method_number_t id, const void *decoded)
{
    wire_method(&link->out, channel, id, decoded);
}

void fake_channel_close(struct fake_broker *broker, struct fake_link *link, unsigned channel, unsigned code,
                        const char *text)
{
    wire_channel_close(&link->out, channel, code, text);
    channel_end(broker, &link->channels[channel]);
}

void fake_link_hang_up(struct fake_broker *broker, struct fake_link *link)
{
    link_close(broker, link);
}

void fake_link_reset(struct fake_broker *broker, struct fake_link *link)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (link->descriptor >= 0)
        setsockopt(link->descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    link_close(broker, link);
}

static uint64_t new_tag(struct fake_broker *broker, struct fake_channel *channel)
{
    if ((channel->delivered & (channel->delivered + 1)) == 0 || channel->tags == NULL)
        channel->tags = realloc(channel->tags, 2 * (channel->delivered + 1));
    check(channel->tags != NULL, "realloc");
    channel->tags[channel->delivered++] = FAKE_TAG_OUTSTANDING;
    broker->delivered++;
    return channel->delivered;
}

uint64_t fake_deliver_begin(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                            const struct wire *properties, uint64_t body_size)
{
    struct fake_channel *consumer = &link->channels[channel];
    check(consumer->is_consuming, "a delivery without a consumer");
    uint64_t tag = new_tag(broker, consumer);
    wire_deliver(&link->out, channel, consumer->consumer_tag, tag);
    wire_header(&link->out, channel, body_size, properties != NULL ? properties->data : NULL,
                properties != NULL ? properties->length : 0);
    return tag;
}

void fake_body(struct fake_broker *broker, struct fake_link *link, unsigned channel, const void *data,
               size_t size)
{
    const char *rest = data;
    while (size > 0) {
        size_t part = broker->frame_max - WIRE_FRAME_OVERHEAD;
        if (part > size)
            part = size;
        wire_body(&link->out, channel, rest, part);
        rest += part;
        size -= part;
    }
}

uint64_t fake_deliver(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                      const struct wire *properties, const void *body, size_t size)
{
    uint64_t tag = fake_deliver_begin(broker, link, channel, properties, size);
    fake_body(broker, link, channel, body, size);
    return tag;
}

void fake_confirm(struct fake_link *link, unsigned channel, uint64_t tag, bool multiple, bool nack)
{
    if (nack)
        wire_nack(&link->out, channel, tag, multiple);
    else
        wire_ack(&link->out, channel, tag, multiple);
}

void fake_return(const struct fake_publish *publish)
{
    wire_return(&publish->link->out, publish->channel, publish->exchange, publish->routing_key);
    wire_content(&publish->link->out, publish->channel, &publish->properties, publish->body.data,
                 publish->body.length, 4096);
}

/* --- What is published ----------------------------------------------------------------------------------*/

static void copy_text(char *to, size_t size, amqp_bytes_t from)
{
    size_t length = from.len < size - 1 ? from.len : size - 1;
    if (length > 0)
        memcpy(to, from.bytes, length);
    to[length] = '\0';
}

static void publish_begin(struct fake_broker *broker, struct fake_link *link, unsigned number,
                          const amqp_basic_publish_t *method)
{
    struct fake_channel *channel = &link->channels[number];
    size_t count = broker->publish_count;
    if (channel->awaits_header || channel->body_left > 0)
        breach(broker, "a publish inside another", channel->published);
    if ((count & (count + 1)) == 0 || broker->publishes == NULL)
        broker->publishes = realloc(broker->publishes, 2 * (count + 1) * sizeof *broker->publishes);
    check(broker->publishes != NULL, "realloc");
    struct fake_publish *publish = &broker->publishes[broker->publish_count++];
    *publish = (struct fake_publish){.link = link, .channel = number, .mandatory = method->mandatory};
    publish->tag = channel->is_confirming ? ++channel->published : 0;
    copy_text(publish->exchange, sizeof publish->exchange, method->exchange);
    copy_text(publish->routing_key, sizeof publish->routing_key, method->routing_key);
    channel->awaits_header = true;
}

static struct fake_publish *publish_on(struct fake_broker *broker, const struct fake_link *link,
                                       unsigned channel)
{
    for (size_t i = broker->publish_count; i-- > 0;)
        if (broker->publishes[i].link == link && broker->publishes[i].channel == channel)
            return &broker->publishes[i];
    return NULL;
}

static void publish_end(struct fake_broker *broker, struct fake_publish *publish)
{
    publish->whole = true;
    if (publish->tag == 0 || broker->confirm == FAKE_HOLDS)
        return;
    if (broker->confirm == FAKE_RETURNS)
        fake_return(publish);
    fake_confirm(publish->link, publish->channel, publish->tag, false, broker->confirm == FAKE_NACKS);
}

static void take_content(struct fake_broker *broker, struct fake_link *link, unsigned number, unsigned type,
                         const uint8_t *payload, size_t size)
{
    struct fake_channel *channel = &link->channels[number];
    struct fake_publish *publish = publish_on(broker, link, number);
    if (!channel->is_open)
        return;
    if (publish == NULL || (type == WIRE_HEADER) != channel->awaits_header ||
        (type == WIRE_BODY && size > channel->body_left)) {
        breach(broker, "content that does not belong there, on channel", number);
        return;
    }
    if (type == WIRE_HEADER) {
        channel->awaits_header = false;
        for (int i = 4; i < 12; i++)
            channel->body_left = channel->body_left << 8 | payload[i];
        publish->body_size = channel->body_left;
        wire_raw(&publish->properties, payload + 12, size - 12);
    } else {
        if (!broker->keeps_bodies_off)
            wire_raw(&publish->body, payload, size);
        channel->body_left -= size;
    }
    if (channel->body_left == 0)
        publish_end(broker, publish);
}

/* --- Answering ------------------------------------------------------------------------------------------*/

static void start_ok(struct fake_broker *broker, struct fake_link *link, const amqp_connection_start_ok_t *ok)
{
    amqp_connection_tune_t tune = {.channel_max = (uint16_t)broker->channel_max,
                                   .frame_max = broker->frame_max,
                                   .heartbeat = (uint16_t)broker->heartbeat};
    for (int i = 0; i < ok->client_properties.num_entries; i++) {
        const amqp_table_entry_t *entry = &ok->client_properties.entries[i];
        if (entry->key.len == 15 && memcmp(entry->key.bytes, "connection_name", 15) == 0)
            copy_text(link->name, sizeof link->name, entry->value.value.bytes);
    }
    say(link, 0, AMQP_CONNECTION_TUNE_METHOD, &tune);
}

static void channel_begin(struct fake_link *link, unsigned number)
{
    free(link->channels[number].tags);
    link->channels[number] = (struct fake_channel){.is_open = true};
    wire_channel_open_ok(&link->out, number);
}

static void declare(struct fake_broker *broker, struct fake_link *link, unsigned number,
                    const amqp_queue_declare_t *method)
{
    char queue[FAKE_NAME_SIZE];
    copy_text(queue, sizeof queue, method->queue);
    if (method->passive && broker->missing != NULL && strcmp(queue, broker->missing) == 0)
        fake_channel_close(broker, link, number, 404, "NOT_FOUND - no queue");
    else
        wire_declare_ok(&link->out, number, queue, 0, 0);
}

static void consume(struct fake_link *link, unsigned number, const amqp_basic_consume_t *method)
{
    struct fake_channel *channel = &link->channels[number];
    copy_text(channel->queue, sizeof channel->queue, method->queue);
    copy_text(channel->consumer_tag, sizeof channel->consumer_tag, method->consumer_tag);
    channel->is_consuming = true;
    wire_consume_ok(&link->out, number, channel->consumer_tag);
}

static void nack(struct fake_broker *broker, struct fake_channel *channel, const amqp_basic_nack_t *method)
{
    broker->nack_frames++;
    if (!method->requeue)
        breach(broker, "a message is dropped by a nack without requeue", method->delivery_tag);
    settle(broker, channel, method->delivery_tag, method->multiple, FAKE_TAG_REQUEUED);
}

static void ack(struct fake_broker *broker, struct fake_channel *channel, const amqp_basic_ack_t *method)
{
    broker->ack_frames++;
    broker->multiple_frames += method->multiple;
    settle(broker, channel, method->delivery_tag, method->multiple, FAKE_TAG_ACKED);
}

static void channel_answer(struct fake_broker *broker, struct fake_link *link, unsigned number,
                           amqp_method_number_t id, void *decoded)
{
    struct fake_channel *channel = &link->channels[number];
    /* What was under way when the broker closed the channel is passed over, as a broker does. */
    if (!channel->is_open && id != AMQP_CHANNEL_OPEN_METHOD && id != AMQP_CHANNEL_CLOSE_METHOD)
        return;
    switch (id) {
    case AMQP_CHANNEL_OPEN_METHOD: channel_begin(link, number); break;
    case AMQP_CHANNEL_CLOSE_METHOD:
        channel_end(broker, channel);
        wire_channel_close_ok(&link->out, number);
        break;
    case AMQP_QUEUE_DECLARE_METHOD: declare(broker, link, number, decoded); break;
    case AMQP_QUEUE_BIND_METHOD:
        say(link, number, AMQP_QUEUE_BIND_OK_METHOD, &(amqp_queue_bind_ok_t){0});
        break;
    case AMQP_QUEUE_UNBIND_METHOD:
        say(link, number, AMQP_QUEUE_UNBIND_OK_METHOD, &(amqp_queue_unbind_ok_t){0});
        break;
    case AMQP_EXCHANGE_DECLARE_METHOD:
        say(link, number, AMQP_EXCHANGE_DECLARE_OK_METHOD, &(amqp_exchange_declare_ok_t){0});
        break;
    case AMQP_BASIC_QOS_METHOD:
        channel->prefetch = ((amqp_basic_qos_t *)decoded)->prefetch_count;
        say(link, number, AMQP_BASIC_QOS_OK_METHOD, &(amqp_basic_qos_ok_t){0});
        break;
    case AMQP_BASIC_CONSUME_METHOD: consume(link, number, decoded); break;
    case AMQP_BASIC_CANCEL_METHOD:
        channel->is_consuming = false;
        wire_cancel_ok(&link->out, number, channel->consumer_tag);
        break;
    case AMQP_CONFIRM_SELECT_METHOD:
        channel->is_confirming = true;
        say(link, number, AMQP_CONFIRM_SELECT_OK_METHOD, &(amqp_confirm_select_ok_t){0});
        break;
    case AMQP_BASIC_ACK_METHOD: ack(broker, channel, decoded); break;
    case AMQP_BASIC_NACK_METHOD: nack(broker, channel, decoded); break;
    case AMQP_BASIC_PUBLISH_METHOD: publish_begin(broker, link, number, decoded); break;
    default: break;
    }
}

static void connection_answer(struct fake_broker *broker, struct fake_link *link, amqp_method_number_t id,
                              void *decoded)
{
    switch (id) {
    case AMQP_CONNECTION_START_OK_METHOD: start_ok(broker, link, decoded); break;
    case AMQP_CONNECTION_OPEN_METHOD:
        link->is_open = true;
        wire_open_ok(&link->out);
        break;
    case AMQP_CONNECTION_CLOSE_METHOD: wire_connection_close_ok(&link->out); break;
    default: break;
    }
}

/* --- Hearing --------------------------------------------------------------------------------------------*/

static uint32_t long_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void take_method(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                        const uint8_t *payload, size_t size)
{
    void *decoded = NULL;
    amqp_method_number_t id = long_at(payload);
    amqp_bytes_t arguments = {.len = size - 4, .bytes = (void *)(uintptr_t)(payload + 4)};
    if (amqp_decode_method(id, &broker->pool, arguments, &decoded) != 0) {
        breach(broker, "a method that can't be decoded", id);
        return;
    }
    if (broker->on_method != NULL && broker->on_method(broker, link, channel, id, decoded))
        return;
    if (channel == 0)
        connection_answer(broker, link, id, decoded);
    else
        channel_answer(broker, link, channel, id, decoded);
}

static size_t take_frame(struct fake_broker *broker, struct fake_link *link, const uint8_t *frame,
                         size_t available)
{
    if (available < 7)
        return 0;
    unsigned channel = (unsigned)frame[1] << 8 | frame[2];
    size_t size = long_at(frame + 3);
    if (available < size + WIRE_FRAME_OVERHEAD)
        return 0;
    if (frame[size + 7] != WIRE_FRAME_END || channel >= FAKE_CHANNELS ||
        size + WIRE_FRAME_OVERHEAD > broker->frame_max)
        breach(broker, "a frame that is not sound, on channel", channel);
    else if (frame[0] == WIRE_METHOD)
        take_method(broker, link, channel, frame + 7, size);
    else if (frame[0] == WIRE_HEARTBEAT)
        link->heartbeats++;
    else
        take_content(broker, link, channel, frame[0], frame + 7, size);
    recycle_amqp_pool(&broker->pool);
    return size + WIRE_FRAME_OVERHEAD;
}

static void take_frames(struct fake_broker *broker, struct fake_link *link)
{
    size_t taken;
    if (!link->header_seen && link->in.length >= 8) {
        if (memcmp(link->in.data, "AMQP\0\0\11\1", 8) != 0)
            breach(broker, "another protocol header", 0);
        link->header_seen = true;
        link->in_read = 8;
        wire_start(&link->out, "AMQPLAIN PLAIN EXTERNAL");
    }
    while (link->header_seen && link->descriptor >= 0 &&
           (taken =
                take_frame(broker, link, link->in.data + link->in_read, link->in.length - link->in_read)) > 0)
        link->in_read += taken;
    if (link->in_read == link->in.length)
        link->in.length = link->in_read = 0;
}

static ssize_t receive(const struct fake_link *link, void *data, size_t size)
{
    return link->tls != NULL ? tls_peer_receive(link->tls, data, size)
                             : recv(link->descriptor, data, size, 0);
}

static ssize_t transmit(const struct fake_link *link, const void *data, size_t size)
{
    return link->tls != NULL ? tls_peer_send(link->tls, data, size)
                             : send(link->descriptor, data, size, MSG_NOSIGNAL);
}

static bool hear(struct fake_broker *broker, struct fake_link *link)
{
    static uint8_t bytes[65536];
    bool heard = false;
    ssize_t count;
    while (!broker->deaf && link->descriptor >= 0 && (count = receive(link, bytes, sizeof bytes)) != -1) {
        heard = true;
        if (count == 0) {
            link_close(broker, link);
            break;
        }
        wire_raw(&link->in, bytes, (size_t)count);
        if (broker->mood == FAKE_FRIENDLY)
            take_frames(broker, link);
    }
    if (link->descriptor >= 0 && !broker->deaf && errno != EAGAIN && errno != EWOULDBLOCK) {
        link_close(broker, link);
        heard = true;
    }
    return heard;
}

static bool speak(struct fake_broker *broker, struct fake_link *link)
{
    size_t left = link->out.length - link->out_sent;
    if (link->descriptor < 0)
        return false;
    bool flushed = link->tls != NULL && tls_peer_flush(link->tls);
    if (left == 0)
        return flushed;
    ssize_t count = transmit(link, link->out.data + link->out_sent, broker->trickles ? 1 : left);
    if (count < 0)
        return flushed;
    link->out_sent += (size_t)count;
    if (link->out_sent == link->out.length)
        link->out.length = link->out_sent = 0;
    return true;
}

static bool welcome(struct fake_broker *broker)
{
    int descriptor =
        broker->listener >= 0 ? accept4(broker->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
    if (descriptor < 0)
        return false;
    struct fake_link *link = calloc(1, sizeof *link);
    check(link != NULL && broker->link_count < FAKE_LINKS, "too many connections");
    link->descriptor = descriptor;
    if (broker->tls != NULL)
        link->tls = tls_peer_create(descriptor, broker->tls);
    broker->links[broker->link_count++] = link;
    if (broker->mood == FAKE_RESETS)
        fake_link_reset(broker, link);
    else if (broker->mood == FAKE_HANGS_UP)
        fake_link_hang_up(broker, link);
    return true;
}

bool fake_broker_poll(struct fake_broker *broker)
{
    bool busy = false;
    while (welcome(broker))
        busy = true;
    for (size_t i = 0; i < broker->link_count; i++) {
        busy |= hear(broker, broker->links[i]);
        busy |= speak(broker, broker->links[i]);
    }
    return busy;
}

void fake_broker_wait(struct fake_broker *broker, int milliseconds)
{
    struct pollfd descriptors[FAKE_LINKS + 1];
    nfds_t count = 0;
    descriptors[count++] = (struct pollfd){.fd = broker->listener, .events = POLLIN};
    for (size_t i = 0; i < broker->link_count && !broker->deaf; i++)
        descriptors[count++] = (struct pollfd){.fd = broker->links[i]->descriptor, .events = POLLIN};
    poll(descriptors, count, milliseconds);
}
