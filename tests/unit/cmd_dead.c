/* whippet dead: what its command line comes to. No broker is needed. */
#include "cmd_testing.h"

static char folder[] = "/tmp/whippet-cmd-dead-XXXXXX";

static void begin(void)
{
    unsetenv("AMQP_URL");
    unsetenv("RABBITMQ_URL");
    unsetenv("AMQP_PASSWORD_FILE");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

static void end(void)
{
    unlink("whippet.json");
    rmdir(folder);
}

TestSuite(dead, .init = begin, .fini = end, .timeout = 60);

/* Nobody gave -c. */
Test(dead, names_the_configuration_that_it_has_found_and_that_says_all_about_the_broker)
{
    FILE *stream = fopen("whippet.json", "we");
    fputs("{\"amqp\": {\"url\": \"amqp://guest@127.0.0.1:1/\"},\n"
          " \"queues\": [{\"name\": \"orders\", \"processor\": \"log\"}]}\n",
          stream);
    fclose(stream);
    whippet("", "dead", "list", "--password-file", "/no/such/password", NULL);
    assert_code(64);
    assert_contains(result.error, "the configuration whippet.json says all about the broker");
    cr_assert_null(strstr(result.error, "-c names"), "%s", result.error);
}
