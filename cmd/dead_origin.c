/* The headers of each kind of writer are documented at
 *   ours         docs/dead-letters.md
 *   RabbitMQ     https://www.rabbitmq.com/docs/dlx#effects
 *   Spring
 * https://docs.spring.io/spring-amqp/reference/amqp/resilience-recovering-from-errors-and-broker-failures.html
 *                (RepublishMessageRecoverer)
 *   MassTransit  https://masstransit.io/documentation/concepts/exceptions (MT-Fault-…, MT-Reason)
 *   NServiceBus  https://docs.particular.net/nservicebus/messaging/headers#error-forwarding-headers */
#include "dead_origin.h"
#include <stdio.h>
#include <string.h>

static whippet_value header(whippet_bytes headers, const char *name)
{
    return table_find(headers, bytes_of_text(name));
}

static whippet_bytes text_of(whippet_value value)
{
    bool is_text = value.kind == WHIPPET_VALUE_TEXT || value.kind == WHIPPET_VALUE_BINARY;
    return is_text ? value.bytes : (whippet_bytes){0};
}

static whippet_bytes text_header(whippet_bytes headers, const char *name)
{
    whippet_value value = header(headers, name);
    whippet_bytes text = text_of(value);
    /* Present and empty is not the same as absent: the default exchange has no name. */
    if (text.data == NULL && value.kind == WHIPPET_VALUE_TEXT)
        text.data = "";
    return text;
}

static int64_t integer_of(whippet_value value)
{
    return value.kind == WHIPPET_VALUE_INTEGER ? value.integer : 0;
}

/* .NET writes seven digits behind the point; three are what our own times have. */
static void cut_to_milliseconds(char *time)
{
    char *point = strchr(time, '.');
    size_t digits = point != NULL ? strspn(point + 1, "0123456789") : 0;
    if (digits > 3 && strcmp(point + 1 + digits, "Z") == 0)
        strcpy(point + 4, "Z");
}

static void set_failed_at(struct dead_origin *origin, whippet_bytes text)
{
    if (text.data != NULL)
        snprintf(origin->failed_at, sizeof origin->failed_at, "%.*s",
                 (int)(text.len < CLOCK_TEXT_SIZE ? text.len : CLOCK_TEXT_SIZE - 1), (const char *)text.data);
    cut_to_milliseconds(origin->failed_at);
}

/* --- Ours -----------------------------------------------------------------------------------------------*/

static bool read_whippet(whippet_bytes headers, struct dead_origin *origin)
{
    origin->reason = text_header(headers, "whippet-reason");
    origin->queue = text_header(headers, "whippet-queue");
    if (origin->reason.data == NULL || origin->queue.data == NULL)
        return false;
    origin->exchange = text_header(headers, "whippet-exchange");
    origin->routing_key = text_header(headers, "whippet-routing-key");
    origin->error = text_header(headers, "whippet-error");
    origin->attempts = integer_of(header(headers, "whippet-attempts"));
    set_failed_at(origin, text_header(headers, "whippet-failed-at"));
    return true;
}

/* --- NServiceBus ----------------------------------------------------------------------------------------*/

/* "2026-11-21 09:30:00:123456 Z", as its own format has it. */
static void set_nservicebus_time(struct dead_origin *origin, whippet_bytes text)
{
    unsigned year, month, day, hour, minute, second, fraction;
    char copy[CLOCK_TEXT_SIZE];
    snprintf(copy, sizeof copy, "%.*s", (int)(text.len < sizeof copy ? text.len : sizeof copy - 1),
             text.data != NULL ? (const char *)text.data : "");
    if (sscanf(copy, "%4u-%2u-%2u %2u:%2u:%2u:%6u", &year, &month, &day, &hour, &minute, &second,
               &fraction) == 7)
        snprintf(origin->failed_at, sizeof origin->failed_at, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
                 year % 10000, month % 100, day % 100, hour % 100, minute % 100, second % 100,
                 fraction / 1000 % 1000);
    else
        set_failed_at(origin, text);
}

static bool read_nservicebus(whippet_bytes headers, struct dead_origin *origin)
{
    origin->queue = text_header(headers, "NServiceBus.FailedQ");
    if (origin->queue.data == NULL)
        return false;
    origin->reason = text_header(headers, "NServiceBus.ExceptionInfo.ExceptionType");
    origin->error = text_header(headers, "NServiceBus.ExceptionInfo.Message");
    set_nservicebus_time(origin, text_header(headers, "NServiceBus.TimeOfFailure"));
    /* queue@machine, from transports that have machines */
    const char *at = memchr(origin->queue.data, '@', origin->queue.len);
    if (at != NULL)
        origin->queue.len = (size_t)(at - (const char *)origin->queue.data);
    return true;
}

/* --- MassTransit ----------------------------------------------------------------------------------------*/

/* The queue of "rabbitmq://host/vhost/queue?durable=true": its last part. */
static whippet_bytes queue_of_address(whippet_bytes address)
{
    const char *begin = address.data, *end = begin + address.len;
    const char *query = memchr(begin, '?', address.len);
    if (query != NULL)
        end = query;
    const char *slash = memrchr(begin, '/', (size_t)(end - begin));
    return slash != NULL && slash + 1 < end ? bytes_of(slash + 1, (size_t)(end - slash - 1))
                                            : (whippet_bytes){0};
}

/* Its error queue is the endpoint's with _error or _skipped behind. */
static whippet_bytes queue_of_error_queue(const char *dead_queue)
{
    static const char *const ENDINGS[] = {"_error", "_skipped"};
    size_t length = strlen(dead_queue);
    for (size_t i = 0; i < 2; i++) {
        size_t ending = strlen(ENDINGS[i]);
        if (length > ending && strcmp(dead_queue + length - ending, ENDINGS[i]) == 0)
            return bytes_of(dead_queue, length - ending);
    }
    return (whippet_bytes){0};
}

static bool read_masstransit(whippet_bytes headers, const char *dead_queue, struct dead_origin *origin)
{
    whippet_bytes reason = text_header(headers, "MT-Reason");
    whippet_bytes address = text_header(headers, "MT-Fault-InputAddress");
    whippet_bytes exception = text_header(headers, "MT-Fault-ExceptionType");
    if (reason.data == NULL && address.data == NULL && exception.data == NULL)
        return false;
    if (address.len > 0)
        origin->queue = queue_of_address(address);
    if (origin->queue.data == NULL)
        origin->queue = queue_of_error_queue(dead_queue);
    origin->reason = exception.data != NULL ? exception : reason;
    origin->error = text_header(headers, "MT-Fault-Message");
    set_failed_at(origin, text_header(headers, "MT-Fault-Timestamp"));
    return true;
}

/* --- Spring ---------------------------------------------------------------------------------------------*/

/* It tells the exchange and the routing key, and the queue only where that was addressed directly. */
static bool read_spring(whippet_bytes headers, struct dead_origin *origin)
{
    origin->exchange = text_header(headers, "x-original-exchange");
    origin->routing_key = text_header(headers, "x-original-routingKey");
    if (origin->routing_key.data == NULL)
        return false;
    if (origin->exchange.data != NULL && origin->exchange.len == 0)
        origin->queue = origin->routing_key;
    origin->error = text_header(headers, "x-exception-message");
    origin->reason = bytes_of_text("exception");
    return true;
}

/* --- The broker -----------------------------------------------------------------------------------------*/

static void read_death(whippet_bytes death, struct dead_origin *origin)
{
    whippet_value keys = table_find(death, bytes_of_text("routing-keys"));
    whippet_value time = table_find(death, bytes_of_text("time"));
    whippet_value key = {0};
    whippet_bytes exchange = text_of(table_find(death, bytes_of_text("exchange")));
    origin->queue = text_of(table_find(death, bytes_of_text("queue")));
    origin->exchange = exchange.data != NULL ? exchange : bytes_of("", 0);
    if (keys.kind == WHIPPET_VALUE_ARRAY && array_next(&keys.entries, &key))
        origin->routing_key = text_of(key);
    origin->reason = text_of(table_find(death, bytes_of_text("reason")));
    origin->attempts = integer_of(table_find(death, bytes_of_text("count")));
    if (time.kind == WHIPPET_VALUE_TIMESTAMP)
        clock_format((double)time.timestamp, origin->failed_at);
}

/* Its record of deaths, the latest first; those in the dead-letter queue itself lead nowhere. */
static bool read_broker(whippet_bytes headers, const char *dead_queue, struct dead_origin *origin)
{
    whippet_value deaths = header(headers, "x-death"), death;
    if (deaths.kind != WHIPPET_VALUE_ARRAY)
        return false;
    while (array_next(&deaths.entries, &death)) {
        if (death.kind != WHIPPET_VALUE_TABLE ||
            bytes_equal_text(text_of(table_find(death.entries, bytes_of_text("queue"))), dead_queue))
            continue;
        read_death(death.entries, origin);
        return origin->queue.data != NULL;
    }
    return false;
}

/* --- All of them ----------------------------------------------------------------------------------------*/

/* Who writes headers of his own and moves the message himself knows more than the broker, whose record may be
 * of an earlier death. */
void dead_origin_read(const struct message *message, const char *dead_queue, struct dead_origin *origin)
{
    whippet_bytes headers = {0};
    if (message->headers == PROPERTIES_SOUND)
        headers = properties_get(message->properties, PROPERTY_HEADERS);
    *origin = (struct dead_origin){.writer = DEAD_BY_WHIPPET};
    if (read_whippet(headers, origin))
        return;
    *origin = (struct dead_origin){.writer = DEAD_BY_NSERVICEBUS};
    if (read_nservicebus(headers, origin))
        return;
    *origin = (struct dead_origin){.writer = DEAD_BY_MASSTRANSIT};
    if (read_masstransit(headers, dead_queue, origin))
        return;
    *origin = (struct dead_origin){.writer = DEAD_BY_SPRING};
    if (read_spring(headers, origin))
        return;
    *origin = (struct dead_origin){.writer = DEAD_BY_BROKER};
    if (read_broker(headers, dead_queue, origin))
        return;
    *origin = (struct dead_origin){.writer = DEAD_BY_NOBODY};
}

const char *dead_writer_name(enum dead_writer writer)
{
    static const char *const NAMES[] = {"unknown", "whippet",     "broker",
                                        "spring",  "masstransit", "nservicebus"};
    return NAMES[writer];
}
