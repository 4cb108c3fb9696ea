/* Answering a message. */
#include <base/bytes.h>
#include <base/random.h>
#include <stdio.h>
#include <whippet/publish.h>

enum {
    NAME_SIZE = 256, /* of a short string, with a NUL */
    ID_SIZE = 37,    /* of a UUID's text */
};

/* False when it can't be written as a C string. */
static bool copy_name(whippet_bytes name, char text[NAME_SIZE])
{
    if (name.len >= NAME_SIZE || (name.len > 0 && memchr(name.data, '\0', name.len) != NULL))
        return false;
    memcpy(text, name.len > 0 ? name.data : "", name.len);
    text[name.len] = '\0';
    return true;
}

static unsigned random_word(void)
{
    return (unsigned)(random_unit() * 4294967296.0);
}

/* A random UUID (RFC 9562, version 4). */
static void make_id(char id[ID_SIZE])
{
    unsigned a = random_word(), b = random_word(), c = random_word(), d = random_word();
    snprintf(id, ID_SIZE, "%08x-%04x-4%03x-%04x-%04x%08x", a, b >> 16, b & 0xfff, 0x8000 | (c >> 18),
             c & 0xffff, d);
}

int whippet_reply(whippet_task *task, const whippet_message *message, const whippet_publication *reply)
{
    char routing_key[NAME_SIZE], correlation_id[NAME_SIZE], id[ID_SIZE];
    whippet_bytes correlation = whippet_correlation_id(message);
    if (correlation.data == NULL)
        correlation = whippet_message_id(message);
    if (reply->exchange != NULL || reply->routing_key != NULL || reply->correlation_id != NULL ||
        whippet_reply_to(message).len == 0 || !copy_name(whippet_reply_to(message), routing_key) ||
        !copy_name(correlation, correlation_id))
        return WHIPPET_E_INVALID;
    whippet_publication publication = *reply;
    publication.routing_key = routing_key;
    if (correlation.data != NULL)
        publication.correlation_id = correlation_id;
    if (publication.message_id == NULL) {
        make_id(id);
        publication.message_id = id;
    }
    return whippet_publish(task, &publication);
}
