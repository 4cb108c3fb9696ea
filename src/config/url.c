#include "url.h"
#include "limits.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    DEFAULT_PORT = 5672,
    DEFAULT_TLS_PORT = 5671,
    LONGEST_VHOST = 255,
};

static const char form[] = "amqp://user:password@host:port/vhost";

/* The parts as they are written. A part that is absent has a NULL begin. */
struct part {
    const char *begin;
    size_t length;
};

struct url_parts {
    struct part user, password, host, port, vhost;
    bool tls;
    const char *query; /* behind the "?"; NULL: none */
};

static struct part part_between(const char *begin, const char *end)
{
    return (struct part){.begin = begin, .length = (size_t)(end - begin)};
}

static const char *find_last(const char *begin, const char *end, char character)
{
    return memrchr(begin, character, (size_t)(end - begin));
}

static const char *find_first(const char *begin, const char *end, char character)
{
    return memchr(begin, character, (size_t)(end - begin));
}

/* The part behind "amqp://" or "amqps://", or NULL. */
static const char *skip_scheme(const char *url, bool *tls, struct whippet_failure *failure)
{
    const char *separator = strstr(url, "://");
    size_t length = separator != NULL ? (size_t)(separator - url) : 0;
    *tls = length == 5 && strncasecmp(url, "amqps", 5) == 0;
    if (*tls || (length == 4 && strncasecmp(url, "amqp", 4) == 0))
        return separator + 3;
    if (*url == '\0')
        failure_set(failure, WHIPPET_E_INVALID, "the URL is empty; expected %s", form);
    else
        failure_set(failure, WHIPPET_E_INVALID, "expected a URL of the form %s", form);
    return NULL;
}

/* user[:password]@host[:port], between `begin` and `end`. */
static int split_authority(struct url_parts *parts, const char *begin, const char *end,
                           struct whippet_failure *failure)
{
    const char *at = find_last(begin, end, '@');
    if (at != NULL) {
        const char *colon = find_first(begin, at, ':');
        parts->user = part_between(begin, colon != NULL ? colon : at);
        if (colon != NULL)
            parts->password = part_between(colon + 1, at);
        begin = at + 1;
    }
    const char *host_end = begin;
    if (begin < end && *begin == '[') {
        const char *bracket = find_first(begin, end, ']');
        if (bracket == NULL)
            return failure_set(failure, WHIPPET_E_INVALID, "the [ of an IPv6 address has no ]");
        host_end = bracket + 1;
    } else {
        const char *colon = find_last(begin, end, ':');
        host_end = colon != NULL ? colon : end;
    }
    parts->host = part_between(begin, host_end);
    if (host_end == end)
        return 0;
    if (*host_end != ':')
        return failure_set(failure, WHIPPET_E_INVALID,
                           "something other than a port follows the ] of an IPv6 address");
    parts->port = part_between(host_end + 1, end);
    return 0;
}

static bool has_space(const char *text)
{
    while ((unsigned char)*text > ' ' && *text != 0x7f)
        text++;
    return *text != '\0';
}

static int split_url(struct url_parts *parts, const char *url, struct whippet_failure *failure)
{
    const char *begin = skip_scheme(url, &parts->tls, failure);
    if (begin == NULL)
        return WHIPPET_E_INVALID;
    if (has_space(url))
        return failure_set(
            failure, WHIPPET_E_INVALID,
            "it holds a space, a line break or another control character; remove it, or write it as %%20");
    const char *authority_end = begin + strcspn(begin, "/?#");
    /* An @ behind that belongs to a password with one of those characters in it, which must not be taken for
     * a host or a virtual host, and shown. */
    if (strchr(authority_end, '@') != NULL)
        return failure_set(
            failure, WHIPPET_E_INVALID,
            "an @ stands behind the first / ? or #; write those as %%40 %%2F %%3F %%23 within user, "
            "password and virtual host");
    if (strchr(authority_end, '#') != NULL)
        return failure_set(failure, WHIPPET_E_INVALID,
                           "a # has no place in it; within a password it is written %%23");
    const char *path_end = authority_end + strcspn(authority_end, "?");
    if (*path_end == '?')
        parts->query = path_end + 1;
    if (*authority_end == '/')
        parts->vhost = part_between(authority_end + 1, path_end);
    return split_authority(parts, begin, authority_end, failure);
}

/* What other clients take as ?name=value. */
static int refuse_query(const char *query, struct whippet_failure *failure)
{
    static const struct {
        const char *name;
        const char *key;
    } known[] = {
        {"heartbeat", "amqp.heartbeat"},
        {"connection_timeout", "amqp.connect_timeout"},
        {"connect_timeout", "amqp.connect_timeout"},
        {"connection_attempts", "amqp.reconnect"},
        {"retry_delay", "amqp.reconnect.min"},
        {"prefetch", "queues[].prefetch"},
        {"cacertfile", "amqp.tls.ca"},
        {"certfile", "amqp.tls.cert"},
        {"keyfile", "amqp.tls.key"},
        {"password", "amqp.tls.key_password_file"},
        {"verify", "amqp.tls.verify"},
        {"server_name_indication", "amqp.tls.server_name"},
        {"auth_mechanism", "amqp.tls.cert"},
    };
    size_t length = strcspn(query, "=&");
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i].name) == length && strncmp(query, known[i].name, length) == 0)
            return failure_set(failure, WHIPPET_E_INVALID, "it takes no ?%s=; set the key %s instead",
                               known[i].name, known[i].key);
    }
    return failure_set(failure, WHIPPET_E_INVALID,
                       "it takes no ?name=value; remove that, and within a password write ? as %%3F");
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* The byte that %XX at `text` stands for; -1 when it is none. */
static int percent_value(const char *text, const char *end)
{
    int high = end - text > 2 ? hex_value(text[1]) : -1;
    int low = high >= 0 ? hex_value(text[2]) : -1;
    return low >= 0 ? high * 16 + low : -1;
}

/* The part with %XX resolved, or `fallback` when it is absent. */
static int decode(struct part part, const char *name, const char *fallback, struct config_arena *arena,
                  const char **text, struct whippet_failure *failure)
{
    if (part.begin == NULL)
        part = part_between(fallback, fallback + strlen(fallback));
    const char *at = part.begin, *end = part.begin + part.length;
    char *decoded = config_arena_allocate(arena, part.length + 1);
    if (decoded == NULL)
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    *text = decoded;
    while (at < end) {
        int byte = *at == '%' ? percent_value(at, end) : (unsigned char)*at;
        if (byte <= 0)
            return failure_set(
                failure, WHIPPET_E_INVALID,
                "the %s has a %% that no two hexadecimal digits follow, or is %%00; a %% itself is "
                "written %%25",
                name);
        at += *at == '%' ? 3 : 1;
        *decoded++ = (char)byte;
    }
    return 0;
}

static int read_port(struct part part, bool tls, uint16_t *port, struct whippet_failure *failure)
{
    unsigned number = 0;
    *port = tls ? DEFAULT_TLS_PORT : DEFAULT_PORT;
    if (part.length == 0)
        return 0;
    for (size_t i = 0; i < part.length && number <= UINT16_MAX; i++) {
        bool is_digit = part.begin[i] >= '0' && part.begin[i] <= '9';
        number = is_digit ? number * 10 + (unsigned)(part.begin[i] - '0') : UINT16_MAX + 1u;
    }
    if (number == 0 || number > UINT16_MAX)
        return failure_set(
            failure, WHIPPET_E_INVALID,
            "the port is not a number from 1 to 65535; if it is part of the password, write a / within "
            "that as %%2F");
    *port = (uint16_t)number;
    return 0;
}

/* What stands between the brackets: an address, and perhaps its zone ("%25eth0", already decoded). */
static bool is_ipv6_address(const char *text)
{
    char address[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    size_t length = strcspn(text, "%");
    if (length >= sizeof address)
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    return inet_pton(AF_INET6, address, bytes) == 1;
}

static int read_host(struct part part, struct config_arena *arena, const char **host,
                     struct whippet_failure *failure)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
    bool is_bracketed = part.length > 0 && part.begin[0] == '[';
    if (is_bracketed)
        part = (struct part){.begin = part.begin + 1, .length = part.length - 2};
    int result = decode(part, "host", "", arena, host, failure);
    if (result != 0)
        return result;
    if (is_bracketed)
        return is_ipv6_address(*host)
                   ? 0
                   : failure_set(failure, WHIPPET_E_INVALID, "what stands in [ ] is not an IPv6 address");
    if (**host == '\0')
        return failure_set(failure, WHIPPET_E_INVALID, "it names no host; expected %s", form);
    if (strspn(*host, allowed) != strlen(*host) || strlen(*host) > LONGEST_HOST)
        return failure_set(
            failure, WHIPPET_E_INVALID,
            "the host has characters that no host name has, or too many; an IPv6 address takes [ ], and "
            "of several brokers each is a URL of its own in a list");
    return 0;
}

static int read_vhost(struct part part, struct config_arena *arena, const char **vhost,
                      struct whippet_failure *failure)
{
    /* The specification takes "amqp://host/" for the virtual host with the empty name, which nobody has. */
    if (part.length == 0)
        part.begin = NULL;
    if (part.begin != NULL && memchr(part.begin, '/', part.length) != NULL)
        return failure_set(failure, WHIPPET_E_INVALID, "the virtual host holds a /, which is written %%2F");
    int result = decode(part, "virtual host", "/", arena, vhost, failure);
    if (result == 0 && strlen(*vhost) > LONGEST_VHOST)
        return failure_set(failure, WHIPPET_E_INVALID, "the virtual host is longer than %d bytes",
                           LONGEST_VHOST);
    return result;
}

/* Writes `text` with everything as %XX but plain characters, and those of `more`; its end. */
static char *put_encoded(char *at, const char *text, const char *more)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_~";
    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL || strchr(more, *text) != NULL)
            *at++ = *text;
        else
            at += sprintf(at, "%%%02X", (unsigned)(unsigned char)*text);
    }
    *at = '\0';
    return at;
}

static int write_display(struct broker_address *address, struct config_arena *arena,
                         struct whippet_failure *failure)
{
    size_t size = sizeof "amqps://@[]:65535/" + 3 * strlen(address->user) + 3 * strlen(address->host) +
                  3 * strlen(address->vhost);
    bool is_ipv6 = strchr(address->host, ':') != NULL;
    address->display = config_arena_allocate(arena, size);
    if (address->display == NULL)
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    char *at = stpcpy(address->display, address->tls ? "amqps://" : "amqp://");
    at = put_encoded(at, address->user, "");
    at = stpcpy(at, is_ipv6 ? "@[" : "@");
    at = put_encoded(at, address->host, ":");
    at += sprintf(at, is_ipv6 ? "]:%u/" : ":%u/", (unsigned)address->port);
    if (strcmp(address->vhost, "/") != 0)
        put_encoded(at, address->vhost, "");
    return 0;
}

int url_parse(const char *url, struct config_arena *arena, struct broker_address *address,
              struct whippet_failure *failure)
{
    struct url_parts parts = {0};
    *address = (struct broker_address){0};
    int result = split_url(&parts, url, failure);
    if (result == 0 && parts.query != NULL)
        result = refuse_query(parts.query, failure);
    address->tls = parts.tls;
    address->has_password = parts.password.begin != NULL;
    if (result == 0)
        result = decode(parts.user, "user", "guest", arena, &address->user, failure);
    if (result == 0)
        result = decode(parts.password, "password", "guest", arena, &address->password, failure);
    if (result == 0)
        result = read_host(parts.host, arena, &address->host, failure);
    if (result == 0)
        result = read_port(parts.port, parts.tls, &address->port, failure);
    if (result == 0)
        result = read_vhost(parts.vhost, arena, &address->vhost, failure);
    if (result == 0)
        result = write_display(address, arena, failure);
    return result;
}

const char *url_stand_in(const char **variable)
{
    static const char *const variables[] = {"AMQP_URL", "RABBITMQ_URL"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const char *url = getenv(variables[i]);
        *variable = variables[i];
        if (url != NULL && *url != '\0')
            return url;
    }
    *variable = NULL;
    return "amqp://guest:guest@localhost:5672/";
}
