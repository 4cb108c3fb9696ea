# shellcheck shell=bash
# A Docker engine that can run containers, and Compose on it. Sourced, never run.

engine_folder=${XDG_CACHE_HOME:-$HOME/.cache}/whippet/docker
engine_pid=
engine_compose=docker-compose # 1.29, as Debian 12 has it
engine_reason=                # why there is none

# Takes the engine that $DOCKER_HOST or the default socket leads to; else starts one of our own, as root.
engine_start() {
    local program
    for program in docker debootstrap; do
        command -v "$program" >/dev/null || engine_lacks "$program is not installed; scripts/setup containers installs it" || return
    done
    docker info >/dev/null 2>&1 || engine_start_own || return
    engine_try || return
    ! docker compose version >/dev/null 2>&1 || engine_compose='docker compose'
    $engine_compose version >/dev/null 2>&1 || engine_lacks "Compose is not installed; scripts/setup containers installs it"
}

engine_lacks() {
    engine_reason=$1
    return 1
}

engine_start_own() {
    local until=$((SECONDS + 60))
    command -v dockerd >/dev/null || engine_lacks "dockerd is not installed; scripts/setup containers installs it" || return
    mkdir -p "$engine_folder" || engine_lacks "cannot make $engine_folder" || return
    export DOCKER_HOST=unix://$engine_folder/docker.sock
    while engine_is_left; do
        docker info >/dev/null 2>&1 && return
        [ $SECONDS -lt $until ] || engine_lacks "the engine in $engine_folder neither answers nor ends" || return
        pause 0.2
    done
    dockerd --host "$DOCKER_HOST" --data-root "$engine_folder/data" --exec-root "$engine_folder/exec" \
        --pidfile "$engine_folder/docker.pid" </dev/null >"$engine_folder/dockerd.log" 2>&1 &
    engine_pid=$!
    until docker info >/dev/null 2>&1; do
        if ! kill -0 "$engine_pid" 2>/dev/null || [ $SECONDS -ge $until ]; then
            engine_lacks "dockerd does not start here: $(tail -n 1 "$engine_folder/dockerd.log")" || return
        fi
        pause 0.2
    done
}

# One of ours that another run has started, and is perhaps ending by now.
engine_is_left() {
    kill -0 "$(cat "$engine_folder/docker.pid" 2>/dev/null)" 2>/dev/null
}

# Some engines start and can run nothing: no control groups, no overlay, no network. Tried with an image of one program.
engine_try() {
    local program said
    program=$(readlink -f /bin/true)
    # shellcheck disable=SC2046 # paths without spaces
    tar --dereference -C / -c $(ldd "$program" | grep -oE '/[^ ]+' | sed 's|^/||') "${program#/}" 2>/dev/null |
        docker import - whippet-test-nothing >/dev/null || engine_lacks "the Docker engine takes no image" || return
    said=$(docker run --rm whippet-test-nothing "$program" 2>&1) ||
        engine_lacks "the Docker engine runs no container: $(tail -n 1 <<<"$said")"
}

engine_stop() {
    [ -n "$engine_pid" ] || return 0
    kill -TERM "$engine_pid" 2>/dev/null
    wait "$engine_pid"
}
