/* whippet dead purge against a real broker. */
#include "command.h"
#include "dead_letters.h"
#include "proxy.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(dead_letters, .init = stage_open, .fini = stage_close, .timeout = 120);

Test(dead_letters, are_not_chosen_by_an_empty_text_or_by_half_a_letter)
{
    static const char *const OPTIONS[] = {"--match=", "--reason=", "--limit=1.5", "--limit=0"};
    const char *dead_queue = stage_name("dead");

    client_declare(stage_client(), dead_queue, "classic");
    client_send(stage_client(), dead_queue, "1", "x");
    for (int i = 0; i < 4; i++) {
        assert_dead(USAGE, "purge", dead_queue, "--yes", OPTIONS[i]);
        assert_says("expected a");
    }
    assert_dead(USAGE, "replay", dead_queue, "--to=", NULL);
    assert_dead(USAGE, "replay", dead_queue, "--rate=0", NULL);
    assert_says("expected a number from 0.001 to 1000000000");
    letters_await(dead_queue, 1);
}

Test(dead_letters, are_not_purged_without_a_word)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    letters_send(queue, dead_queue, 3);
    assert_dead(USAGE, "purge", dead_queue, NULL, NULL);
    assert_says("--yes");
    letters_await(dead_queue, 3);
}

Test(dead_letters, that_match_are_purged_and_the_others_stay)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    letters_send(queue, dead_queue, 30);
    assert_dead(DONE, "purge", dead_queue, "--yes", "--reason=timeout");
    assert_says("3 of 30 messages deleted");
    letters_await(dead_queue, 27);
    assert_dead(DONE, "purge", dead_queue, "--yes", NULL);
    letters_await(dead_queue, 0);
}

/* Runs purge on a terminal whose user answers so, after `late` letters more have come. */
static int purge_answering(const char *queue, const char *answer, unsigned late)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), descriptor = dead_open_output(), user;

    cr_assert(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0, "%s", strerror(errno));
    user = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    pid_t child = dead_start(user, descriptor, "purge", queue, NULL, NULL);
    await(15, (dead_peek_output(descriptor), strstr(dead_output, "[y/N] ") != NULL), "the question");
    client_send_numbered(stage_client(), queue, 100, late, 10);
    cr_assert_eq(write(terminal, answer, strlen(answer)), (ssize_t)strlen(answer));
    int status = command_wait(child);
    dead_read_output(descriptor);
    close(user);
    close(terminal);
    return status;
}

Test(dead_letters, are_purged_on_a_terminal_when_its_user_says_yes)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    letters_send(queue, dead_queue, 4);
    cr_assert_eq(purge_answering(dead_queue, "n\n", 0), FAILED, "%s", dead_output);
    assert_says("Delete the 4 messages of ");
    letters_await(dead_queue, 4);
    cr_assert_eq(purge_answering(dead_queue, "y\n", 0), DONE, "%s", dead_output);
    letters_await(dead_queue, 0);
}

Test(dead_letters, that_come_while_it_is_asked_are_not_purged)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    letters_send(queue, dead_queue, 3);
    cr_assert_eq(purge_answering(dead_queue, "y\n", 20), DONE, "%s", dead_output);
    assert_says("Delete the 3 messages of ");
    assert_says("3 of 23 messages deleted");
    letters_await(dead_queue, 20);
}

/* The handshake takes until then; what is told meanwhile holds for what would come after it. */
Test(dead_letters, are_not_purged_when_it_is_interrupted_while_it_connects)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    struct proxy *proxy = proxy_start(broker_port(stage_broker()));
    int descriptor = dead_open_output();
    char url[BROKER_URL_SIZE];

    letters_send(queue, dead_queue, 3);
    proxy_say(proxy, "hold");
    snprintf(url, sizeof url, "amqp://guest:guest@127.0.0.1:%s/", proxy_port(proxy));
    pid_t child = dead_start_at(url, -1, descriptor, "purge", dead_queue, "--yes");
    await(15, proxy_status(proxy).accepted > 0, "a connection");
    kill(child, SIGINT);
    proxy_say(proxy, "pass");
    int status = command_wait(child);
    dead_read_output(descriptor);
    cr_assert_eq(status, FAILED, "exit status %d: %s", status, dead_output);
    assert_says("interrupted before the broker had answered; nothing was done");
    letters_await(dead_queue, 3);
    proxy_end(proxy);
}
