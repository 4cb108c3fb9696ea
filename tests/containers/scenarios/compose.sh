# shellcheck shell=bash
# The same file with Compose v2, and the same Dockerfile with BuildKit, which today's Docker builds with.

profiles=(--profile demo --profile observe --profile cluster)

# From here on docker has the plugins compose and buildx.
docker_plugins_begin() {
    local container
    container=$(docker create whippet-test-compose true) && mkdir -p "$work/docker" &&
        docker cp "$container:/usr/libexec/docker/cli-plugins" "$work/docker/" >/dev/null &&
        docker rm "$container" >/dev/null || fail "the image of Docker's plugins holds none"
    export DOCKER_CONFIG=$work/docker
}

# From here on $engine_compose is v2.
compose_v2_begin() {
    docker_plugins_begin
    engine_compose='docker compose'
    [[ $(compose version) =~ [[:space:]]v?2\. ]] || fail "this is not Compose v2: $(compose version)"
    printf '   %s\n' "$(compose version)"
}

# Both versions see the same services in it, and v2 has nothing to remark.
scenario_both_versions_of_compose_read_all_of_the_file() {
    local services
    services=$(compose "${profiles[@]}" config --services | sort)
    compose_v2_begin
    [ "$(compose "${profiles[@]}" config --services | sort)" = "$services" ] ||
        fail "1.29 sees the services $services; v2 $(compose "${profiles[@]}" config --services | sort)"
    : >"$work/compose.log"
    compose "${profiles[@]}" config --quiet || fail "Compose v2 does not take the file: $(cat "$work/compose.log")"
    [ ! -s "$work/compose.log" ] || fail "Compose v2 remarks: $(cat "$work/compose.log")"
    printf '   %s\n' "$(xargs <<<"$services")"
}

# In a project of its own, as each version of Compose would make the other's containers anew.
scenario_with_compose_v2_it_comes_up_grows_and_goes() {
    local ports
    compose_v2_begin
    project=$project-v2
    mapfile -t ports < <(broker_free_ports 2)
    export AMQP_PORT=${ports[0]} MANAGEMENT_PORT=${ports[1]}
    trap 'stack_remove; scenario_end' EXIT
    stack_clear "$queue"
    scenario_growing_to_three_and_back_shares_the_work
    compose "${profiles[@]}" down --volumes >/dev/null || fail "docker compose down failed: $(tail -n 3 "$work/compose.log")"
    [ -z "$(stack_leftovers)" ] || fail "docker compose down leaves: $(stack_leftovers)"
}

# The lines of docs/containers.md. Without BuildKit, which knows no --output, the other scenarios build.
scenario_with_buildkit_images_and_packages_are_built() {
    local command
    docker_plugins_begin
    export DOCKER_BUILDKIT=1
    images_build whippet-test-buildkit --build-arg COMMIT="$(images_commit)" "$top" || fail "BuildKit builds no image"
    image_has_size whippet-test-buildkit 60
    image_has_labels whippet-test-buildkit whippet
    docker run --rm whippet-test-buildkit processors | grep -q postgres || fail "the image lacks processors"
    command=$(docs_commands 'Debian packages' 1 | sed -n '1s/ *#.*//p')
    [[ $command == "docker build --target packages --output packages ." ]] || fail "docs/containers.md builds packages by: $command"
    (cd "$top" && docker build --network host --target packages --output "$work/packages" --build-arg COMMIT="$(images_commit)" .) \
        >"$work/built.log" 2>&1 || fail "BuildKit builds no packages: $(tail -n 3 "$work/built.log")"
    for command in whippet whippet-dev; do
        dpkg-deb --field "$work/packages/$command"_*.deb Package Version | sed 's/^/   /' || fail "there is no package $command"
    done
}
