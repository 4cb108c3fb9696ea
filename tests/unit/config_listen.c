#include "config_testing.h"
#include <unistd.h>

static void assert_listens(const char *value, const char *host, unsigned port)
{
    struct config_errors errors;
    char text[512];
    snprintf(text, sizeof text, WITH_KEYS("\"admin\": { \"listen\": \"%s\" }"), value);
    struct config *config = config_parse(text, TEST_FILE, &errors);
    cr_assert_not_null(config, "%s", print_errors(&errors));
    if (host == NULL)
        cr_assert_null(config->admin_listen.host);
    else
        cr_assert_str_eq(config->admin_listen.host, host);
    cr_assert_eq(config->admin_listen.port, port);
    config_destroy(config);
    config_errors_destroy(&errors);
}

Test(listen, takes_addresses_names_and_off)
{
    assert_listens("127.0.0.1:9464", "127.0.0.1", 9464);
    assert_listens("0.0.0.0:0", "0.0.0.0", 0);
    assert_listens("[::1]:9464", "::1", 9464);
    assert_listens("localhost:65535", "localhost", 65535);
    assert_listens("off", NULL, 0);
}

Test(listen, is_loopback_unless_told_otherwise)
{
    struct config_errors errors;
    struct config *config = config_parse("{ " ONE_QUEUE " }", TEST_FILE, &errors);
    cr_assert_str_eq(config->admin_listen.host, "127.0.0.1");
    cr_assert_eq(config->admin_listen.port, 9464);
    config_destroy(config);
    config_errors_destroy(&errors);
}

/* From a file with that text. */
static struct config *load_faulty(const char *text, struct config_errors *errors)
{
    char path[] = "/tmp/whippet-listen-XXXXXX";
    int descriptor = mkstemp(path);
    cr_assert_geq(descriptor, 0);
    cr_assert_eq(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
    close(descriptor);
    struct config *config = config_load_faulty(path, errors);
    unlink(path);
    return config;
}

Test(listen, is_found_among_faults)
{
    struct config_errors errors;
    struct config *config =
        load_faulty("{ \"admin\": { \"listen\": \"[::1]:9\" }, \"queues\": [ 5 ], \"x\": 1 }", &errors);
    cr_assert_not_null(config);
    cr_assert_geq(errors.count, 2);
    cr_assert_str_eq(config->admin_listen.host, "::1");
    cr_assert_eq(config->admin_listen.port, 9);
    config_destroy(config);
    config_errors_destroy(&errors);
    config = load_faulty("{ \"admin\": { \"listen\": 5 } }", &errors);
    cr_assert_str_eq(config->admin_listen.host, "127.0.0.1");
    config_destroy(config);
    config_errors_destroy(&errors);
    cr_assert_null(load_faulty("{ \"admin\"", &errors));
    config_errors_destroy(&errors);
}

Test(listen, refuses_what_is_no_address)
{
    static const char *const VALUES[] = {
        "",        "9464", ":9464", "localhost", "localhost:", "::1:9464",   "[]:1", "[::1]",
        "h:65536", "h:-1", "h:1x",  "[[::1]]:1", "OFF",        "h:99999999", "h: 1"};
    for (size_t i = 0; i < sizeof VALUES / sizeof VALUES[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, WITH_KEYS("\"admin\": { \"listen\": \"%s\" }"), VALUES[i]);
        assert_error(text, "admin.listen: expected an address and a port such as \"127.0.0.1:9464\"");
    }
    assert_error(WITH_KEYS("\"admin\": { \"listen\": 9464 }"),
                 "admin.listen: expected an address and a port");
}
