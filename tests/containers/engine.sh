# shellcheck shell=bash
# A Docker engine, and the images that the tests start from. Sourced, never run.

engine_folder=${XDG_CACHE_HOME:-$HOME/.cache}/whippet/docker
engine_pid=

# Takes the engine that $DOCKER_HOST or the default socket leads to; else starts one of our own, which takes root.
engine_start() {
    docker info >/dev/null 2>&1 && return 0
    [ "$(id -u)" -eq 0 ] || { say "no Docker engine answers, and starting one takes root" && return 1; }
    command -v dockerd >/dev/null || { say "dockerd is not installed; scripts/setup containers installs it" && return 1; }
    mkdir -p "$engine_folder" || return 1
    export DOCKER_HOST=unix://$engine_folder/docker.sock
    docker info >/dev/null 2>&1 && return 0
    dockerd --host "$DOCKER_HOST" --data-root "$engine_folder/data" --exec-root "$engine_folder/exec" \
        --pidfile "$engine_folder/docker.pid" </dev/null >"$engine_folder/dockerd.log" 2>&1 &
    engine_pid=$!
    local until=$((SECONDS + 60))
    until docker info >/dev/null 2>&1; do
        kill -0 "$engine_pid" 2>/dev/null && [ $SECONDS -lt $until ] || {
            say "dockerd did not start; the end of what it said:" && tail -n 10 "$engine_folder/dockerd.log"
            return 1
        }
        pause 0.2
    done
}

engine_stop() {
    [ -n "$engine_pid" ] || return 0
    kill -TERM "$engine_pid" 2>/dev/null
    wait "$engine_pid"
}

# The mirror that this machine's packages come from.
engine_mirror() {
    { sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources; sed -n 's/^deb \([^ [][^ ]*\).*/\1/p' /etc/apt/sources.list; } \
        2>/dev/null | grep -v security | head -n 1
}

# Has debian:$1-slim: pulled where that is possible, else made from Debian's packages as the official one is.
engine_base() {
    local release=$1 image=debian:$1-slim root
    docker image inspect "$image" >/dev/null 2>&1 && return 0
    timeout 30 docker pull --quiet "$image" >/dev/null 2>&1 && return 0
    say "making $image, which cannot be pulled"
    root=$(mktemp -d "${TMPDIR:-/tmp}/whippet-base.XXXXXX") || return 1
    debootstrap --variant=minbase "$release" "$root" "$(engine_mirror)" >"$root.log" 2>&1 || {
        tail -n 5 "$root.log"
        rm -rf "$root" "$root.log"
        return 1
    }
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{man,locale,info}
    find "$root/usr/share/doc" -type f ! -name copyright -delete
    tar -C "$root" -c . | docker import - "$image" >/dev/null
    local status=$?
    rm -rf "$root" "$root.log"
    return $status
}

# engine_build TAG OPTIONS… FOLDER: builds an image; shows how it went only when it fails.
engine_build() {
    local tag=$1 log
    log=$(mktemp) || return 1
    shift
    docker build --network host --tag "$tag" "$@" >"$log" 2>&1
    local status=$?
    [ $status -eq 0 ] || tail -n 40 "$log"
    rm -f "$log"
    return $status
}
