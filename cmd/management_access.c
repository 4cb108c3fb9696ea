#include "management_access.h"

struct management_access management_access_at(const char *url, const struct endpoint *endpoint)
{
    return (struct management_access){.url = url,
                                      .user = endpoint->user,
                                      .password = endpoint->password,
                                      .password_file = endpoint->password_file,
                                      .vhost = endpoint->vhost};
}

/* A user of its own has a password of its own. */
struct management_access management_access_configured(const struct config *config)
{
    const struct management_config *management = &config->management;
    const struct broker_address *broker = &config->addresses[0];
    struct management_access access = {.url = management->url, .vhost = broker->vhost};
    bool own_password = management->password != NULL || management->password_file != NULL;
    access.user = management->user != NULL ? management->user : broker->user;
    if (own_password || management->user != NULL) {
        access.password = management->password;
        access.password_file = management->password_file;
    } else {
        access.password = broker->password;
        access.password_file = config->password_file;
    }
    return access;
}
