# shellcheck shell=bash
# What happens to it on a bad one.

# The most that can be delivered twice: what one worker holds.
held=64

scenario_a_killed_worker_is_replaced_and_nothing_is_lost() {
    stack_up
    publish_begin 10000 1000
    await 30 "messages to be processed" has_processed 500
    compose kill -s KILL worker >/dev/null
    compose start worker >/dev/null
    publish_end
    account 10000 $held
}

scenario_a_killed_broker_comes_back_and_nothing_is_lost() {
    stack_up
    publish 10000 || fail "publishing failed: $(tail -n 3 "$work/publish.log")"
    await 30 "messages to be processed" has_processed 500
    compose kill -s KILL rabbitmq >/dev/null
    pause 2
    compose start rabbitmq >/dev/null
    account 10000 $held
}

scenario_a_message_that_eats_all_memory_is_parked() {
    cat >"$CONFIGURATION/whippet.json" <<-'END'
	{
	  "amqp": { "url": "${AMQP_URL}", "password_file": "/run/secrets/amqp_password", "reconnect": { "max": "2s" } },
	  "queues": [
	    { "name": "work", "processor": "record", "max_message_size": "1MiB", "settings": { "path": "/var/lib/whippet/record" } },
	    { "name": "poison", "processor": "glutton", "max_message_size": "1MiB" }
	  ]
	}
	END
    WORKER_MEMORY=96m stack_up
    docker run --rm --network "${project}_default" --volume "$SECRETS:/run/secrets:ro" \
        --env AMQP_PASSWORD_FILE=/run/secrets/amqp_password --env AMQP_URL="$AMQP_URL" whippet-test \
        publish poison --quiet --body poison || fail "publishing failed"
    publish 1000 || fail "publishing failed"
    await 180 "the poison to be dead-lettered" eval '[ "$(rabbitmqctl list_queues name messages --no-table-headers | awk "/^poison.dead\t/ { print \$2 }")" = 1 ]'
    compose logs worker | grep -q 'crash' || fail "the log does not say that it crashed the worker"
    account 1000 $((3 * held))
}

scenario_a_node_of_the_cluster_is_cut_off_and_heals() {
    local name
    export AMQP_URL=amqp://whippet@rabbitmq:5672/,amqp://whippet@rabbitmq-2:5672/,amqp://whippet@rabbitmq-3:5672/
    stack_up --profile cluster
    await 120 "three nodes" eval '[ "$(rabbitmqctl cluster_status --formatter json | grep -o "\"running_nodes\":\[[^]]*\]" | grep -o rabbit@ | wc -l)" = 3 ]'
    await 30 "the queue on three nodes" eval 'rabbitmqctl add_member work rabbit@rabbitmq-2 || rabbitmqctl list_queues name members | grep -q rabbitmq-2'
    publish_begin 10000 500
    await 60 "messages to be processed" has_processed 500
    name=$(containers_of rabbitmq-2)
    docker network disconnect "${project}_default" "$name"
    pause 10
    docker network connect --alias rabbitmq-2 "${project}_default" "$name"
    publish_end
    account 10000 $((2 * held))
}
