#include "http.h"

#include "patience.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int http_connect(unsigned port, double seconds)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval limit = {.tv_sec = (time_t)seconds};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    limit.tv_usec = (suseconds_t)((seconds - (double)limit.tv_sec) * 1e6);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    cr_assert_eq(connect(descriptor, (struct sockaddr *)&address, sizeof(address)), 0,
                 "cannot connect to 127.0.0.1:%u: %s", port, strerror(errno));
    return descriptor;
}

/* What the other side does not want to hear is no error of ours. */
void http_send(int descriptor, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        ssize_t count = send(descriptor, text, left, MSG_NOSIGNAL);
        if (count <= 0) {
            return;
        }
        text += count;
        left -= (size_t)count;
    }
}

struct http_reply http_read(int descriptor)
{
    struct http_reply reply = {0};
    size_t length = 0, room = 65536;
    ssize_t count;

    reply.text = malloc(room + 1);
    while ((count = recv(descriptor, reply.text + length, room - length, 0)) > 0) {
        length += (size_t)count;
        if (length == room) {
            room *= 2;
            reply.text = realloc(reply.text, room + 1);
            cr_assert_not_null(reply.text, "out of memory");
        }
    }
    close(descriptor);
    reply.text[length] = '\0';
    reply.body = strstr(reply.text, "\r\n\r\n");
    reply.body = reply.body ? reply.body + 4 : reply.text + length;
    reply.size = length - (size_t)(reply.body - reply.text);
    sscanf(reply.text, "HTTP/1.1 %d", &reply.status);
    return reply;
}

struct http_reply http_request(unsigned port, const char *method, const char *path, const char *headers)
{
    int descriptor = http_connect(port, patience_stretched(10));
    char *text;

    cr_assert_geq(asprintf(&text, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n", method,
                           path, headers),
                  0, "out of memory");
    http_send(descriptor, text);
    free(text);
    return http_read(descriptor);
}

struct http_reply http_get(unsigned port, const char *path)
{
    return http_request(port, "GET", path, "");
}

void http_free(struct http_reply *reply)
{
    free(reply->text);
    *reply = (struct http_reply){0};
}

bool http_says(const struct http_reply *reply, const char *text)
{
    return strstr(reply->text, text) != NULL;
}

double http_sample(const struct http_reply *reply, const char *name)
{
    size_t length = strlen(name);

    for (const char *line = reply->body; line && *line;) {
        if (strncmp(line, name, length) == 0) {
            return strtod(line + length, NULL);
        }
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    cr_assert_fail("there is no sample %s in\n%s", name, reply->text);
    return 0;
}
