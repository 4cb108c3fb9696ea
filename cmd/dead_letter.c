#include "dead_letter.h"
#include <base/bytes.h>
#include <base/memory.h>

struct dead_letter *dead_letter_create(struct message *message, uint64_t body_size, const char *queue)
{
    struct dead_letter *letter = memory_allocate_zeroed(sizeof *letter);
    if (letter == NULL) {
        message_destroy(message);
        return NULL;
    }
    list_init(&letter->link);
    letter->message = message;
    letter->body_size = body_size;
    dead_origin_read(message, queue, &letter->origin);
    return letter;
}

void dead_letter_destroy(struct dead_letter *letter)
{
    message_destroy(letter->message);
    memory_free(letter);
}

/* --- Its headers ----------------------------------------------------------------------------------------*/

/* Nothing where they can't be read. */
static whippet_bytes headers_of(const struct dead_letter *letter)
{
    if (letter->message->headers == PROPERTIES_HEADERS_MALFORMED)
        return (whippet_bytes){0};
    return properties_get(letter->message->properties, PROPERTY_HEADERS);
}

static int64_t integer_header(const struct dead_letter *letter, const char *name)
{
    whippet_value value = table_find(headers_of(letter), bytes_of_text(name));
    return value.kind == WHIPPET_VALUE_INTEGER && value.integer > 0 ? value.integer : 0;
}

uint64_t dead_letter_returns(const struct dead_letter *letter)
{
    return (uint64_t)integer_header(letter, "x-delivery-count");
}

int64_t dead_letter_replays(const struct dead_letter *letter)
{
    return integer_header(letter, "whippet-replayed");
}

static bool contains(whippet_bytes where, const char *what)
{
    return where.len > 0 && memmem(where.data, where.len, what, strlen(what)) != NULL;
}

bool dead_filter_matches(const struct dead_filter *filter, const struct dead_letter *letter)
{
    whippet_bytes reason = letter->origin.reason;
    if (reason.data == NULL)
        reason = bytes_of_text(DEAD_REASON_UNKNOWN);
    if (filter->reason != NULL && !bytes_equal_text(reason, filter->reason))
        return false;
    return filter->match == NULL || contains(letter->message->body, filter->match) ||
           contains(letter->message->properties, filter->match);
}

/* --- Copies ---------------------------------------------------------------------------------------------*/

/* The record of a death: ours, and the broker's, which it would take for a cycle
 * (rabbitmq/rabbitmq-server#10709). What other frameworks wrote is theirs, and stays. */
static const char *const RECORD_OF_DEATH[] = {
    "whippet-reason",
    "whippet-error",
    "whippet-attempts",
    "whippet-attempt",
    "whippet-queue",
    "whippet-exchange",
    "whippet-routing-key",
    "whippet-processor",
    "whippet-failed-at",
    "whippet-host",
    "whippet-expiration",
    "whippet-replayed",
    "x-death",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-exchange",
    "x-last-death-queue",
    "x-last-death-reason",
};

static bool is_record_of_death(whippet_bytes name)
{
    for (size_t i = 0; i < sizeof RECORD_OF_DEATH / sizeof RECORD_OF_DEATH[0]; i++)
        if (bytes_equal_text(name, RECORD_OF_DEATH[i]))
            return true;
    return false;
}

/* The broker would route by CC and BCC (https://www.rabbitmq.com/docs/sender-selected); the count is its own.
 */
static bool copy_header(struct buffer *entries, whippet_bytes name, const whippet_value *value,
                        whippet_bytes raw)
{
    bool is_array = value->kind == WHIPPET_VALUE_ARRAY;
    if (bytes_equal_text(name, "CC"))
        return !is_array || table_add_nested(entries, bytes_of_text("whippet-cc"), 'A', value->entries);
    if (bytes_equal_text(name, "BCC"))
        return !is_array || table_add_nested(entries, bytes_of_text("whippet-bcc"), 'A', value->entries);
    return bytes_equal_text(name, "x-delivery-count") || buffer_append(entries, raw.data, raw.len);
}

static bool copy_headers(const struct dead_letter *letter, bool with_record, bool with_user,
                         struct buffer *entries)
{
    whippet_bytes rest = headers_of(letter), name, raw;
    whippet_value value;
    while (table_next(&rest, &name, &value, &raw)) {
        if (!with_record && is_record_of_death(name))
            continue;
        if (!with_user && bytes_equal_text(name, "whippet-user-id"))
            continue;
        if (!copy_header(entries, name, &value, raw))
            return false;
    }
    return true;
}

/* RabbitMQ takes a user id only from that user (https://www.rabbitmq.com/docs/validated-user-id), and closes
 * the channel otherwise. */
static whippet_bytes foreign_user(const struct dead_letter *letter, const char *user)
{
    whippet_bytes claimed = properties_get(letter->message->properties, PROPERTY_USER_ID);
    return claimed.len > 0 && !bytes_equal_text(claimed, user) ? claimed : (whippet_bytes){0};
}

static bool keep_user_aside(struct buffer *entries, whippet_bytes foreign)
{
    return foreign.len == 0 || table_add_text(entries, bytes_of_text("whippet-user-id"), foreign);
}

static whippet_bytes written(const struct buffer *buffer)
{
    return bytes_of(buffer_begin(buffer), buffer_length(buffer));
}

int dead_letter_copy(const struct dead_letter *letter, const char *user, struct buffer *out)
{
    whippet_bytes foreign = foreign_user(letter, user);
    struct buffer entries;
    int error = WHIPPET_E_MEMORY;
    buffer_init(&entries);
    if (copy_headers(letter, true, foreign.len == 0, &entries) && keep_user_aside(&entries, foreign))
        error = properties_copy(out, letter->message->properties, written(&entries),
                                foreign.len > 0 ? 1u << PROPERTY_USER_ID : 0);
    buffer_destroy(&entries);
    return error;
}

/* `properties` again with one of its texts as it was before the death, when that is told. */
static int restore(struct buffer *properties, enum property property, whippet_bytes text)
{
    struct buffer restored;
    if (text.data == NULL || text.len > 255)
        return 0;
    buffer_init(&restored);
    int error = properties_copy_with(&restored, written(properties), property, text);
    buffer_clear(properties);
    if (error == 0 && !buffer_append(properties, buffer_begin(&restored), buffer_length(&restored)))
        error = WHIPPET_E_MEMORY;
    buffer_destroy(&restored);
    return error;
}

static whippet_bytes kept_aside(const struct dead_letter *letter, const char *name)
{
    whippet_value value = table_find(headers_of(letter), bytes_of_text(name));
    return value.kind == WHIPPET_VALUE_TEXT ? value.bytes : (whippet_bytes){0};
}

int dead_letter_revive(const struct dead_letter *letter, const char *user, struct buffer *out)
{
    whippet_bytes foreign = foreign_user(letter, user);
    whippet_bytes author = kept_aside(letter, "whippet-user-id");
    bool author_is_us = bytes_equal_text(author, user);
    struct buffer entries;
    int error = WHIPPET_E_MEMORY;
    buffer_init(&entries);
    if (copy_headers(letter, false, foreign.len == 0 && !author_is_us, &entries) &&
        keep_user_aside(&entries, foreign) &&
        table_add_integer(&entries, bytes_of_text("whippet-replayed"), dead_letter_replays(letter) + 1))
        error = properties_copy(out, letter->message->properties, written(&entries),
                                foreign.len > 0 ? 1u << PROPERTY_USER_ID : 0);
    buffer_destroy(&entries);
    if (error == 0)
        error = restore(out, PROPERTY_EXPIRATION, kept_aside(letter, "whippet-expiration"));
    if (error == 0 && author_is_us)
        error = restore(out, PROPERTY_USER_ID, author);
    return error;
}
