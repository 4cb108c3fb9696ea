# shellcheck shell=bash
# The project's docker-compose.yml, unchanged, and the account of its messages. All scenarios share one stack, so that
# RabbitMQ starts once; its project, ports and volumes are nobody else's. Each has a queue, a worker and a ledger of its own.
# Sourced, never run.

# compose ARGUMENTS…
compose() {
    $engine_compose --project-name "$project" --file "$top/docker-compose.yml" "$@" 2>>"$work/compose.log"
}

# A folder for the run, and what the compose file takes from the environment.
stack_begin() {
    local ports
    project=whippet-test-$$
    work=$(mktemp -d "${TMPDIR:-/tmp}/$project.XXXXXX") || return 1
    chmod 755 "$work"
    mkdir "$work/built" "$work/configuration" "$work/plugins" "$work/secrets" && images_take_plugins "$work/built" || return 1
    printf 'cookie%s\n' "$RANDOM$RANDOM" >"$work/secrets/erlang_cookie"
    printf 'secret%s\n' "$RANDOM$RANDOM" | tee "$work/password" >"$work/secrets/amqp_password"
    mapfile -t ports < <(broker_free_ports 2)
    export AMQP_PORT=${ports[0]} MANAGEMENT_PORT=${ports[1]}
    export CONFIGURATION=$work/configuration PLUGINS=$work/plugins SECRETS=$work/secrets
    export RABBITMQ_IMAGE=whippet-test-rabbitmq WHIPPET_IMAGE=whippet-test
    export LOG_LEVEL=info LOG_FORMAT=text WORKER_MEMORY=256m AMQP_URL=amqp://whippet@rabbitmq:5672/
    state=
}

# stack_clear SCENARIO: no worker, and nothing of what the one before has left. Files are written in place, as what is
# mounted is the file itself.
stack_clear() {
    queue=$1
    containers worker orders mails machine | xargs -r docker rm --force >/dev/null
    docker volume create --label com.docker.compose.project="$project" --label com.docker.compose.volume=state \
        "${project}_state" >/dev/null || return 1
    state=$(docker volume inspect --format '{{.Mountpoint}}' "${project}_state") || return 1
    find "$state" -mindepth 1 -delete
    chown 10001:10001 "$state"
    find "$CONFIGURATION" "$PLUGINS" -mindepth 1 -delete
    cp "$work/built"/*.so "$PLUGINS/"
    cat "$work/password" >"$SECRETS/amqp_password"
    chmod 644 "$SECRETS/amqp_password"
    stack_configure ''
}

# stack_configure MORE: one queue, whose processor writes down each message; MORE are further queues. With type=classic, since
# a busy RabbitMQ may forget what was acknowledged of a quorum queue by a worker that stops.
stack_configure() {
    cat >"$CONFIGURATION/whippet.json" <<-END
	{
	  "amqp": { "url": "\${AMQP_URL}", "password_file": "/run/secrets/amqp_password", "heartbeat": "5s", "reconnect": { "max": "2s" } },
	  "admin": { "listen": "0.0.0.0:9464" },
	  "log": { "format": "\${LOG_FORMAT}" },
	  "state_dir": "/var/lib/whippet",
	  "queues": [
	    { "name": "$queue", "type": "${type:-quorum}", "processor": "record", "max_message_size": "64KiB",
	      "settings": { "path": "/var/lib/whippet/record", "delay": "${delay:-20ms}" } } $1
	  ]
	}
	END
}

# All of the project that the engine has.
stack_remove() {
    containers worker machine | xargs -r docker rm --force >/dev/null
    compose --profile demo --profile cluster --profile observe down --volumes --timeout 1 >/dev/null
    docker network rm "${project}_default" >/dev/null 2>&1
    docker volume ls --quiet --filter label=com.docker.compose.project="$project" | xargs -r docker volume rm >/dev/null
}

# Prints what there is of it.
stack_leftovers() {
    local of_project=label=com.docker.compose.project=$project
    docker ps --all --filter "$of_project" --format '{{.Names}}'
    docker volume ls --filter "$of_project" --format '{{.Name}}'
    docker network ls --filter "$of_project" --format '{{.Name}}'
}

stack_end() {
    [ -n "${project:-}" ] || return 0
    stack_remove
    rm -rf "$work"
}

# What is there to see when a scenario has failed.
stack_show() {
    local service
    for service in worker rabbitmq; do
        log_of $service | tail -n 15 | sed "s/^/   $service | /"
    done
    tail -n 5 "$work/compose.log" 2>/dev/null | sed 's/^/   compose | /'
}

# await SECONDS WHAT COMMAND…: until the command succeeds. On a busy machine WHIPPET_TEST_PATIENCE multiplies the seconds.
await() {
    local until=$((SECONDS + $1 * ${WHIPPET_TEST_PATIENCE:-1})) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $until ] || fail "waited in vain for $what"
        pause 0.2
    done
}

# containers SERVICE…: theirs, whether they run or not.
containers() {
    local service
    for service in "$@"; do
        docker ps --all --quiet --no-trunc --filter label=com.docker.compose.project="$project" \
            --filter label=com.docker.compose.service="$service"
    done
}

# inspect SERVICE FORMAT: of its containers, a line each.
inspect() {
    containers "$1" | xargs -r docker inspect --format "$2"
}

log_of() {
    local container
    for container in $(containers "$1"); do
        docker logs "$container" 2>&1
    done
}

# log_has SERVICE PATTERN
log_has() {
    log_of "$1" | grep -E "$2" >/dev/null
}

# The worker has been told that it is the queue's consumer.
consumes() {
    log_has worker "$queue\[record\] consuming"
}

# says PATTERN: the worker's log does, before long.
says() {
    await 60 "\"$1\" in the worker's log" log_has worker "$1"
}

# shows PATTERN: and so shall who reads what the tests say.
shows() {
    says "$1"
    log_of worker | grep -m 1 -E "$1" | sed 's/^/   /'
}

# Every container of the service is healthy.
is_healthy() {
    [ "$(inspect "$1" '{{.State.Health.Status}}' | sort -u)" = healthy ]
}

# stack_up [SERVICE…]: RabbitMQ, where it does not run yet, and a worker that consumes.
stack_up() {
    compose up --detach --no-build "${@:-worker}" >/dev/null || fail "docker-compose up failed: $(tail -n 3 "$work/compose.log")"
    await 180 "the worker to consume" consumes
}

# broker_answers EXPRESSION: what the Erlang expression comes to in RabbitMQ. A hundredth of what rabbitmqctl costs.
broker_answers() {
    docker exec "$(containers "${node:-rabbitmq}")" sh -c \
        'printf "%s.\n" "$1" | erl_call -e -n "rabbit@$(hostname)" -c "$(cat /run/secrets/erlang_cookie)"' sh "$1" 2>/dev/null
}

# Prints how many messages the queue $1 holds, at work or not, and how many consumers it has: "{0,1}". The node that leads
# it knows.
queue_holds() {
    broker_answers "{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"$1\">>)),
        [{_, M}, {_, C}] = rpc:call(amqqueue:qnode(Q), rabbit_amqqueue, info, [Q, [messages, consumers]]), {M, C}" | tr -d ' ' | sed -n 's/^{ok,\(.*\)}$/\1/p'
}

queue_shows() {
    [ "$(queue_holds "$1")" = "{$2,$3}" ]
}

# whippet ARGUMENTS…: a command in a container beside the worker.
whippet() {
    docker run --rm --network "${project}_default" --volume "$work/password:/run/secrets/amqp_password:ro" \
        --env AMQP_PASSWORD_FILE=/run/secrets/amqp_password --env AMQP_URL="${publisher_url:-$AMQP_URL}" whippet-test "$@"
}

# publish COUNT: messages with numbers of their own, each of them confirmed.
publish() {
    batch=$((${batch:-0} + 1))
    whippet publish "$queue" --quiet --count "$1" ${2:+--rate "$2"} --message-id "$batch-{n}" --body 'message {n}' \
        >>"$work/publish.log" 2>&1 || fail "publishing failed: $(tail -n 3 "$work/publish.log")"
}

# traffic_begin RATE: a batch each second or two, until traffic_end, which leaves in $published how many it were. So there
# is traffic for as long as a scenario takes, on a slow machine, too.
traffic_begin() {
    : >"$work/traffic"
    (
        while [ -e "$work/traffic" ]; do
            publish 500 "$1"
            printf '%d\n' $((batch * 500)) >"$work/published"
        done
    ) &
    publisher=$!
}

traffic_end() {
    rm "$work/traffic"
    wait "$publisher" || exit 1
    read -r published <"$work/published"
}

# How many different messages the processors have finished, from the volume that the workers share.
processed() {
    awk '$1 == "end" && !seen[$5]++ { n++ } END { print n + 0 }' "$state/record" 2>/dev/null || echo 0
}

has_processed() {
    [ "$(processed)" -ge "$1" ]
}

# account PUBLISHED DUPLICATES: all that was published has been processed, hardly more of it twice than could have been in
# flight, and nothing is left.
account() {
    local published=$1 bound=$2 unique duplicates dead
    await 180 "$published messages to be processed" has_processed "$published"
    await 60 "the queue to be empty, with one consumer; it holds $(queue_holds "$queue")" queue_shows "$queue" 0 1
    unique=$(processed)
    dead=$(queue_holds "$queue.dead")
    duplicates=$(($(grep -c '^end' "$state/record") - unique))
    printf '   published %d = processed %d; %d done twice (at most %d); ready and unacknowledged 0; dead letters %s\n' \
        "$published" "$unique" "$duplicates" "$bound" "$(tr -dc '0-9,' <<<"${dead%,*}")"
    [ "$unique" -eq "$published" ] || fail "$((published - unique)) messages are lost"
    [ "$duplicates" -le "$bound" ] || fail "more was done twice than was in flight"
    [ "$dead" = "{0,0}" ] || fail "the dead-letter queue holds $dead, which should be {0,0}"
}
