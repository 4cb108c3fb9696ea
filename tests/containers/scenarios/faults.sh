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

# As when its machine is moved, or saved: for longer than RabbitMQ waits for a heartbeat. What it held another has done by then.
scenario_a_frozen_worker_thaws_and_nothing_is_lost() {
    local frozen
    delay=200ms stack_configure ''
    stack_up --scale worker=2 worker
    await 60 "two consumers" has_consumers 2
    traffic_begin 200
    await 60 "messages to be processed" has_processed 200
    frozen=$(containers worker | head -n 1)
    docker pause "$frozen" >/dev/null
    await 60 "RabbitMQ to give its messages to the other" has_consumers 1
    docker unpause "$frozen" >/dev/null
    await 60 "two consumers again" has_consumers 2
    [ "$(inspect worker '{{.State.Running}} {{.RestartCount}}' | sort -u)" = "true 0" ] || fail "the frost has ended the worker"
    docker logs "$frozen" 2>&1 | grep 'connection lost' | tail -n 1 | sed 's/^/   /'
    compose up --detach --no-build --scale worker=1 worker >/dev/null
    traffic_end
    account "$published" $held
}

# The plugin's frame is among them, under the name that its file has in the container.
scenario_a_crash_is_reported_with_its_stack() {
    stack_configure ', { "name": "'"$queue.crash"'", "processor": "crash", "max_crashes": 1, "settings": { "path": "/var/lib/whippet/crash",
        "release": "/var/lib/whippet/release" } }'
    stack_up
    await 60 "the second consumer" queue_shows "$queue.crash" 0 1
    whippet publish "$queue.crash" --quiet --message-id the-slow --body until || fail "publishing failed"
    shows 'the-slow.*the loop is blocked'
    shows 'the-slow.*#[0-9]+ /srv/whippet/processors/crash.so\+0x'
    touch "$state/release"
    whippet publish "$queue.crash" --quiet --message-id the-poison --body segfault || fail "publishing failed"
    shows 'the-poison.*crashed: SIGSEGV'
    shows 'the-poison.*#[0-9]+ /srv/whippet/processors/crash.so\+0x'
    await 60 "the poison to be dead-lettered" queue_shows "$queue.crash.dead" 1 0
}

scenario_a_message_that_eats_all_memory_is_parked() {
    local restarts
    [ "$(docker info --format '{{.MemoryLimit}}')" = true ] || skip "this engine cannot limit memory"
    stack_configure ', { "name": "'"$queue.poison"'", "processor": "glutton", "max_message_size": "64KiB", "concurrency": 4 }'
    WORKER_MEMORY=96m stack_up
    traffic_begin 200
    await 60 "messages to be processed" has_processed 200
    docker events --filter container="$(containers worker)" --filter event=oom --filter event=die \
        --format '{{.Action}} {{.Actor.Attributes.exitCode}}' >"$work/events" &
    whippet publish "$queue.poison" --quiet --message-id the-poison --body poison || fail "publishing the poison failed"
    await 180 "the poison to be dead-lettered" queue_shows "$queue.poison.dead" 1 0
    traffic_end
    restarts=$(inspect worker '{{.RestartCount}}')
    printf '   started again %d times; the dead letter: %s\n' "$restarts" \
        "$(whippet dead list "$queue.poison.dead" 2>/dev/null | tail -n 1)"
    [ "$restarts" -ge 3 ] || fail "it takes three crashes before a message is not tried again"
    grep -q '^oom' "$work/events" && grep -q '^die 137' "$work/events" ||
        fail "it was not the limit that ended the worker: $(sort "$work/events" | uniq -c | xargs)"
    shows 'the-poison.*died while this message was at work|died while this message was at work.*the-poison'
    account "$published" $((3 * held))
}

scenario_a_killed_broker_comes_back_and_nothing_is_lost() {
    local killed
    delay=500ms stack_configure ''
    stack_up
    publish 3000
    await 60 "messages to be processed" has_processed 300
    compose kill -s KILL rabbitmq >/dev/null
    killed=$(date +%s)
    printf '   killed with %d of 3000 processed\n' "$(processed)"
    says 'no connection'
    ! docker exec "$(containers worker)" whippet healthcheck --ready >"$work/ready" 2>&1 || fail "without a broker the worker calls itself ready"
    await 60 "a health check that goes well" was_checked_after "$killed"
    is_healthy worker || fail "the broker's absence made it $(inspect worker '{{.State.Health.Status}}')"
    printf '   meanwhile healthy, and not ready: %s\n' "$(head -c 120 "$work/ready" | head -n 1)…"
    compose start rabbitmq >/dev/null
    # What is acknowledged in its last moment it may not have written down.
    account 3000 $((2 * held))
    [ "$(inspect worker '{{.RestartCount}}')" = 0 ] || fail "the broker's absence ended the worker"
}

# was_checked_after TIME: a health check that the engine has begun since went well.
was_checked_after() {
    inspect worker '{{range .State.Health.Log}}{{.Start.Unix}} {{.ExitCode}}{{"\n"}}{{end}}' |
        awk -v time="$1" '$1 > time && $2 == 0 { well = 1 } END { exit !well }'
}
