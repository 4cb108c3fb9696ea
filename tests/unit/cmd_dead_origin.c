/* What the headers of dead letters tell, for each kind of writer. */
#include "../../cmd/dead_origin.h"
#include <base/buffer.h>
#include <criterion/criterion.h>

static struct buffer headers;
static struct message *message;
static struct dead_origin origin;

static void begin(void)
{
    buffer_init(&headers);
}

static void end(void)
{
    message_destroy(message);
    buffer_destroy(&headers);
}

TestSuite(dead_origin, .init = begin, .fini = end);

static void add(const char *name, const char *value)
{
    cr_assert(table_add_text(&headers, bytes_of_text(name), bytes_of_text(value)));
}

static void read_origin(const char *dead_queue)
{
    struct buffer properties;
    struct properties_draft draft = {
        .header_entries = bytes_of(buffer_begin(&headers), buffer_length(&headers)), .delivery_mode = 2};
    buffer_init(&properties);
    cr_assert_eq(properties_write(&properties, &draft), 0);
    message = message_create((whippet_bytes){0}, bytes_of_text(dead_queue),
                             bytes_of(buffer_begin(&properties), buffer_length(&properties)), 0);
    cr_assert_not_null(message);
    message->headers = properties_check(message->properties);
    buffer_destroy(&properties);
    dead_origin_read(message, dead_queue, &origin);
}

static void assert_bytes(whippet_bytes bytes, const char *expected)
{
    cr_assert_not_null(bytes.data, "absent instead of \"%s\"", expected);
    cr_assert(bytes_equal_text(bytes, expected), "\"%.*s\" instead of \"%s\"", (int)bytes.len,
              (const char *)bytes.data, expected);
}

Test(dead_origin, is_told_by_our_own_headers)
{
    add("whippet-reason", "retry-exhausted");
    add("whippet-queue", "orders");
    add("whippet-exchange", "shop");
    add("whippet-routing-key", "orders.new");
    add("whippet-error", "boom");
    add("whippet-failed-at", "2026-11-21T09:30:00.250Z");
    table_add_integer(&headers, bytes_of_text("whippet-attempts"), 5);
    read_origin("orders.dead");
    cr_assert_eq(origin.writer, DEAD_BY_WHIPPET);
    assert_bytes(origin.queue, "orders");
    assert_bytes(origin.exchange, "shop");
    assert_bytes(origin.routing_key, "orders.new");
    assert_bytes(origin.reason, "retry-exhausted");
    assert_bytes(origin.error, "boom");
    cr_assert_str_eq(origin.failed_at, "2026-11-21T09:30:00.250Z");
    cr_assert_eq(origin.attempts, 5);
}

/* One entry of x-death. */
static void add_death(struct buffer *deaths, const char *queue, const char *reason)
{
    struct buffer death, keys;
    buffer_init(&death);
    buffer_init(&keys);
    table_add_text(&keys, (whippet_bytes){0}, bytes_of_text("orders.new"));
    table_add_integer(&death, bytes_of_text("count"), 2);
    table_add_text(&death, bytes_of_text("reason"), bytes_of_text(reason));
    table_add_text(&death, bytes_of_text("queue"), bytes_of_text(queue));
    table_add_timestamp(&death, bytes_of_text("time"), 1700000000);
    table_add_text(&death, bytes_of_text("exchange"), bytes_of_text("shop"));
    table_add_nested(&death, bytes_of_text("routing-keys"), 'A',
                     bytes_of(buffer_begin(&keys), buffer_length(&keys)));
    table_add_nested(deaths, (whippet_bytes){0}, 'F', bytes_of(buffer_begin(&death), buffer_length(&death)));
    buffer_destroy(&death);
    buffer_destroy(&keys);
}

static void add_deaths(const char *first, const char *second)
{
    struct buffer deaths;
    buffer_init(&deaths);
    add_death(&deaths, first, "rejected");
    add_death(&deaths, second, "expired");
    table_add_nested(&headers, bytes_of_text("x-death"), 'A',
                     bytes_of(buffer_begin(&deaths), buffer_length(&deaths)));
    buffer_destroy(&deaths);
}

Test(dead_origin, is_the_latest_death_in_the_brokers_record)
{
    add_deaths("orders", "orders.wait");
    read_origin("orders.dead");
    cr_assert_eq(origin.writer, DEAD_BY_BROKER);
    assert_bytes(origin.queue, "orders");
    assert_bytes(origin.reason, "rejected");
    assert_bytes(origin.exchange, "shop");
    assert_bytes(origin.routing_key, "orders.new");
    cr_assert_eq(origin.attempts, 2);
    cr_assert_str_eq(origin.failed_at, "2023-11-14T22:13:20.000Z");
}

Test(dead_origin, is_not_the_dead_letter_queue_itself)
{
    add_deaths("orders.dead", "orders");
    read_origin("orders.dead");
    assert_bytes(origin.queue, "orders");
    assert_bytes(origin.reason, "expired");
}

Test(dead_origin, of_spring_is_an_exchange)
{
    add("x-original-exchange", "shop");
    add("x-original-routingKey", "orders.new");
    add("x-exception-message", "boom");
    read_origin("errors");
    cr_assert_eq(origin.writer, DEAD_BY_SPRING);
    cr_assert_null(origin.queue.data);
    assert_bytes(origin.exchange, "shop");
    assert_bytes(origin.routing_key, "orders.new");
    assert_bytes(origin.error, "boom");
}

Test(dead_origin, of_spring_is_a_queue_where_that_was_addressed_directly)
{
    add("x-original-exchange", "");
    add("x-original-routingKey", "orders");
    read_origin("errors");
    assert_bytes(origin.queue, "orders");
}

Test(dead_origin, of_masstransit_is_the_input_address)
{
    add("MT-Reason", "fault");
    add("MT-Fault-InputAddress", "rabbitmq://localhost/shop/order-service?durable=true");
    add("MT-Fault-ExceptionType", "System.TimeoutException");
    add("MT-Fault-Message", "too slow");
    add("MT-Fault-Timestamp", "2026-11-21T09:30:00.0000000Z");
    read_origin("order-service_error");
    cr_assert_eq(origin.writer, DEAD_BY_MASSTRANSIT);
    assert_bytes(origin.queue, "order-service");
    assert_bytes(origin.reason, "System.TimeoutException");
    assert_bytes(origin.error, "too slow");
}

Test(dead_origin, of_masstransit_is_in_the_queues_name_where_no_address_is_told)
{
    add("MT-Reason", "dead-letter");
    read_origin("order-service_skipped");
    assert_bytes(origin.queue, "order-service");
    assert_bytes(origin.reason, "dead-letter");
}

Test(dead_origin, of_nservicebus_is_the_failed_queue)
{
    add("NServiceBus.FailedQ", "Sales@MACHINE");
    add("NServiceBus.ExceptionInfo.ExceptionType", "System.Exception");
    add("NServiceBus.ExceptionInfo.Message", "boom");
    add("NServiceBus.TimeOfFailure", "2026-11-21 09:30:00:123456 Z");
    read_origin("error");
    cr_assert_eq(origin.writer, DEAD_BY_NSERVICEBUS);
    assert_bytes(origin.queue, "Sales");
    assert_bytes(origin.reason, "System.Exception");
    cr_assert_str_eq(origin.failed_at, "2026-11-21T09:30:00.123Z");
}

Test(dead_origin, is_unknown_without_such_headers)
{
    add("tenant", "acme");
    read_origin("orders.dead");
    cr_assert_eq(origin.writer, DEAD_BY_NOBODY);
    cr_assert_null(origin.queue.data);
}
