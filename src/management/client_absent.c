/* The management API in a build without libcurl: can't be asked. */
#include <management/client.h>

struct management_client *management_client_create(const struct management_access *access,
                                                   const atomic_bool *cut, struct whippet_failure *failure)
{
    (void)access, (void)cut;
    failure_set(
        failure, WHIPPET_E_UNAVAILABLE,
        "the management API can't be asked: this whippet was built without libcurl (on Debian, install "
        "libcurl4-openssl-dev and build it anew)");
    return NULL;
}

void management_client_destroy(struct management_client *client)
{
    (void)client;
}

struct cJSON *management_client_get(struct management_client *client, const char *path, const char *more,
                                    long *status, struct whippet_failure *failure)
{
    (void)client, (void)path, (void)more, (void)status;
    management_client_create(NULL, NULL, failure);
    return NULL;
}

struct cJSON *management_get(const struct management_access *access, const char *path,
                             struct whippet_failure *failure)
{
    (void)path;
    management_client_create(access, NULL, failure);
    return NULL;
}
