/* The tests' own tools, tested: a harness that lies makes every other test worthless. */
#include "stage.h"

#include "command.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(harness, .init = stage_open, .fini = stage_close, .timeout = 120);
TestSuite(harness_alone, .init = stage_open_alone, .fini = stage_close, .timeout = 300);

Test(harness, publishes_counts_gets_and_purges)
{
    const char *queue = stage_name("harness");
    struct client *client = stage_client();
    struct client_message *message;

    client_declare(client, queue, "quorum");
    client_send_many(client, queue, 300);
    await(5, client_ready(client, queue) == 300, "300 messages, found %ld", client_ready(client, queue));
    message = client_get(client, queue);
    cr_assert_not_null(message);
    cr_assert_eq(memcmp(message->content.body.bytes, "0", 1), 0);
    cr_assert_null(client_header(message, "absent"));
    client_message_destroy(message);
    client_purge(client, queue);
    await(5, client_ready(client, queue) == 0, "an empty queue, found %ld", client_ready(client, queue));
    cr_assert_null(client_get(client, queue));
    client_delete(client, queue);
}

Test(harness, tells_a_missing_queue_and_goes_on)
{
    const char *queue = stage_name("missing");

    cr_assert_eq(client_ready(stage_client(), queue), -1);
    client_declare(stage_client(), queue, "classic");
    cr_assert_eq(client_ready(stage_client(), queue), 0);
    cr_assert_eq(client_consumers(stage_client(), queue), 0);
    client_delete(stage_client(), queue);
}

Test(harness_alone, keeps_messages_over_a_killed_broker)
{
    const char *queue = stage_name("durable");
    char url[BROKER_URL_SIZE];

    stage_start_broker();
    strcpy(url, stage_broker()->url);
    client_declare(stage_client(), queue, "quorum");
    client_send_many(stage_client(), queue, 100);
    broker_kill(stage_broker());
    stage_start_broker();
    cr_assert_str_eq(stage_broker()->url, url);
    await(10, client_ready(stage_client(), queue) == 100, "100 messages after the power cut, found %ld",
          client_ready(stage_client(), queue));
}

/* A test that dies in the middle, here a child, must not leave a broker behind. */
Test(harness_alone, removes_the_broker_of_a_test_that_was_killed)
{
    char folder[BROKER_FOLDER_SIZE];
    int lifeline = stage_broker()->lifeline;

    strcpy(folder, stage_broker()->folder);
    broker_start(stage_broker());
    stage_broker()->lifeline = -1;
    close(lifeline);
    await(10, access(folder, F_OK) != 0, "the end of %s", folder);
}
