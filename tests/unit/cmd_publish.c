/* whippet publish: which broker it goes to, and what it shows of that. No broker is needed. */
#include "cmd_testing.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static void forget_environment(void)
{
    unsetenv("AMQP_URL");
    unsetenv("RABBITMQ_URL");
    unsetenv("AMQP_PASSWORD_FILE");
}

TestSuite(publish, .init = forget_environment, .timeout = 60);

#define ORDERS "--quiet", "--body", "x", "orders"

Test(publish, refuses_a_certificate_without_its_key)
{
    whippet("", "publish", "-u", "amqps://a", "--cert", "a.pem", ORDERS, NULL);
    assert_code(64);
    assert_contains(result.error, "--cert and --key go together");
}

Test(publish, refuses_certificates_where_nothing_would_be_encrypted)
{
    whippet("", "publish", "-u", "amqp://a", "--ca", "a.pem", ORDERS, NULL);
    assert_code(64);
    assert_contains(result.error, "amqps://");
}

Test(publish, names_the_option_whose_file_is_missing)
{
    whippet("", "publish", "-u", "amqps://a", "--ca", "/no/such/ca.pem", ORDERS, NULL);
    assert_code(78);
    assert_contains(result.error, "whippet publish: --ca: \"/no/such/ca.pem\" can't be read");
    whippet("", "publish", "-u", "amqp://a", "--password-file", "/no/such/password", ORDERS, NULL);
    assert_code(78);
    assert_contains(result.error, "whippet publish: --password-file: \"/no/such/password\" can't be read");
    setenv("AMQP_PASSWORD_FILE", "/no/such/secret", 1);
    whippet("", "publish", "-u", "amqp://a", ORDERS, NULL);
    assert_code(78);
    assert_contains(result.error, "AMQP_PASSWORD_FILE: \"/no/such/secret\" can't be read");
}

Test(publish, takes_the_password_of_its_url_before_that_of_the_environment)
{
    setenv("AMQP_PASSWORD_FILE", "/no/such/secret", 1);
    whippet("", "publish", "-u", "amqp://me:s3cr3t@127.0.0.1:1", ORDERS, NULL);
    assert_code(69);
    assert_contains(result.error, "--password-file or AMQP_PASSWORD_FILE");
}

Test(publish, refuses_half_a_message_and_half_a_priority)
{
    whippet("", "publish", "--count", "2.9", ORDERS, NULL);
    assert_code(64);
    assert_contains(result.error, "--count 2.9: expected a whole number");
    whippet("", "publish", "--priority", "1.5", ORDERS, NULL);
    assert_code(64);
    assert_contains(result.error, "--priority 1.5: expected a whole number");
}

Test(publish, fails_when_the_body_cannot_be_read)
{
    whippet("", "publish", "--file", "/no/such/body", "orders", NULL);
    assert_code(1);
    assert_contains(result.error, "/no/such/body: No such file or directory");
}

Test(publish, takes_a_configuration_or_options_and_not_both)
{
    whippet("", "publish", "-c", "/no/such/file.json", "--ca", "a.pem", ORDERS, NULL);
    assert_code(64);
    assert_contains(result.error, "-c names a configuration");
    whippet("", "publish", "-c", "/no/such/file.json", ORDERS, NULL);
    assert_code(78);
    assert_contains(result.error, "/no/such/file.json");
}

Test(publish, does_not_show_what_is_wrong_with_a_url)
{
    whippet("", "publish", "-u", "amqp://me:s3cr3t@host:99999", ORDERS, NULL);
    assert_code(78);
    assert_contains(result.error, "whippet publish: --url: the port");
    cr_assert_null(strstr(result.error, "s3cr3t"), "%s", result.error);
}

/* --- What ps shows --------------------------------------------------------------------------------------*/

/* Takes connections, and never says a word. */
static int listen_silently(unsigned *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(listener, 5), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return listener;
}

/* Its words, with a space between them. */
static const char *command_line(pid_t child)
{
    static char text[4096];
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)child);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = read(descriptor, text, sizeof text - 1);
    close(descriptor);
    for (ssize_t i = 0; i < length; i++)
        if (text[i] == '\0')
            text[i] = ' ';
    text[length > 0 ? length : 0] = '\0';
    return text;
}

/* What ps shows of a command once it connects to the listener. */
static const char *shown_of(int listener, const char *const *words)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    pid_t child = start(null, null, null, words);
    int connection = accept(listener, NULL, NULL);
    const char *shown = command_line(child);
    kill(child, SIGKILL);
    wait_for(child);
    close(connection);
    close(null);
    return shown;
}

Test(publish, hides_the_passwords_of_its_urls_from_ps)
{
    unsigned port;
    char url[128];
    int listener = listen_silently(&port);
    snprintf(url, sizeof url, "amqp://me:s3cr3t@127.0.0.1:%u,amqp://you:hidd3n@h", port);
    const char *words[] = {"whippet", "publish", "--url", url, "--quiet", "--body", "x", "orders", NULL};
    const char *shown = shown_of(listener, words);
    close(listener);
    cr_assert_null(strstr(shown, "s3cr3t"), "%s", shown);
    cr_assert_null(strstr(shown, "hidd3n"), "%s", shown);
    cr_assert_not_null(strstr(shown, "publish --url amqp://me:***"), "%s", shown);
}

Test(dead, hides_the_password_for_the_management_api_from_ps)
{
    unsigned port;
    char url[128];
    int listener = listen_silently(&port);
    snprintf(url, sizeof url, "http://me:s3cr3t@127.0.0.1:%u", port);
    const char *words[] = {"whippet", "dead", "list", "--management", url, NULL};
    const char *shown = shown_of(listener, words);
    close(listener);
    cr_assert_null(strstr(shown, "s3cr3t"), "%s", shown);
    cr_assert_not_null(strstr(shown, "--management http://me:***"), "%s", shown);
}
