# shellcheck shell=bash
# What happens to it on a bad one.

# The most that can be delivered twice: what one worker holds.
held=64

# From outside, as the kernel would end it: so the engine starts it again by itself.
scenario_a_killed_worker_is_replaced_and_nothing_is_lost() {
    stack_up
    traffic_begin 400
    await 60 "messages to be processed" has_processed 400
    kill -KILL "$(inspect worker '{{.State.Pid}}')"
    await 60 "the engine to start it again" eval '[ "$(inspect worker "{{.State.Running}} {{.RestartCount}}")" = "true 1" ]'
    await 60 "more to be processed" has_processed 2000
    compose kill -s KILL worker >/dev/null
    compose up --detach --no-build worker >/dev/null
    traffic_end
    account "$published" $((2 * held))
}

scenario_a_message_that_eats_all_memory_is_parked() {
    if [ "$(docker info --format '{{.MemoryLimit}}')" != true ]; then
        echo '   skipped: this engine cannot limit memory'
        return
    fi
    stack_configure ', { "name": "'"$queue.poison"'", "processor": "glutton", "max_message_size": "64KiB", "concurrency": 4 }'
    WORKER_MEMORY=96m stack_up
    traffic_begin 200
    await 60 "messages to be processed" has_processed 200
    whippet publish "$queue.poison" --quiet --body poison || fail "publishing the poison failed"
    await 180 "the poison to be dead-lettered" queue_shows "$queue.poison.dead" 1 0
    traffic_end
    printf '   started again %s times; the dead letter: %s\n' "$(inspect worker '{{.RestartCount}}')" \
        "$(whippet dead list "$queue.poison.dead" 2>/dev/null | tail -n 1)"
    log_has worker 'crash' || fail "the log does not say that it crashed the worker"
    account "$published" $((3 * held))
}

scenario_a_killed_broker_comes_back_and_nothing_is_lost() {
    delay=500ms stack_configure ''
    stack_up
    publish 3000
    await 60 "messages to be processed" has_processed 300
    compose kill -s KILL rabbitmq >/dev/null
    printf '   killed with %d of 3000 processed\n' "$(processed)"
    says 'no connection'
    compose start rabbitmq >/dev/null
    # What is acknowledged in its last moment it may not have written down.
    account 3000 $((2 * held))
    [ "$(inspect worker '{{.State.Health.Status}} {{.RestartCount}}')" != "unhealthy 0" ] || fail "the broker's absence made it unhealthy"
}
