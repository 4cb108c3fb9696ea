/* whippet dead, where others have written the dead letters. */
#include "dead_letters.h"
#include <stdio.h>

TestSuite(dead_letters, .init = stage_open, .fini = stage_close, .timeout = 120);

Test(dead_letters, of_the_broker_tell_their_queue)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");

    client_declare(stage_client(), dead_queue, "classic");
    broker_do(stage_broker(),
              "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"%s\">>), true, false, "
              "[{<<\"x-message-ttl\">>, long, 50}, {<<\"x-dead-letter-exchange\">>, longstr, <<>>}, "
              "{<<\"x-dead-letter-routing-key\">>, longstr, <<\"%s\">>}], none, <<\"test\">>), ok",
              queue, dead_queue);
    client_send(stage_client(), queue, "7", "too late");
    letters_await(dead_queue, 1);
    assert_dead(DONE, "show", dead_queue, NULL, NULL);
    assert_says("reason           expired");
    assert_says("told by          broker");
    assert_dead(DONE, "replay", dead_queue, "--dry-run", NULL);
    assert_says("1 would go to ");
    assert_says(queue);
    assert_dead(DONE, "list", dead_queue, "--json", NULL);
    assert_says("\"reasons\":{\"expired\":1}");
}

Test(dead_letters, of_spring_go_to_their_exchange_only_when_that_is_wanted)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    const struct letter_header headers[] = {{"x-original-exchange", "amq.topic"},
                                            {"x-original-routingKey", "orders.new"},
                                            {"x-exception-message", "boom"},
                                            {NULL, NULL}};

    client_declare(stage_client(), queue, "classic");
    client_declare(stage_client(), dead_queue, "classic");
    letter_send(dead_queue, "1", headers, amqp_cstring_bytes("x"));
    assert_dead(FAILED, "replay", dead_queue, NULL, NULL);
    assert_says("use --exchange, or --to QUEUE");
    assert_dead(DONE, "replay", dead_queue, "--exchange", "--dry-run");
    assert_says("1 would go to the exchange amq.topic, routing key orders.new");
    letters_await(dead_queue, 1);
}

Test(dead_letters, of_masstransit_and_nservicebus_go_back_to_the_queue_that_they_failed_in)
{
    const char *queue = stage_name("orders"), *dead_queue = stage_name("dead");
    char address[400], failed[300];
    const struct letter_header masstransit[] = {{"MT-Reason", "fault"},
                                                {"MT-Fault-InputAddress", address},
                                                {"MT-Fault-Message", "sequence contains no elements"},
                                                {NULL, NULL}};
    const struct letter_header nservicebus[] = {{"NServiceBus.FailedQ", failed},
                                                {"NServiceBus.ExceptionInfo.Message", "no such customer"},
                                                {NULL, NULL}};

    snprintf(address, sizeof address, "rabbitmq://host/vhost/%s?durable=true", queue);
    snprintf(failed, sizeof failed, "%s@machine", queue);
    client_declare(stage_client(), queue, "classic");
    client_declare(stage_client(), dead_queue, "classic");
    letter_send(dead_queue, "1", masstransit, amqp_cstring_bytes("x"));
    letter_send(dead_queue, "2", nservicebus, amqp_cstring_bytes("y"));
    assert_dead(DONE, "show", dead_queue, NULL, NULL);
    assert_says("sequence contains no elements");
    assert_says("no such customer");
    assert_dead(DONE, "replay", dead_queue, NULL, NULL);
    assert_says("2 replayed of 2 messages");
    letters_await(queue, 2);
}
