# shellcheck shell=bash
# What happens to a worker on a good day.

scenario_the_demo_shows_messages_going_through() {
    export CONFIGURATION=$top/deploy/docker
    stack_up --profile demo
    await 60 "an order" grep -q 'order 1' <(compose logs worker)
    await 60 "a mail, sent at the second attempt" grep -q 'sent: mail' <(compose logs worker)
    await 60 "the worker to be healthy" is_healthy worker
    compose --profile demo down --timeout 30 >/dev/null
}

scenario_growing_to_three_and_back_shares_the_work_and_loses_nothing() {
    local container
    stack_up
    publish_begin 10000 500
    await 30 "messages to be processed" has_processed 500
    compose up --detach --no-build --scale worker=3 >/dev/null
    consumers=3 await 60 "three consumers" eval '[ "$(rabbitmqctl list_queues name consumers --no-table-headers | awk "/^work\t/ { print \$2 }")" = 3 ]'
    pause 5
    for container in $(containers_of worker); do
        docker logs "$container" >"$work/worker.$container" 2>&1
    done
    compose up --detach --no-build --scale worker=1 >/dev/null
    publish_end
    account 10000 0
}

scenario_a_worker_stopped_at_work_finishes_what_it_began() {
    delay=500ms stack_configure ''
    stack_up
    publish_begin 10000 2000
    await 30 "messages to be processed" has_processed 200
    compose stop worker >/dev/null
    [ "$(docker inspect --format '{{.State.ExitCode}}' "$(compose ps --all --quiet worker 2>/dev/null || compose ps --quiet worker)")" = 0 ] ||
        fail "the worker did not end with 0"
    compose logs worker | grep -q 'stopped' || fail "the worker did not stop in order"
    compose start worker >/dev/null
    publish_end
    account 10000 0
}

scenario_the_image_is_small_and_confined() {
    local size
    size=$(docker image inspect --format '{{.Size}}' whippet-test)
    printf '   the image has %d MB\n' $((size / 1000000))
    [ "$size" -le 120000000 ] || fail "the image has more than 120 MB"
    [ "$(docker image inspect --format '{{.Config.User}}' whippet-test)" = 10001:10001 ] || fail "it runs as root"
    docker run --rm --read-only --cap-drop ALL --security-opt no-new-privileges whippet-test version |
        grep -q "$(git -C "$top" describe --always --abbrev=12)" || fail "it does not tell its commit"
}
