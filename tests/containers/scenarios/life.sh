# shellcheck shell=bash
# What happens to a worker on a good day.

# The first command of docs/containers.md. Compose builds the image, of layers that are there already.
scenario_the_demo_shows_messages_going_through_within_a_minute() {
    local started=$SECONDS took
    export CONFIGURATION=$top/deploy/docker PLUGINS=$work/none WHIPPET_IMAGE=whippet-test-composed COMMIT
    COMMIT=$(images_commit)
    docker image rm --force whippet-test-composed >/dev/null 2>&1
    compose --profile demo up --detach --build >"$work/built.log" || fail "docker-compose up failed: $(tail -n 3 "$work/compose.log")"
    await 60 "an order" log_has worker 'order 1$'
    took=$((SECONDS - started))
    printf '   the first order went through after %d s\n' $took
    [ $took -le $((60 * ${WHIPPET_TEST_PATIENCE:-1})) ] || fail "that is more than a minute"
    [ "$(inspect worker '{{.Image}}')" = "$(docker image inspect --format '{{.Id}}' whippet-test-composed)" ] ||
        fail "the worker does not run the image that Compose has built"
    is_confined
    await 60 "a mail, sent at the second attempt" log_has worker 'sent: mail'
    await 60 "the worker to be healthy" is_healthy worker
    await 60 "RabbitMQ to be healthy" is_healthy rabbitmq
    # It loads libcurl, which has to be in the image.
    whippet dead list --management http://rabbitmq:15672 >"$work/dead" 2>&1 || fail "dead list failed: $(cat "$work/dead")"
    grep -q mails.dead "$work/dead" || fail "dead list does not find mails.dead: $(cat "$work/dead")"
}

# What docs/containers.md promises of the containers that Compose makes.
is_confined() {
    local said
    said=$(inspect worker '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.HostConfig.PidsLimit}} {{.Config.StopTimeout}}')
    [ "$said" = "true [ALL] [no-new-privileges:true] 256 40" ] || fail "the worker's rights and limits are \"$said\""
    containers rabbitmq worker orders mails | xargs docker inspect >"$work/inspected"
    ! grep -F -f "$work/password" "$work/inspected" || fail "docker inspect shows the password"
}

scenario_growing_to_three_and_back_shares_the_work() {
    local seen
    type=classic stack_configure ''
    stack_up
    traffic_begin 300
    await 60 "messages to be processed" has_processed 300
    compose up --detach --no-build --scale worker=3 worker >/dev/null
    await 60 "three consumers" has_consumers 3
    seen=$(processed)
    shares >"$work/shares"
    await 60 "more to be processed" has_processed $((seen + 900))
    shares >>"$work/shares"
    compose up --detach --no-build --scale worker=1 worker >/dev/null
    traffic_end
    account "$published" 0
    awk '{ share[$1] = $2 - share[$1] } END { for (worker in share) print share[worker] }' "$work/shares" | sort -n |
        awk '{ done[NR] = $1; text = text " " $1 }
             END { print "   acknowledged by each of three meanwhile:" text; exit !(NR == 3 && done[1] * 2 >= done[3]) }' ||
        fail "the work was not shared"
}

# Prints each worker, and how many messages it has acknowledged.
shares() {
    local container
    for container in $(containers worker); do
        docker exec "$container" wget -q -O - http://127.0.0.1:9464/metrics |
            awk -v worker="$container" '/^whippet_settled_total.*outcome="acked"/ { print worker, $2 }'
    done
}

has_consumers() {
    [[ $(queue_holds "$queue") == *",$1}" ]]
}

scenario_a_worker_stopped_at_work_finishes_what_it_began() {
    delay=500ms type=classic stack_configure ''
    stack_up
    traffic_begin 1000
    await 60 "messages to be processed" has_processed 200
    docker kill --signal USR1 "$(containers worker)" >/dev/null
    says 'in flight: .*; age '
    docker kill --signal HUP "$(containers worker)" >/dev/null
    says 'reloaded /etc/whippet/whippet.json: 1 unchanged'
    compose stop worker >/dev/null
    [ "$(inspect worker '{{.State.ExitCode}} {{.State.OOMKilled}}')" = "0 false" ] ||
        fail "the worker ended with $(inspect worker '{{.State.ExitCode}}')"
    says ' stopped$'
    log_of worker | sed -n 's/.*\(consumed [0-9]* = acked .*\)/   it said: \1/p'
    [ "$(grep -c '^begin' "$state/record")" -eq "$(grep -c '^end' "$state/record")" ] || fail "it left attempts unfinished"
    compose start worker >/dev/null
    traffic_end
    account "$published" 0
}

scenario_a_processor_put_into_the_mounted_folder_is_taken() {
    rm "$PLUGINS/record.so"
    compose up --detach --no-build worker >/dev/null || fail "docker-compose up failed: $(tail -n 3 "$work/compose.log")"
    says 'there is no processor "record"'
    cp "$work/built/record.so" "$PLUGINS/"
    await 60 "the worker to consume" consumes
    publish 100
    account 100 0
}
