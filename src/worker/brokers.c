#include <base/log.h>
#include <base/memory.h>
#include <base/secret.h>
#include <stdio.h>
#include <worker/brokers.h>

static const char *path_of(enum tls_option option)
{
    switch (option) {
    case TLS_OPTION_CA: return "amqp.tls.ca";
    case TLS_OPTION_CERTIFICATE: return "amqp.tls.cert";
    case TLS_OPTION_KEY: return "amqp.tls.key";
    case TLS_OPTION_KEY_PASSWORD_FILE: return "amqp.tls.key_password_file";
    default: return "amqp.tls";
    }
}

/* A client certificate stands in for a password that is not there. */
static bool logs_in_by_certificate(const struct broker_access *access, const struct broker_address *address)
{
    return address->tls && access->tls.cert != NULL && access->password_file == NULL &&
           !address->has_password;
}

static struct endpoint endpoint_of(const struct broker_access *access, const struct broker_address *address,
                                   struct tls *tls)
{
    return (struct endpoint){.host = address->host,
                             .port = address->port,
                             .user = address->user,
                             .password = address->password,
                             .vhost = address->vhost,
                             .display = address->display,
                             .password_file = access->password_file,
                             .tls = address->tls ? tls : NULL,
                             .external = logs_in_by_certificate(access, address)};
}

static struct brokers *allocate(size_t count)
{
    struct brokers *brokers = memory_allocate_zeroed(sizeof *brokers);
    if (brokers == NULL)
        return NULL;
    brokers->count = count;
    brokers->endpoints = memory_allocate_zeroed(count * sizeof *brokers->endpoints);
    if (brokers->endpoints != NULL)
        return brokers;
    memory_free(brokers);
    return NULL;
}

bool broker_access_is_tls(const struct broker_access *access)
{
    for (size_t i = 0; i < access->count; i++)
        if (access->addresses[i].tls)
            return true;
    return false;
}

static struct tls *read_certificates(const struct tls_config *config, enum tls_option *culprit,
                                     struct whippet_failure *failure)
{
    struct tls_options options = {.ca = config->ca,
                                  .certificate = config->cert,
                                  .key = config->key,
                                  .key_password_file = config->key_password_file,
                                  .server_name = config->server_name,
                                  .skips_verification = !config->verify};
    if (!config->verify)
        log_event(WHIPPET_WARNING, NULL,
                  "amqp.tls.verify is false: whoever answers for the broker is believed, and may read and "
                  "change all "
                  "that is sent");
    return tls_create(&options, culprit, failure);
}

struct brokers *brokers_of_access(const struct broker_access *access, enum tls_option *culprit,
                                  struct whippet_failure *failure)
{
    struct brokers *brokers = allocate(access->count);
    *culprit = TLS_OPTION_NONE;
    if (brokers == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        return NULL;
    }
    if (broker_access_is_tls(access) &&
        (brokers->tls = read_certificates(&access->tls, culprit, failure)) == NULL) {
        brokers_destroy(brokers);
        return NULL;
    }
    for (size_t i = 0; i < access->count; i++)
        brokers->endpoints[i] = endpoint_of(access, &access->addresses[i], brokers->tls);
    return brokers;
}

static bool check_password_file(const struct config *config, struct config_errors *errors)
{
    struct whippet_failure failure;
    if (config->password_file == NULL)
        return true;
    char *password = secret_read(config->password_file, &failure);
    if (password == NULL)
        config_errors_add(errors, config, "amqp.password_file", "%s", failure.text);
    secret_destroy(password);
    return password != NULL;
}

struct brokers *brokers_create(const struct config *config, struct config_errors *errors)
{
    struct whippet_failure failure;
    enum tls_option culprit;
    struct broker_access access = {.addresses = config->addresses,
                                   .count = config->address_count,
                                   .password_file = config->password_file,
                                   .tls = config->tls};
    bool has_password = check_password_file(config, errors);
    struct brokers *brokers = brokers_of_access(&access, &culprit, &failure);
    if (brokers == NULL)
        config_errors_add(errors, config, failure.error == WHIPPET_E_MEMORY ? "" : path_of(culprit), "%s",
                          failure.text);
    else
        brokers->config = config_retain(config);
    if (has_password)
        return brokers;
    brokers_destroy(brokers);
    return NULL;
}

void brokers_destroy(struct brokers *brokers)
{
    if (brokers == NULL)
        return;
    tls_destroy(brokers->tls);
    memory_free(brokers->endpoints);
    config_destroy(brokers->config);
    memory_free(brokers);
}

int brokers_refresh(whippet_task *task, struct brokers *brokers)
{
    struct whippet_failure failure;
    enum tls_option culprit;
    char text[FAILURE_TEXT_SIZE + 64];
    if (brokers->tls == NULL)
        return 0;
    int error = tls_refresh(task, brokers->tls, &culprit, &failure);
    if (error == 0) {
        log_event(WHIPPET_INFO, NULL, "certificates and keys were read again; connections to come use them");
        return 0;
    }
    snprintf(text, sizeof text, "%s: %s", path_of(culprit), failure.text);
    struct log_fields fields = {.error = text};
    log_event(WHIPPET_WARNING, &fields,
              "certificates and keys could not be read again; those that were read before stay in use");
    return error;
}
