#include "postgres_hosts.h"
#include <async/resolve.h>
#include <async/task.h>
#include <base/buffer.h>
#include <base/memory.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <whippet/task.h>

enum {
    PORT_DEFAULT = 5432,
    PORT_MOST = 65535,
    ADDRESS_SIZE = 64,
};

/* --- Lists ----------------------------------------------------------------------------------------------*/

static size_t list_length(const char *list)
{
    size_t length = 1;
    for (; *list != '\0'; list++)
        length += *list == ',';
    return length;
}

size_t hosts_listed(const char *names)
{
    return list_length(names);
}

/* Where an entry begins; it ends with a comma or the list. */
static const char *list_at(const char *list, size_t index)
{
    for (; index > 0; index--)
        list = strchr(list, ',') + 1;
    return list;
}

/* The port of one host; -1 for what is none. */
static int port_at(const char *ports, size_t index)
{
    const char *text = list_at(ports, list_length(ports) > 1 ? index : 0);
    char *end;
    errno = 0;
    long port = strtol(text, &end, 10);
    if (*text == '\0' || *text == ',')
        return PORT_DEFAULT;
    bool whole = (*end == '\0' || *end == ',') && errno == 0;
    return whole && port > 0 && port <= PORT_MOST ? (int)port : -1;
}

int hosts_check(const char *names, const char *ports, struct whippet_failure *failure)
{
    if (*names == '\0')
        return 0;
    size_t count = list_length(ports);
    if (count > 1 && count != list_length(names))
        return failure_set(failure, WHIPPET_E_INVALID,
                           "the url has %zu hosts and %zu ports: expected one port, or one for each host",
                           list_length(names), count);
    for (size_t i = 0; i < count; i++) {
        if (port_at(ports, i) < 0)
            return failure_set(failure, WHIPPET_E_INVALID, "the url has a port that is none: \"%s\"", ports);
    }
    return 0;
}

/* --- Addresses ------------------------------------------------------------------------------------------*/

struct lists {
    struct buffer names;
    struct buffer addresses;
    struct buffer ports;
    size_t count;
};

/* False when memory is short. */
static bool append(struct buffer *list, bool follows, const char *text)
{
    return (!follows || buffer_append(list, ",", 1)) && buffer_append(list, text, strlen(text));
}

static int lists_add(struct lists *lists, const char *name, const char *address, int port,
                     struct whippet_failure *failure)
{
    char digits[8];
    bool follows = lists->count++ > 0;
    snprintf(digits, sizeof digits, "%d", port);
    bool added = append(&lists->names, follows, name) && append(&lists->addresses, follows, address) &&
                 append(&lists->ports, follows, digits);
    return added ? 0 : failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
}

/* A folder, or Linux's abstract name. */
static bool is_socket(const char *name)
{
    return *name == '\0' || *name == '/' || *name == '@';
}

static int add_addresses(struct lists *lists, const char *name, int port, const struct addrinfo *addresses,
                         struct whippet_failure *failure)
{
    char text[ADDRESS_SIZE];
    int error = 0;
    for (; error == 0 && addresses != NULL; addresses = addresses->ai_next) {
        if (getnameinfo(addresses->ai_addr, addresses->ai_addrlen, text, sizeof text, NULL, 0,
                        NI_NUMERICHOST) == 0)
            error = lists_add(lists, name, text, port, failure);
    }
    return error;
}

struct lookup {
    const char *name;
    int port;
    struct addrinfo *addresses; /* what came of it */
    struct whippet_failure *failure;
};

static int look_up(whippet_task *task, void *arg)
{
    struct lookup *lookup = arg;
    return resolve(task, lookup->name, (uint16_t)lookup->port, &lookup->addresses, lookup->failure);
}

/* In `seconds` at most. */
static int add_host(whippet_task *task, struct lists *lists, const char *name, int port, double seconds,
                    struct whippet_failure *failure)
{
    struct lookup lookup = {.name = name, .port = port, .failure = failure};
    if (is_socket(name))
        return lists_add(lists, name, "", port, failure);
    int error =
        isfinite(seconds) ? whippet_with_timeout(task, seconds, look_up, &lookup) : look_up(task, &lookup);
    if (error != 0)
        return error;
    error = add_addresses(lists, name, port, lookup.addresses, failure);
    freeaddrinfo(lookup.addresses);
    return error;
}

/* Whether the other hosts may do without this one. */
static bool may_be_left_out(whippet_task *task, int error)
{
    return error == WHIPPET_E_SYSTEM || (error == WHIPPET_E_TIMEOUT && task_struck(task) == 0);
}

static int add_hosts(whippet_task *task, struct lists *lists, const char *names, const char *ports,
                     struct whippet_failure *failure)
{
    size_t count = list_length(names);
    int error = 0;
    for (size_t i = 0; i < count && (error == 0 || may_be_left_out(task, error)); i++) {
        const char *entry = list_at(names, i);
        char *name = memory_copy_span(entry, strcspn(entry, ","));
        if (name == NULL)
            return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        error = add_host(task, lists, name, port_at(ports, i), whippet_time_left(task) / (double)(count - i),
                         failure);
        memory_free(name);
    }
    return may_be_left_out(task, error) && lists->count > 0 ? 0 : error;
}

static char *buffer_text(const struct buffer *list)
{
    return memory_copy_span(buffer_begin(list), buffer_length(list));
}

int hosts_resolve(whippet_task *task, const char *names, const char *ports, struct hosts *hosts,
                  struct whippet_failure *failure)
{
    struct lists lists = {.count = 0};
    *hosts = (struct hosts){0};
    if (*names == '\0')
        return 0;
    buffer_init(&lists.names);
    buffer_init(&lists.addresses);
    buffer_init(&lists.ports);
    int error = add_hosts(task, &lists, names, ports, failure);
    if (error == 0) {
        *hosts = (struct hosts){.names = buffer_text(&lists.names),
                                .addresses = buffer_text(&lists.addresses),
                                .ports = buffer_text(&lists.ports)};
        if (hosts->names == NULL || hosts->addresses == NULL || hosts->ports == NULL) {
            hosts_destroy(hosts);
            error = failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        }
    }
    buffer_destroy(&lists.names);
    buffer_destroy(&lists.addresses);
    buffer_destroy(&lists.ports);
    return error;
}

void hosts_destroy(struct hosts *hosts)
{
    memory_free(hosts->names);
    memory_free(hosts->addresses);
    memory_free(hosts->ports);
    *hosts = (struct hosts){0};
}

/* --- One less -------------------------------------------------------------------------------------------*/

size_t hosts_count(const struct hosts *hosts)
{
    return hosts->ports != NULL && *hosts->ports != '\0' ? list_length(hosts->ports) : 0;
}

static bool entry_is(const char *list, size_t index, const char *text)
{
    const char *entry = list_at(list, index);
    size_t length = strcspn(entry, ",");
    return strlen(text) == length && memcmp(entry, text, length) == 0;
}

static void list_remove_entry(char *list, size_t index)
{
    char *entry = (char *)list_at(list, index), *end = entry + strcspn(entry, ",");
    if (*end == ',')
        memmove(entry, end + 1, strlen(end + 1) + 1);
    else
        entry[entry > list ? -1 : 0] = '\0';
}

size_t hosts_remove(struct hosts *hosts, const char *name, const char *address, const char *port)
{
    size_t count = hosts_count(hosts);
    for (size_t i = count; i-- > 0;) {
        bool has_address = !entry_is(hosts->addresses, i, "");
        if (!entry_is(hosts->names, i, name) || !entry_is(hosts->ports, i, port) ||
            (has_address && address != NULL && !entry_is(hosts->addresses, i, address)))
            continue;
        list_remove_entry(hosts->names, i);
        list_remove_entry(hosts->addresses, i);
        list_remove_entry(hosts->ports, i);
    }
    return hosts_count(hosts);
}
