#include "property.h"
#include <string.h>

static const char header_prefix[] = "@header:";

static const struct {
    const char *name;
    whippet_bytes (*value)(const whippet_message *message);
} properties[] = {
    {"@message_id", whippet_message_id},
    {"@correlation_id", whippet_correlation_id},
    {"@reply_to", whippet_reply_to},
    {"@type", whippet_type},
    {"@app_id", whippet_app_id},
    {"@user_id", whippet_user_id},
    {"@content_type", whippet_content_type},
    {"@exchange", whippet_exchange},
    {"@routing_key", whippet_routing_key},
    {"@queue", whippet_queue},
};

enum {
    PROPERTIES = sizeof properties / sizeof properties[0],
};

static bool is_header(const char *name)
{
    return strncmp(name, header_prefix, strlen(header_prefix)) == 0;
}

/* Its place in the table; PROPERTIES when it is none of them. */
static size_t find(const char *name)
{
    size_t i = 0;
    while (i < PROPERTIES && strcmp(properties[i].name, name) != 0)
        i++;
    return i;
}

bool property_is_named(const char *key)
{
    return key[0] == '@';
}

bool property_check(const char *option, const char *name, whippet_failure *failure)
{
    if (find(name) < PROPERTIES || (is_header(name) && name[strlen(header_prefix)] != '\0'))
        return true;
    whippet_fail(failure,
                 "%s: there is no property \"%s\"; a message has @message_id, @correlation_id, "
                 "@reply_to, @type, @app_id, @user_id, @content_type, @exchange, @routing_key, @queue and "
                 "@header:NAME (a key of the body that begins with @ is written \"/@…\")",
                 option, name);
    return false;
}

whippet_value property_read(const whippet_message *message, const char *name)
{
    size_t place = find(name);
    if (place == PROPERTIES)
        return whippet_header(message, name + strlen(header_prefix));
    whippet_bytes value = properties[place].value(message);
    return (whippet_value){.kind = value.data != NULL ? WHIPPET_VALUE_TEXT : WHIPPET_VALUE_ABSENT,
                           .bytes = value};
}
