/* From the socket to the session and back. */
#include "connection_internal.h"
#include <math.h>
#include <string.h>

enum {
    /* Per event, so that one peer that takes everything can't keep the loop from the others. */
    WRITE_PER_EVENT = 512 * 1024,
    /* What the output queue keeps of its memory when it has run empty. */
    OUTPUT_KEPT = 256 * 1024,
};

/* --- Bytes ----------------------------------------------------------------------------------------------*/

/* TLS may wait for the socket to take something before it can read, and the other way round. */
static void watch_as_needed(struct connection *connection)
{
    const struct transport *transport = connection->transport;
    int events = 0;
    if (!connection->reading_paused)
        events |= WHIPPET_READABLE | (transport->reading_awaits_writable ? WHIPPET_WRITABLE : 0);
    if (buffer_length(session_output(connection->session)) > 0)
        events |= transport->writing_awaits_readable ? WHIPPET_READABLE : WHIPPET_WRITABLE;
    watch_set(connection->watch, events);
}

static void arm_tick(struct connection *connection)
{
    struct timers *timers = &loop_scheduler(connection->loop)->timers;
    double next = session_next_tick(connection->session);
    if (isinf(next))
        timer_stop(timers, &connection->tick);
    else if ((!timer_armed(&connection->tick) || next < connection->tick.at) &&
             !timer_start(timers, &connection->tick, next))
        session_abort(connection->session, "out of memory for the heartbeat's timer");
}

/* Takes one read's worth. */
static void read_once(struct connection *connection)
{
    struct whippet_failure failure;
    struct transport *transport = connection->transport;
    ssize_t count = transport->kind->read(transport, connection->input + connection->input_size,
                                          CONNECTION_READ_CAPACITY - connection->input_size, &failure);
    if (transport->has_more)
        scheduler_post(loop_scheduler(connection->loop), &connection->read_on);
    if (count == TRANSPORT_AGAIN)
        return;
    if (count <= 0) {
        session_abort(connection->session,
                      count == TRANSPORT_CLOSED ? "the broker hung up without a word" : failure.text);
        return;
    }
    connection->input_size += (size_t)count;
    size_t used = session_receive(connection->session, connection->input, connection->input_size,
                                  loop_now(connection->loop));
    connection->input_size -= used;
    if (connection->input_size > 0 && used > 0)
        memmove(connection->input, connection->input + used, connection->input_size);
}

/* What was sent before the session is open may have been the password. */
static void consume_sent(struct connection *connection, size_t count)
{
    struct buffer *output = session_output(connection->session);
    if (session_state(connection->session) < SESSION_OPEN)
        explicit_bzero(buffer_begin(output), count);
    buffer_consume(output, count);
    session_sent(connection->session, loop_now(connection->loop));
}

/* Sends what the socket takes, up to a cap. */
static void write_some(struct connection *connection)
{
    struct buffer *output = session_output(connection->session);
    size_t budget = WRITE_PER_EVENT;
    while (buffer_length(output) > 0 && budget > 0) {
        struct whippet_failure failure;
        size_t size = buffer_length(output) < budget ? buffer_length(output) : budget;
        struct transport *transport = connection->transport;
        ssize_t count = transport->kind->write(transport, buffer_begin(output), size, &failure);
        if (count == TRANSPORT_AGAIN)
            break;
        if (count < 0) {
            session_abort(connection->session, failure.text);
            return;
        }
        consume_sent(connection, (size_t)count);
        budget -= (size_t)count;
    }
    buffer_trim(output, OUTPUT_KEPT);
}

void connection_on_flush(struct posted *posted)
{
    struct connection *connection = list_entry(posted, struct connection, flush);
    if (connection->transport == NULL)
        return;
    if (connection->state == CONNECTION_OPEN && connection->handlers->flushing != NULL) {
        connection->flushing = true;
        connection->handlers->flushing(connection->owner);
        connection->flushing = false;
    }
    if (session_state(connection->session) == SESSION_CLOSED)
        return;
    write_some(connection);
    if (session_state(connection->session) == SESSION_CLOSED)
        return;
    watch_as_needed(connection);
    arm_tick(connection);
    if (connection->state == CONNECTION_OPEN && connection->handlers->flushed != NULL)
        connection->handlers->flushed(connection->owner);
}

void connection_on_ready(void *owner, int events)
{
    struct connection *connection = owner;
    const struct transport *transport = connection->transport;
    bool readable = (events & WHIPPET_READABLE) != 0 || transport->reading_awaits_writable;
    if (readable && !connection->reading_paused)
        read_once(connection);
    if (session_state(connection->session) != SESSION_CLOSED &&
        ((events & WHIPPET_WRITABLE) != 0 || transport->reading_awaits_writable ||
         buffer_length(session_output(connection->session)) > 0))
        connection_touch(connection);
}

void connection_on_read_on(struct posted *posted)
{
    struct connection *connection = list_entry(posted, struct connection, read_on);
    if (connection->transport != NULL && session_state(connection->session) != SESSION_CLOSED)
        connection_on_ready(connection, WHIPPET_READABLE);
}

/* What came while the loop was busy elsewhere is taken before silence is held against the broker. */
void connection_on_tick(struct timer *timer)
{
    struct connection *connection = list_entry(timer, struct connection, tick);
    if (connection->reading_paused)
        session_excuse_silence(connection->session, loop_now(connection->loop));
    else
        read_once(connection);
    if (session_state(connection->session) == SESSION_CLOSED)
        return;
    session_tick(connection->session, loop_now(connection->loop));
    if (session_state(connection->session) == SESSION_CLOSED)
        return;
    arm_tick(connection);
    connection_touch(connection);
}

/* --- What the owner asks --------------------------------------------------------------------------------*/

void connection_touch(struct connection *connection)
{
    if (!connection->flushing)
        scheduler_post(loop_scheduler(connection->loop), &connection->flush);
}

void connection_send_now(struct connection *connection)
{
    struct whippet_failure ignored;
    struct buffer *output = connection->state == CONNECTION_OPEN ? session_output(connection->session) : NULL;
    if (output == NULL || buffer_length(output) == 0)
        return;
    ssize_t count = connection->transport->kind->write(connection->transport, buffer_begin(output),
                                                       buffer_length(output), &ignored);
    if (count <= 0)
        return;
    consume_sent(connection, (size_t)count);
}

size_t connection_backlog(const struct connection *connection)
{
    return connection->session != NULL ? buffer_length(session_output(connection->session)) : 0;
}

void connection_pause_reading(struct connection *connection, bool paused)
{
    connection->reading_paused = paused;
    if (connection->transport == NULL)
        return;
    watch_as_needed(connection);
    if (!paused && connection->transport->has_more)
        scheduler_post(loop_scheduler(connection->loop), &connection->read_on);
}
