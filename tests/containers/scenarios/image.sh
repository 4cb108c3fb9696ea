# shellcheck shell=bash
# What is in the images, and what people build on them.

# image_has FORMAT VALUE
image_has() {
    local said
    said=$(docker image inspect --format "$1" whippet-test)
    [ "$said" = "$2" ] || fail "the image's $1 is \"$said\", not \"$2\""
}

image_has_label() {
    image_has "{{index .Config.Labels \"org.opencontainers.image.$1\"}}" "$2"
}

scenario_the_image_is_small_and_says_what_it_is() {
    local size version
    size=$(docker image inspect --format '{{.Size}}' whippet-test)
    printf '   the image has %d MB\n' $((size / 1000000))
    [ "$size" -le 60000000 ] || fail "the image has more than 60 MB"
    version=$(sed -n 's/^project(whippet VERSION \([0-9.]*\).*/\1/p' "$top/CMakeLists.txt")
    image_has '{{.Config.User}} {{.Config.StopSignal}}' '10001:10001 SIGTERM'
    image_has '{{json .Config.Entrypoint}} {{json .Config.Cmd}}' '["whippet"] ["run"]'
    image_has '{{json .Config.Healthcheck.Test}} {{.Config.Healthcheck.Interval}}' \
        '["CMD","whippet","healthcheck","--fallback","http://127.0.0.1:9464"] 10s'
    image_has_label title whippet
    image_has_label licenses MIT
    image_has_label version "$version"
    image_has_label revision "$(images_commit)"
    docker run --rm whippet-test version | grep -F "whippet $version ($(images_commit))" >/dev/null ||
        fail "it does not tell its version and its commit, but $(docker run --rm whippet-test version | head -n 1)"
}

# run_confined OPTIONS…: prints a container with a worker whose broker is nowhere, and with no more rights than it needs.
run_confined() {
    echo '{ "amqp": { "url": "amqp://nobody@127.0.0.1:1/" }, "queues": [ { "name": "q", "processor": "log" } ] }' \
        >"$CONFIGURATION/whippet.json"
    docker run --detach --read-only --cap-drop ALL --security-opt no-new-privileges --network none \
        --label com.docker.compose.project="$project" --label com.docker.compose.service=worker \
        --volume "$CONFIGURATION:/etc/whippet:ro" "$@" whippet-test || fail "the container did not start"
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

# docs_example NUMBER: that Dockerfile of docs/containers.md, on the images that the tests have built.
docs_example() {
    awk -v wanted="$1" '/^```/ { inside = $0 == "```dockerfile" && ++number == wanted; next } inside' "$top/docs/containers.md" |
        sed 's/^FROM whippet/FROM whippet-test/'
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
}

scenario_an_interpreter_is_added_to_the_debian_image_as_the_docs_say() {
    local folder=$work/python size
    mkdir -p "$folder"
    images_build whippet-test-debian --target debian --build-arg COMMIT="$(images_commit)" "$top" || fail "there is no debian image"
    size=$(docker image inspect --format '{{.Size}}' whippet-test-debian)
    printf '   the image on Debian has %d MB\n' $((size / 1000000))
    [ "$size" -le 120000000 ] || fail "the image on Debian has more than 120 MB"
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
