# shellcheck shell=bash
# The project's docker-compose.yml, unchanged, driven for one test at a time, and the account of its messages. Sourced,
# never run. A test has a project of its own: names, networks, volumes and ports are nobody else's.

# compose ARGUMENTS…: docker-compose on the stack of this test.
compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose --project-name "$project" --file "$top/docker-compose.yml" "$@"
    else
        docker-compose --project-name "$project" --file "$top/docker-compose.yml" "$@"
    fi 2>>"$work/compose.log"
}

# stack_prepare NAME: a folder for the test, and what the compose file takes from the environment.
stack_prepare() {
    local ports
    project=whippet-$1-$$
    work=$(mktemp -d "${TMPDIR:-/tmp}/$project.XXXXXX") || return 1
    mapfile -t ports < <(broker_free_ports 2)
    mkdir -p "$work"/{configuration,plugins,secrets}
    chmod 755 "$work"
    cp "$plugins"/*.so "$work/plugins/"
    printf 'secret%s\n' "$RANDOM" >"$work/secrets/amqp_password"
    printf 'cookie%s\n' "$RANDOM" >"$work/secrets/erlang_cookie"
    export AMQP_PORT=${ports[0]} MANAGEMENT_PORT=${ports[1]}
    export CONFIGURATION=$work/configuration PLUGINS=$work/plugins SECRETS=$work/secrets
    export RABBITMQ_IMAGE=whippet-test-rabbitmq WHIPPET_IMAGE=whippet-test LOG_LEVEL=info
    export AMQP_URL=amqp://whippet@rabbitmq:5672/
    stack_configure ''
}

# stack_configure MORE: one queue "work", whose processor writes down each message; MORE are further members of the queue.
stack_configure() {
    cat >"$CONFIGURATION/whippet.json" <<-END
	{
	  "amqp": { "url": "\${AMQP_URL}", "password_file": "/run/secrets/amqp_password", "reconnect": { "max": "2s" } },
	  "admin": { "listen": "0.0.0.0:9464" }, "state_dir": "/var/lib/whippet",
	  "queues": [
	    { "name": "work", "processor": "record", "max_message_size": "1MiB", "prefetch": 64,
	      "settings": { "path": "/var/lib/whippet/record", "delay": "${delay:-20ms}" } $1 }
	  ]
	}
	END
}

stack_end() {
    [ -n "${project:-}" ] || return 0
    compose --profile cluster down --volumes --timeout 10 >/dev/null
    rm -rf "$work"
    project=
}

# await SECONDS WHAT COMMAND…: until the command succeeds.
await() {
    local until=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $until ] || fail "waited in vain for $what"
        pause 0.2
    done
}

containers_of() {
    compose ps --quiet "$1"
}

is_healthy() {
    local container
    for container in $(containers_of "$1"); do
        [ "$(docker inspect --format '{{.State.Health.Status}}' "$container")" = healthy ] || return 1
    done
    [ -n "$(containers_of "$1")" ]
}

# How many consumers the queue has, and how many messages in all.
rabbitmqctl() {
    compose exec -T "${node:-rabbitmq}" rabbitmqctl --quiet "$@"
}

queue_shows() {
    [ "$(rabbitmqctl list_queues name messages consumers --no-table-headers | tr -s '\t ' ' ' | grep "^$1 ")" = "$1 $2 $3" ]
}

stack_up() {
    compose "$@" up --detach --no-build >/dev/null || fail "docker-compose up failed: $(tail -n 3 "$work/compose.log")"
    await 120 "RabbitMQ to be healthy" is_healthy rabbitmq
    await 60 "the worker to consume" grep -q consuming <(compose logs worker)
}

# publish COUNT [RATE]: numbered messages, each confirmed, from a container beside the worker.
publish() {
    docker run --rm --network "${project}_default" --volume "$SECRETS:/run/secrets:ro" \
        --env AMQP_PASSWORD_FILE=/run/secrets/amqp_password --env AMQP_URL="$AMQP_URL" whippet-test \
        publish work --quiet --count "$1" ${2:+--rate "$2"} --message-id '{n}' --body 'message {n}' \
        >>"$work/publish.log" 2>&1
}

# The same beside the test; publish_end waits for it.
publish_begin() {
    publish "$@" &
    publisher=$!
}

publish_end() {
    wait "$publisher" || fail "publishing failed: $(tail -n 3 "$work/publish.log")"
}

# What the processors have written down, from the volume that the workers share.
records() {
    cat "$(docker volume inspect --format '{{.Mountpoint}}' "${project}_state")/record" 2>/dev/null
}

processed() {
    records | awk '$1 == "end" && !seen[$5]++ { n++ } END { print n + 0 }'
}

has_processed() {
    [ "$(processed)" -ge "$1" ]
}

dead() {
    rabbitmqctl list_queues name messages --no-table-headers | awk '$1 == "work.dead" { print $2 }'
}

# account PUBLISHED DUPLICATES: published = processed at least once + dead-lettered, no more duplicates than could have been
# in flight, and nothing left.
account() {
    local published=$1 bound=$2 unique duplicates buried
    await 120 "the queue to be empty" queue_shows work 0 "${consumers:-1}"
    unique=$(processed)
    duplicates=$(($(records | grep -c '^end') - unique))
    buried=$(dead)
    printf '   published %d = processed %d + dead-lettered %d; %d duplicates (at most %d)\n' \
        "$published" "$unique" "${buried:-0}" "$duplicates" "$bound"
    [ $((unique + ${buried:-0})) -eq "$published" ] || fail "$((published - unique - ${buried:-0})) messages are lost"
    [ $duplicates -le "$bound" ] || fail "more duplicates than were in flight"
}
