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
static bool logs_in_by_certificate(const struct config *config, const struct broker_address *address)
{
    return address->tls && config->tls.cert != NULL && config->password_file == NULL &&
           !address->has_password;
}

static struct endpoint endpoint_of(const struct broker_address *address, struct tls *tls)
{
    return (struct endpoint){.host = address->host,
                             .port = address->port,
                             .user = address->user,
                             .password = address->password,
                             .vhost = address->vhost,
                             .display = address->display,
                             .tls = address->tls ? tls : NULL};
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

static bool any_is_tls(const struct broker_address *addresses, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (addresses[i].tls)
            return true;
    return false;
}

static bool read_certificates(struct brokers *brokers, const struct config *config,
                              struct config_errors *errors)
{
    struct whippet_failure failure;
    enum tls_option culprit;
    struct tls_options options = {.ca = config->tls.ca,
                                  .certificate = config->tls.cert,
                                  .key = config->tls.key,
                                  .key_password_file = config->tls.key_password_file,
                                  .server_name = config->tls.server_name,
                                  .skips_verification = !config->tls.verify};
    if (!any_is_tls(config->addresses, config->address_count))
        return true;
    if (!config->tls.verify)
        log_event(WHIPPET_WARNING, NULL,
                  "amqp.tls.verify is false: whoever answers for the broker is believed, and may read and "
                  "change all "
                  "that is sent");
    brokers->tls = tls_create(&options, &culprit, &failure);
    if (brokers->tls == NULL)
        config_errors_add(errors, config, path_of(culprit), "%s", failure.text);
    return brokers->tls != NULL;
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
    struct brokers *brokers = allocate(config->address_count);
    if (brokers == NULL) {
        config_errors_add(errors, config, "", "out of memory");
        return NULL;
    }
    brokers->config = config_retain(config);
    bool has_password = check_password_file(config, errors);
    bool has_certificates = read_certificates(brokers, config, errors);
    if (!has_password || !has_certificates) {
        brokers_destroy(brokers);
        return NULL;
    }
    for (size_t i = 0; i < config->address_count; i++) {
        brokers->endpoints[i] = endpoint_of(&config->addresses[i], brokers->tls);
        brokers->endpoints[i].password_file = config->password_file;
        brokers->endpoints[i].external = logs_in_by_certificate(config, &config->addresses[i]);
    }
    return brokers;
}

struct brokers *brokers_of_addresses(const struct broker_address *addresses, size_t count,
                                     struct whippet_failure *failure)
{
    struct tls_options options = {0};
    struct brokers *brokers = allocate(count);
    if (brokers == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        return NULL;
    }
    if (any_is_tls(addresses, count) && (brokers->tls = tls_create(&options, NULL, failure)) == NULL) {
        brokers_destroy(brokers);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        brokers->endpoints[i] = endpoint_of(&addresses[i], brokers->tls);
    return brokers;
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
