# shellcheck shell=bash
# What is in the images, and what people build on them.

# image_has IMAGE FORMAT VALUE
image_has() {
    local said
    said=$(docker image inspect --format "$2" "$1")
    [ "$said" = "$3" ] || fail "of $1, $2 is \"$said\", not \"$3\""
}

# image_has_label IMAGE NAME VALUE
image_has_label() {
    image_has "$1" "{{index .Config.Labels \"org.opencontainers.image.$2\"}}" "$3"
}

image_version() {
    sed -n 's/^project(whippet VERSION \([0-9.]*\).*/\1/p' "$top/CMakeLists.txt"
}

# image_has_labels IMAGE TITLE
image_has_labels() {
    image_has_label "$1" title "$2"
    image_has_label "$1" licenses MIT
    image_has_label "$1" version "$(image_version)"
    image_has_label "$1" revision "$(images_commit)"
}

# image_has_size IMAGE MEGABYTES: at most.
image_has_size() {
    local size
    size=$(docker image inspect --format '{{.Size}}' "$1")
    printf '   %s has %d MB\n' "$1" $((size / 1000000))
    [ "$size" -le "${2}000000" ] || fail "$1 has more than $2 MB"
}

scenario_the_image_is_small_and_says_what_it_is() {
    image_has_size whippet-test 60
    image_has whippet-test '{{.Config.User}} {{.Config.StopSignal}}' '10001:10001 SIGTERM'
    image_has whippet-test '{{json .Config.Entrypoint}} {{json .Config.Cmd}}' '["whippet"] ["run"]'
    image_has whippet-test '{{json .Config.Healthcheck.Test}} {{.Config.Healthcheck.Interval}}' \
        '["CMD","whippet","healthcheck","--fallback","http://127.0.0.1:9464"] 10s'
    image_has_labels whippet-test whippet
    image_has_labels whippet-test-sdk whippet-sdk
    docker run --rm whippet-test version | grep -F "whippet $(image_version) ($(images_commit))" >/dev/null ||
        fail "it does not tell its version and its commit, but $(docker run --rm whippet-test version | head -n 1)"
}

# layers WORDS: of the last build, those made by these words: "cached" or "made", and what made them.
layers() {
    awk -v words="$1" '/^Step |^#[0-9]+ \[/ { step = $0 }
        index(step, words) && step != told { getline; print (/Using cache|CACHED/ ? "cached: " : "made: ") step; told = step }' "$work/built.log"
}

# A source is changed. The build ends before it compiles, as the version is wrong.
scenario_a_changed_source_leaves_tools_and_charts_cached() {
    local tree=$work/changed
    mkdir "$tree" && git -C "$top" ls-files -z | tar -C "$top" --null --files-from - -c | tar -C "$tree" -x || fail "the tree can't be copied"
    images_build whippet-test-charts --target charts "$tree" || fail "there is no image of the charts"
    echo '/* changed */' >>"$tree/src/base/log.c"
    ! docker build --target build --build-arg VERSION=none "$tree" >"$work/built.log" 2>&1 || fail "the wrong version was built"
    grep -q 'VERSION is none' "$work/built.log" || fail "it failed elsewhere: $(tail -n 3 "$work/built.log")"
    { layers 'scripts/setup build image' && layers 'RUN deploy/docker/charts' && layers 'COPY . .'; } >"$work/layers"
    sed 's/^/   /' "$work/layers"
    [ "$(cut -d: -f1 "$work/layers" | xargs)" = 'cached cached made' ] || fail "these should be cached, cached and made"
}

# run_confined OPTIONS…: prints a container with a worker whose broker is nowhere, and with no more rights than it needs.
run_confined() {
    echo '{ "amqp": { "url": "amqp://nobody@127.0.0.1:1/" }, "queues": [ { "name": "q", "processor": "log" } ] }' \
        >"$CONFIGURATION/whippet.json"
    docker run --detach --read-only --cap-drop ALL --security-opt no-new-privileges --network none \
        --label com.docker.compose.project="$project" --label com.docker.compose.service=worker \
        --volume "$CONFIGURATION:/etc/whippet:ro" "$@" "$WHIPPET_IMAGE" || fail "the container did not start"
}

scenario_the_worker_needs_no_shell() {
    local container
    # Every program beside whippet is a link to this one.
    : >"$work/nothing"
    container=$(run_confined --volume "$work/nothing:/usr/bin/busybox:ro") || exit 1
    ! docker exec "$container" sh -c true >/dev/null 2>&1 || fail "this container should have no shell"
    await 30 "a healthy worker" docker exec "$container" whippet healthcheck
    docker stop "$container" >/dev/null
    [ "$(inspect worker '{{.State.ExitCode}}')" = 0 ] || fail "it ended with $(inspect worker '{{.State.ExitCode}}')"
}

scenario_process_1_reaps_orphans() {
    local container orphan
    container=$(run_confined) || exit 1
    orphan=$(docker exec "$container" sh -c 'sleep 600 >/dev/null 2>&1 & echo $!')
    docker exec "$container" grep -q '^PPid:.1$' "/proc/$orphan/status" || fail "process $orphan is no orphan of process 1"
    docker exec "$container" kill "$orphan"
    await 30 "the orphan to be reaped" eval '! docker exec "$container" test -e "/proc/$orphan"'
}

# tries PROCESSOR SETTINGS WORDS: the processor finds the library of its client, and says these words of a server that is nowhere.
tries() {
    docker run --rm --network none "$WHIPPET_IMAGE" try "$1" --settings "$2" --timeout 2s >"$work/said" 2>&1
    grep -q "$3" "$work/said" || fail "in the image, $1 says: $(cat "$work/said")"
}

top_draws() {
    docker exec --tty "$1" timeout 3 whippet top | grep 'loop lag'
}

# Each is opened when it is first needed: without it everything else works.
libraries_of_clients_are_found() {
    local container
    tries postgres '{"url": "postgresql://nobody@127.0.0.1:1/none", "statement": "SELECT 1"}' 'connection to server at "127.0.0.1"'
    tries http '{"url": "http://127.0.0.1:1/"}' 'connect to 127.0.0.1 port 1'
    container=$(run_confined) || exit 1
    await 30 "whippet top to draw" top_draws "$container"
    docker rm --force "$container" >/dev/null
}

scenario_every_client_finds_its_library_in_the_image() {
    libraries_of_clients_are_found
}

# broker_speaks_tls: from now on, on port 5671, with a certificate of an authority that is made here.
broker_speaks_tls() {
    [ "$(broker_answers 'true = rabbit:is_running(), {ok, _} = application:ensure_all_started(ssl),
        lists:keymember(5671, 6, rabbit_networking:active_listeners()) orelse ok =:= rabbit_networking:start_ssl_listener(5671,
            [{certfile, "/tmp/tls/broker.crt"}, {keyfile, "/tmp/tls/broker.key"}], 10)')" = '{ok, true}' ]
}

tls_begin() {
    local make=(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1) tls=$work/tls
    mkdir -p "$tls"
    [ -e "$tls/broker.crt" ] || {
        "${make[@]}" -subj /CN=authority -keyout "$tls/ca.key" -out "$tls/ca.crt" &&
            "${make[@]}" -subj /CN=broker -addext subjectAltName=DNS:rabbitmq -CA "$tls/ca.crt" -CAkey "$tls/ca.key" \
                -keyout "$tls/broker.key" -out "$tls/broker.crt"
    } 2>"$work/said" || fail "openssl makes no certificates: $(tail -n 3 "$work/said")"
    chmod 644 "$tls"/*
    compose up --detach --no-build rabbitmq >/dev/null || fail "docker-compose up failed: $(tail -n 3 "$work/compose.log")"
    docker cp "$tls" "$(containers rabbitmq):/tmp/" >/dev/null || fail "RabbitMQ gets no certificate"
    await 180 "RabbitMQ to speak TLS" broker_speaks_tls
}

# As with a broker whose certificate is of a public authority: the authority is where the image keeps those.
scenario_amqps_trusts_the_authorities_of_the_image() {
    local publisher_url=$AMQP_URL
    tls_begin
    export AMQP_URL=amqps://whippet@rabbitmq:5671/
    run_example "$WHIPPET_IMAGE" --volume "$CONFIGURATION:/etc/whippet:ro" --volume "$PLUGINS:/srv/whippet/processors:ro" \
        --volume "$work/tls/ca.crt:/etc/ssl/certs/ca-certificates.crt:ro"
    await 60 "the worker to consume" consumes
    publish 100
    account 100 0
    ! publisher_url=$AMQP_URL whippet publish "$queue" --body none >"$work/said" 2>&1 || fail "an authority that nobody knows is trusted"
    grep -q certificate "$work/said" || fail "of an authority that nobody knows it says: $(cat "$work/said")"
}

# run_example IMAGE: as the stack's worker, without the mounts for processors and configuration.
run_example() {
    compose up --detach --no-build rabbitmq >/dev/null || fail "docker-compose up failed: $(tail -n 3 "$work/compose.log")"
    docker run --detach --read-only --network "${project}_default" --env AMQP_URL --env LOG_FORMAT --volume "${project}_state:/var/lib/whippet" \
        --label com.docker.compose.project="$project" --label com.docker.compose.service=worker \
        --volume "$work/password:/run/secrets/amqp_password:ro" "${@:2}" "$1" >/dev/null || fail "the example did not start"
}

scenario_a_processor_is_built_into_an_image_as_the_docs_say() {
    local folder=$work/example
    mkdir -p "$folder"
    docs_example 1 >"$folder/Dockerfile"
    sed 's/"record"/"thumbs"/' "$top/tests/plugins/record.c" >"$folder/thumbs.c"
    sed 's/"record"/"thumbs"/' "$CONFIGURATION/whippet.json" >"$folder/whippet.json"
    images_build whippet-test-example "$folder" || fail "the Dockerfile of docs/containers.md builds no image"
    run_example whippet-test-example
    says "$queue\[thumbs\] consuming"
    publish 100
    account 100 0
    cp "$folder/whippet.json" "$CONFIGURATION/"
    run_by_compose whippet-test-example thumbs
    publish 100
    account 200 0
}

# run_by_compose IMAGE PROCESSOR: with the processor that is in the image, and none in the mounted folder.
run_by_compose() {
    containers worker | xargs -r docker rm --force >/dev/null
    PLUGINS=$work/none WHIPPET_IMAGE=$1 compose up --detach --no-build worker >/dev/null ||
        fail "docker-compose up failed: $(tail -n 3 "$work/compose.log")"
    says "$queue\[$2\] consuming"
}

# The queue in the folder's own whippet.json is greeter; the mounted one names another.
scenario_what_whippet_new_writes_becomes_an_image() {
    local folder=$work/greeter
    mkdir "$folder"
    docker run --rm whippet-test-sdk sh -c 'whippet new greeter >&2 && tar -C greeter -c .' 2>"$work/said" | tar -C "$folder" -x ||
        fail "whippet new failed: $(cat "$work/said")"
    sed -i 's/^FROM whippet/FROM whippet-test/' "$folder/Dockerfile"
    images_build whippet-test-greeter "$folder" || fail "the Dockerfile that whippet new writes builds no image"
    cat >"$CONFIGURATION/whippet.json" <<-END
	{ "amqp": { "url": "\${AMQP_URL}", "password_file": "/run/secrets/amqp_password" },
	  "log": { "format": "text" }, "queues": [ { "name": "$queue", "processor": "greeter" } ] }
	END
    run_by_compose whippet-test-greeter greeter
    whippet publish "$queue" --quiet --body '{"name": "Ada"}' || fail "publishing failed"
    shows 'Hello, Ada'
}

# What differs there, by what it is for: the libraries, the terminals, the authorities.
scenario_on_debian_13_the_image_is_the_same() {
    export WHIPPET_IMAGE=whippet-test-trixie
    twice images_build "$WHIPPET_IMAGE" --target runtime --build-arg BASE=debian:trixie-slim --build-arg COMMIT="$(images_commit)" "$top" ||
        fail "there is no image on Debian 13"
    image_has_size "$WHIPPET_IMAGE" 60
    libraries_of_clients_are_found
    run_scenario amqps_trusts_the_authorities_of_the_image || exit 1
    run_scenario a_crash_is_reported_with_its_stack || exit 1
}

scenario_an_interpreter_is_added_to_the_debian_image_as_the_docs_say() {
    local folder=$work/python
    mkdir -p "$folder"
    images_build whippet-test-debian --target debian --build-arg COMMIT="$(images_commit)" "$top" || fail "there is no debian image"
    image_has_labels whippet-test-debian whippet
    image_has_size whippet-test-debian 120
    docs_example 2 >"$folder/Dockerfile"
    images_build whippet-test-python "$folder" || fail "the Dockerfile of docs/containers.md builds no image"
    cat >"$CONFIGURATION/whippet.json" <<-END
	{ "amqp": { "url": "\${AMQP_URL}", "password_file": "/run/secrets/amqp_password" },
	  "log": { "format": "text" },
	  "queues": [ { "name": "$queue", "processor": "exec", "settings": { "output": "info",
	    "command": ["python3", "-c", "import sys; print(sys.stdin.read().upper())"] } } ] }
	END
    run_example whippet-test-python --volume "$CONFIGURATION:/etc/whippet:ro"
    says "$queue\[exec\] consuming"
    publish 1
    says 'MESSAGE 1'
}
