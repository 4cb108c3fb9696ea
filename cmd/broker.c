#include "broker.h"
#include "configuration.h"
#include "exit_codes.h"
#include "options.h"
#include "url_argument.h"
#include <base/secret.h>
#include <config/addresses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool broker_request_take_url(struct broker_request *request, char *argument)
{
    return url_argument_take(&request->url, argument);
}

void broker_request_destroy(struct broker_request *request)
{
    secret_destroy(request->url);
    request->url = NULL;
}

/* --- By a worker's configuration ------------------------------------------------------------------------*/

static int find_in_configuration(const char *command, const struct broker_request *request,
                                 struct broker *broker)
{
    struct config_errors errors = {0};
    bool has_options = request->url != NULL || request->password_file != NULL || request->ca != NULL ||
                       request->cert != NULL || request->key != NULL;
    if (has_options && request->config_is_default)
        return usage_error(command,
                           "the configuration %s says all about the broker; leave out --password-file, --ca, "
                           "--cert and --key, or name the broker with --url",
                           request->config);
    if (has_options)
        return usage_error(command, "-c names a configuration that says all about the broker; leave out "
                                    "--url, --password-file, --ca, --cert and --key, or -c");
    struct config *config = configuration_load(request->config);
    if (config == NULL)
        return EXIT_CONFIGURATION;
    broker->brokers = brokers_create(config, &errors);
    if (broker->brokers == NULL)
        configuration_report(&errors, request->config);
    config_destroy(config);
    return broker->brokers != NULL ? EXIT_DONE : EXIT_CONFIGURATION;
}

/* --- By options and environment -------------------------------------------------------------------------*/

/* Exit code EXIT_CONFIGURATION, after it said so. */
static int refuse(const char *command, const char *where, const char *why)
{
    fprintf(stderr, "whippet %s: %s%s%s\n", command, where, *where != '\0' ? ": " : "", why);
    return EXIT_CONFIGURATION;
}

static const char *option_of(enum tls_option culprit)
{
    switch (culprit) {
    case TLS_OPTION_CA: return "--ca";
    case TLS_OPTION_CERTIFICATE: return "--cert";
    case TLS_OPTION_KEY: return "--key";
    default: return "";
    }
}

/* Whether the command line gives a password, which comes before what the environment says. */
static bool url_has_password(const struct broker_request *request,
                             const struct broker_address_list *addresses)
{
    for (size_t i = 0; request->url != NULL && i < addresses->count; i++)
        if (addresses->items[i].has_password)
            return true;
    return false;
}

/* The file that the option names, or else the environment; NULL where neither does. */
static const char *password_file_of(const struct broker_request *request,
                                    const struct broker_address_list *addresses, const char **where)
{
    const char *variable = getenv("AMQP_PASSWORD_FILE");
    *where =
        request->password_file != NULL ? "--password-file" : "the environment variable AMQP_PASSWORD_FILE";
    if (request->password_file != NULL)
        return request->password_file;
    if (variable == NULL || *variable == '\0' || url_has_password(request, addresses))
        return NULL;
    return variable;
}

static int check_password_file(const char *command, const char *file, const char *where)
{
    struct whippet_failure failure;
    if (file == NULL)
        return EXIT_DONE;
    char *password = secret_read(file, &failure);
    if (password == NULL)
        return refuse(command, where, failure.text);
    secret_destroy(password);
    return EXIT_DONE;
}

static int find_brokers(const char *command, const struct broker_access *access, struct broker *broker)
{
    struct whippet_failure failure;
    enum tls_option culprit;
    bool names_files = access->tls.ca != NULL || access->tls.cert != NULL || access->tls.key != NULL;
    if ((access->tls.cert != NULL) != (access->tls.key != NULL))
        return usage_error(command, "--cert and --key go together");
    if (names_files && !broker_access_is_tls(access))
        return usage_error(command,
                           "--ca, --cert and --key are for a broker whose URL is amqps://; nothing would "
                           "be encrypted");
    broker->brokers = brokers_of_access(access, &culprit, &failure);
    return broker->brokers != NULL ? EXIT_DONE : refuse(command, option_of(culprit), failure.text);
}

static int find_by_options(const char *command, const struct broker_request *request, struct broker *broker)
{
    struct whippet_failure failure;
    const char *where;
    broker->addresses = broker_addresses_find(request->url, &failure);
    if (broker->addresses == NULL)
        return refuse(command, request->url != NULL ? "--url" : "", failure.text);
    const char *file = password_file_of(request, broker->addresses, &where);
    struct broker_access access = {
        .addresses = broker->addresses->items,
        .count = broker->addresses->count,
        .password_file = file,
        .tls = {.ca = request->ca, .cert = request->cert, .key = request->key, .verify = true},
    };
    int code = check_password_file(command, file, where);
    return code == EXIT_DONE ? find_brokers(command, &access, broker) : code;
}

int broker_find(const char *command, const struct broker_request *request, struct broker *broker)
{
    *broker = (struct broker){0};
    int code = request->config != NULL ? find_in_configuration(command, request, broker)
                                       : find_by_options(command, request, broker);
    if (code != EXIT_DONE)
        broker_destroy(broker);
    return code;
}

void broker_destroy(struct broker *broker)
{
    brokers_destroy(broker->brokers);
    broker_addresses_destroy(broker->addresses);
    *broker = (struct broker){0};
}
