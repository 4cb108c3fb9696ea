#include "config_testing.h"

static void setup(void)
{
    forget_environment();
}

TestSuite(url, .init = setup);

static struct config *parse_url(const char *url)
{
    char text[2000];
    snprintf(text, sizeof text, WITH_KEYS("\"amqp\": { \"url\": \"%s\" }"), url);
    return parse(text);
}

static void assert_address(const struct broker_address *address, const char *user, const char *password,
                           const char *host, unsigned port, const char *vhost)
{
    cr_assert_str_eq(address->user, user);
    cr_assert_str_eq(address->password, password);
    cr_assert_str_eq(address->host, host);
    cr_assert_eq(address->port, port, "the port is %u", (unsigned)address->port);
    cr_assert_str_eq(address->vhost, vhost);
}

static void assert_url(const char *url, const char *user, const char *password, const char *host,
                       unsigned port, const char *vhost)
{
    struct config *config = parse_url(url);
    cr_assert_eq(config->address_count, 1);
    assert_address(config->addresses, user, password, host, port, vhost);
    config_destroy(config);
}

Test(url, is_taken_apart)
{
    assert_url("amqp://me:secret@rabbit.example.com:5673/shop", "me", "secret", "rabbit.example.com", 5673,
               "shop");
    assert_url("AMQP://me:secret@host/shop", "me", "secret", "host", 5672, "shop");
}

Test(url, has_a_default_for_everything_but_the_host)
{
    assert_url("amqp://host", "guest", "guest", "host", 5672, "/");
    assert_url("amqp://host:", "guest", "guest", "host", 5672, "/");
    assert_url("amqp://me@host", "me", "guest", "host", 5672, "/");
    assert_url("amqp://me:@host", "me", "", "host", 5672, "/");
    assert_url("amqp://:x@host", "", "x", "host", 5672, "/");
}

Test(url, of_amqps_means_tls_and_its_own_port)
{
    assert_url("amqps://me:secret@host/shop", "me", "secret", "host", 5671, "shop");
    assert_url("AMQPS://host:5700", "guest", "guest", "host", 5700, "/");
    struct config *config = parse_url("amqps://me@host/shop");
    cr_assert(config->addresses[0].tls);
    cr_assert_not(config->addresses[0].has_password);
    cr_assert_str_eq(config->addresses[0].display, "amqps://me@host:5671/shop");
    config_destroy(config);
    config = parse_url("amqp://me:@host/shop");
    cr_assert_not(config->addresses[0].tls);
    cr_assert(config->addresses[0].has_password);
    config_destroy(config);
}

Test(url, with_an_empty_path_means_the_default_virtual_host)
{
    assert_url("amqp://guest:guest@localhost:5672/", "guest", "guest", "localhost", 5672, "/");
    assert_url("amqp://host/%2f", "guest", "guest", "host", 5672, "/");
    assert_url("amqp://host/%2Fa%2Fb", "guest", "guest", "host", 5672, "/a/b");
}

Test(url, is_percent_decoded_in_every_part)
{
    assert_url("amqp://us%65r:p%40ss%2fw%3Ard@h%6fst:1/v%20h%C3%A9", "user", "p@ss/w:rd", "host", 1, "v hé");
}

Test(url, takes_colons_and_ats_within_a_password)
{
    assert_url("amqp://me:a:b@c@host", "me", "a:b@c", "host", 5672, "/");
}

Test(url, takes_ipv6_addresses_in_brackets)
{
    assert_url("amqp://[::1]", "guest", "guest", "::1", 5672, "/");
    assert_url("amqp://me:x@[2001:db8::1]:5673/v", "me", "x", "2001:db8::1", 5673, "v");
    assert_url("amqp://[fe80::1%25eth0]/", "guest", "guest", "fe80::1%eth0", 5672, "/");
}

Test(url, is_shown_as_one_that_leads_to_the_same_broker)
{
    struct config *config = parse_url("amqp://me:x@[fe80::1%25eth0]:5673/v%2F");
    cr_assert_str_eq(config->addresses[0].display, "amqp://me@[fe80::1%25eth0]:5673/v%2F");
    config_destroy(config);
}

static void assert_display(const char *url, const char *expected)
{
    struct config *config = parse_url(url);
    cr_assert_str_eq(config->addresses[0].display, expected, "%s is displayed as %s", url,
                     config->addresses[0].display);
    config_destroy(config);
}

Test(url, is_displayed_without_its_password)
{
    assert_display("amqp://guest:guest@localhost:5672/", "amqp://guest@localhost:5672/");
    assert_display("amqp://me:secret@host", "amqp://me@host:5672/");
    assert_display("amqp://me:secret@host/shop", "amqp://me@host:5672/shop");
    assert_display("amqp://m%40e:secret@[::1]:1/a%2Fb%0A", "amqp://m%40e@[::1]:1/a%2Fb%0A");
}

Test(url, may_be_a_list)
{
    struct config *config = parse(WITH_KEYS("\"amqp\": { \"url\": [\"amqp://a\", \"amqp://me:x@b:1/v\"] }"));
    cr_assert_eq(config->address_count, 2);
    assert_address(&config->addresses[0], "guest", "guest", "a", 5672, "/");
    assert_address(&config->addresses[1], "me", "x", "b", 1, "v");
    config_destroy(config);
}

static void assert_url_error(const char *url, const char *expected)
{
    char text[2000];
    snprintf(text, sizeof text, WITH_KEYS("\"amqp\": { \"url\": \"%s\" }"), url);
    assert_error(text, expected);
}

Test(url, of_another_scheme_is_an_error)
{
    assert_url_error("http://host",
                     "amqp.url: expected a URL of the form amqp://user:password@host:port/vhost");
    assert_url_error("localhost:5672", "expected a URL of the form");
    assert_url_error("amqp:host", "expected a URL of the form");
    assert_url_error("", "the URL is empty");
}

Test(url, without_a_host_is_an_error)
{
    assert_url_error("amqp://", "it names no host");
    assert_url_error("amqp:///v", "it names no host");
    assert_url_error("amqp://me:x@:5672/", "it names no host");
}

Test(url, with_a_wrong_port_is_an_error)
{
    static const char *const ports[] = {"0", "65536", "abc", "-1", "5672x", "99999999999999999999", "%31"};
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
        char url[100];
        snprintf(url, sizeof url, "amqp://host:%s/", ports[i]);
        assert_url_error(url, "the port is not a number from 1 to 65535");
    }
}

Test(url, with_a_wrong_host_is_an_error)
{
    assert_url_error("amqp://a,b/", "the host has characters that no host name has");
    assert_url_error("amqp://::1/", "an IPv6 address takes [ ]");
    assert_url_error("amqp://[::1/", "the [ of an IPv6 address has no ]");
    assert_url_error("amqp://[::1]x/", "something other than a port follows the ]");
    assert_url_error("amqp://[]/", "is not an IPv6 address");
    assert_url_error("amqp://[host]/", "is not an IPv6 address");
    assert_url_error("amqp://[1111111111111111111111111111111111111111111111111]/", "is not an IPv6 address");
}

Test(url, with_a_wrong_escape_is_an_error_that_names_the_part)
{
    assert_url_error("amqp://%zz@host", "the user has a % that no two hexadecimal digits follow");
    assert_url_error("amqp://me:x%@host", "the password has a %");
    assert_url_error("amqp://me:x%4@host", "the password has a %");
    assert_url_error("amqp://host/%00", "the virtual host has a %");
    assert_url_error("amqp://%g0/", "the host has a %");
}

Test(url, with_a_slash_in_the_virtual_host_is_an_error)
{
    assert_url_error("amqp://host/a/b", "the virtual host holds a /, which is written %2F");
}

Test(url, with_a_virtual_host_that_is_too_long_is_an_error)
{
    char url[400] = "amqp://host/";
    for (int i = 0; i < 256; i++)
        strcat(url, "v");
    assert_url_error(url, "the virtual host is longer than 255 bytes");
}

Test(url, with_a_query_is_an_error_that_names_the_key)
{
    assert_url_error("amqp://host/?heartbeat=10",
                     "it takes no ?heartbeat=; set the key amqp.heartbeat instead");
    assert_url_error("amqp://host?connection_timeout=1&x=y", "set the key amqp.connect_timeout instead");
    assert_url_error("amqp://host/v?x=y", "it takes no ?name=value");
    assert_url_error("amqp://host/v#x", "a # has no place in it");
}

Test(url, with_a_space_is_an_error)
{
    assert_url_error("amqp://host/ ", "it holds a space");
    assert_url_error("amqp://host\\n", "it holds a space");
}

Test(url, shows_nothing_of_its_password_in_any_error)
{
    static const char *const urls[] = {
        "amqp://me:tops/ecret@host/",   "amqp://me:topsecret@host:x/",      "amqp://me:tops?ecret@host/",
        "amqp://me:tops#ecret@host/",   "amqp://me:topsecret%@host/",       "amqpx://me:topsecret@host/",
        "amqp://me:topsecret@a b/",     "amqp://me:topsecret@[/",           "amqp:/me:topsecret@host/",
        "amqp://me:topsecret@host/a/b", "amqp://me:topsecret@host/?x=y",    "amqp://me:topsecret",
        "amqp://me:top@secret/x@host/", "rabbit://me:topsecret@host/vhost",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct config_errors errors;
        char text[400];
        snprintf(text, sizeof text, WITH_KEYS("\"amqp\": { \"url\": \"%s\" }"), urls[i]);
        cr_assert_null(config_parse(text, TEST_FILE, &errors), "accepted %s", urls[i]);
        char *printed = print_errors(&errors);
        cr_assert_null(strstr(printed, "tops"), "%s gave %s", urls[i], printed);
        cr_assert_null(strstr(printed, "ecret"), "%s gave %s", urls[i], printed);
        free(printed);
        config_errors_destroy(&errors);
    }
}

Test(url, in_the_wrong_place_is_not_shown_either)
{
    assert_error("{ " ONE_QUEUE ", \"amqp\": \"amqp://me:secret@host\" }",
                 "amqp: expected an object, found a URL\n");
}

Test(url, of_another_kind_is_an_error)
{
    assert_error(WITH_KEYS("\"amqp\": { \"url\": 5 }"),
                 "amqp.url: expected a URL or a list of them, found a number");
    assert_error(WITH_KEYS("\"amqp\": { \"url\": [] }"),
                 "expected a URL or a list of them, found an empty list");
    assert_error(WITH_KEYS("\"amqp\": { \"url\": [\"amqp://a\", null] }"),
                 "amqp.url[1]: expected a URL, found null");
}

Test(url, is_that_of_the_environment_when_the_file_names_none)
{
    setenv("RABBITMQ_URL", "amqp://second", 1);
    struct config *config = parse("{" ONE_QUEUE "}");
    cr_assert_str_eq(config->addresses[0].host, "second");
    config_destroy(config);
    setenv("AMQP_URL", "amqp://first", 1);
    config = parse("{" ONE_QUEUE "}");
    cr_assert_str_eq(config->addresses[0].host, "first");
    config_destroy(config);
    setenv("AMQP_URL", "", 1);
    config = parse("{" ONE_QUEUE "}");
    cr_assert_str_eq(config->addresses[0].host, "second");
    config_destroy(config);
}

Test(url, of_the_file_wins_over_the_environment)
{
    setenv("AMQP_URL", "amqp://environment", 1);
    struct config *config = parse_url("amqp://file");
    cr_assert_eq(config->address_count, 1);
    cr_assert_str_eq(config->addresses[0].host, "file");
    config_destroy(config);
}

Test(url, of_the_environment_is_checked_as_well)
{
    setenv("AMQP_URL", "amqp://me:secret@host:x", 1);
    assert_errors("{" ONE_QUEUE "}", " the environment variable AMQP_URL, which stands in for amqp.url: the "
                                     "port is not a number from 1 to "
                                     "65535; if it is part of the password, write a / within that as %2F\n");
}

Test(url, is_a_guest_on_this_machine_when_nothing_names_one)
{
    struct config *config = parse("{" ONE_QUEUE "}");
    cr_assert_eq(config->address_count, 1);
    assert_address(config->addresses, "guest", "guest", "localhost", 5672, "/");
    cr_assert_str_eq(config->addresses[0].display, "amqp://guest@localhost:5672/");
    config_destroy(config);
}
