#include "management.h"
#include "patience.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(bind(descriptor, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(getsockname(descriptor, (struct sockaddr *)&address, &size), 0);
    close(descriptor);
    return ntohs(address.sin_port);
}

unsigned management_enable(struct broker *broker)
{
    enum {
        TRIES = 3 /* somebody else may take the port meanwhile */
    };
    const char *said = "";
    char path[512];
    FILE *file;

    snprintf(path, sizeof path, "%s/enabled_plugins", broker->folder);
    file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    fputs("[rabbitmq_management].\n", file);
    fclose(file);
    /* The broker takes connections a moment before it takes plugins. */
    await(30, strstr(broker_eval(broker, "rabbit:is_running()"), "true") != NULL, "the broker to be up");
    for (unsigned i = 0; i < TRIES; i++) {
        unsigned port = free_port();
        said = broker_eval(
            broker,
            "application:set_env(rabbitmq_management, tcp_config, [{port, %u}, {ip, \"127.0.0.1\"}]), "
            "{ok, _, _} = rabbit_plugins:ensure(\"%s\"), ok",
            port, path);
        if (strstr(said, "ok") != NULL) {
            return port;
        }
    }
    cr_assert_fail("the management plugin did not start: %s", said);
    return 0;
}
