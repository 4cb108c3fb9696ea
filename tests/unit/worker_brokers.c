/* From the configuration to what connections take. */
#include <certificate.h>
#include <config/config.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <worker/brokers.h>

static char folder[64];
static struct config *config;
static struct brokers *brokers;
static struct config_errors errors;

static void in_folder(char *path, const char *name)
{
    snprintf(path, 128, "%s/%s", folder, name);
}

static void setup(void)
{
    char path[128];
    struct certificate client = certificate_authority("client");
    snprintf(folder, sizeof folder, "/tmp/whippet-brokers.XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    in_folder(path, "client.pem");
    certificate_write(&client, path);
    in_folder(path, "key.pem");
    certificate_write_key(&client, path, NULL);
    in_folder(path, "password");
    FILE *stream = fopen(path, "w");
    fputs("s3cr3t\n", stream);
    fclose(stream);
    certificate_destroy(&client);
    cr_assert_eq(chdir(folder), 0);
}

static void teardown(void)
{
    brokers_destroy(brokers);
    config_destroy(config);
    config_errors_destroy(&errors);
    unlink("client.pem");
    unlink("key.pem");
    unlink("password");
    rmdir(folder);
}

TestSuite(brokers, .init = setup, .fini = teardown);

/* `amqp` is JSON with ' in place of ". */
static void load(const char *amqp)
{
    char text[1000];
    snprintf(text, sizeof text, "{ 'queues': [{ 'name': 'q', 'processor': 'log' }], 'amqp': { %s } }", amqp);
    for (char *at = text; *at != '\0'; at++)
        *at = *at == '\'' ? '"' : *at;
    config = config_parse(text, "test.json", &errors);
    cr_assert_not_null(config, "%s: %s", errors.items[0].path, errors.items[0].text);
    brokers = brokers_create(config, &errors);
}

#define CERTIFICATE "'tls': { 'cert': 'client.pem', 'key': 'key.pem' }"

static void assert_login(const char *amqp, bool external, bool tls)
{
    load(amqp);
    cr_assert_not_null(brokers, "%s", errors.items[0].text);
    cr_assert_eq(brokers->endpoints[0].external, external);
    cr_assert_eq(brokers->endpoints[0].tls != NULL, tls);
}

Test(brokers, log_in_by_the_certificate_where_there_is_no_password)
{
    assert_login("'url': 'amqps://a', " CERTIFICATE, true, true);
}

Test(brokers, log_in_by_the_password_of_the_url_despite_a_certificate)
{
    assert_login("'url': 'amqps://me:pass@a', " CERTIFICATE, false, true);
}

Test(brokers, log_in_by_the_password_of_the_file_despite_a_certificate)
{
    assert_login("'url': 'amqps://me@a', 'password_file': 'password', " CERTIFICATE, false, true);
    cr_assert_str_eq(brokers->endpoints[0].password_file, "password");
}

Test(brokers, without_a_certificate_log_in_by_password)
{
    assert_login("'url': 'amqps://a'", false, true);
}

Test(brokers, without_tls_are_plain)
{
    assert_login("'url': 'amqp://a'", false, false);
}

Test(brokers, of_which_some_speak_tls_are_each_as_their_url_says)
{
    assert_login("'url': ['amqps://a', 'amqp://b'], " CERTIFICATE, true, true);
    cr_assert_not(brokers->endpoints[1].external);
    cr_assert_null(brokers->endpoints[1].tls);
}

static void assert_error(size_t index, const char *path, const char *words)
{
    cr_assert_null(brokers);
    cr_assert_lt(index, errors.count);
    cr_assert_str_eq(errors.items[index].path, path);
    cr_assert_not_null(strstr(errors.items[index].text, words), "%s", errors.items[index].text);
}

Test(brokers, whose_files_are_missing_are_refused_with_every_key)
{
    load("'url': 'amqps://a', 'password_file': 'nowhere', 'tls': { 'ca': 'ca.pem' }");
    assert_error(0, "amqp.password_file", "\"nowhere\" can't be read: No such file");
    assert_error(1, "amqp.tls.ca", "\"ca.pem\" can't be read: No such file");
}

Test(brokers, whose_key_is_none_are_refused)
{
    load("'url': 'amqps://a', 'tls': { 'cert': 'client.pem', 'key': 'password' }");
    assert_error(0, "amqp.tls.key", "holds no private key");
}
