# shellcheck shell=bash
# The images that the tests start from: Debian's, a RabbitMQ, and ours. Sourced, never run.

# Both at once, as the one waits for packages while the other compiles. Status 2 says that this machine cannot get what is
# not ours. What single scenarios want beside these is made where it is_wanted: the Debian packages and a machine for them, and
# Compose v2.
images_build_all() {
    local status=0 broker
    {
        twice images_base trixie && twice images_build whippet-test-rabbitmq "$here/rabbitmq" &&
            { ! is_wanted compose buildkit || twice images_build whippet-test-compose "$here/compose"; }
    } &
    broker=$!
    if twice images_base bookworm; then
        images_build_ours || status=1
    else
        status=2
    fi
    wait "$broker" || status=2
    return $status
}

images_build_ours() {
    twice images_build whippet-test-sdk --target sdk --build-arg COMMIT="$(images_commit)" "$top" &&
        images_build whippet-test --target runtime --build-arg COMMIT="$(images_commit)" "$top" &&
        images_build_plugins && { ! is_wanted packages || images_build_packages; }
}

images_build_packages() {
    twice images_build whippet-test-packaging --target packaging --build-arg COMMIT="$(images_commit)" "$top" &&
        twice images_build whippet-test-systemd "$here/systemd"
}

images_commit() {
    git -C "$top" describe --always --dirty --abbrev=12 2>/dev/null || echo unknown
}

# twice COMMAND…: what a mirror that stumbles has spoiled is tried again.
twice() {
    "$@" || { say "trying that again" && "$@"; }
}

# The mirror that this machine's packages come from.
images_mirror() {
    { sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources; sed -n 's/^deb \([^ [][^ ]*\).*/\1/p' /etc/apt/sources.list; } \
        2>/dev/null | grep -E '^http.*/debian/?$' | head -n 1
}

# images_base RELEASE: has debian:RELEASE-slim: pulled where that is possible, else made from packages as the official one is.
images_base() {
    local release=$1 image=debian:$1-slim root status
    docker image inspect "$image" >/dev/null 2>&1 && return 0
    timeout 60 docker pull --quiet "$image" >/dev/null 2>&1 && return 0
    say "making $image, which cannot be pulled"
    root=$(mktemp -d "${TMPDIR:-/tmp}/whippet-base.XXXXXX") || return 1
    # As there: dpkg need not wait for the disk after each file.
    mkdir -p "$root/etc/dpkg/dpkg.cfg.d" && echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/docker-apt-speedup" || return 1
    if debootstrap --variant=minbase "$release" "$root" "$(images_mirror)" >"$root.log" 2>&1; then
        rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{man,locale,info}
        find "$root/usr/share/doc" -type f ! -name copyright -delete
        tar -C "$root" -c . | docker import - "$image" >/dev/null
        status=$?
    else
        status=1
        tail -n 5 "$root.log"
    fi
    rm -rf "$root" "$root.log"
    return $status
}

# images_build TAG OPTIONS… FOLDER: builds an image, and shows how it went only when it fails.
images_build() {
    local tag=$1 log status
    shift
    log=$(mktemp) || return 1
    docker build --network host --tag "$tag" "$@" >"$log" 2>&1
    status=$?
    if [ $status -ne 0 ]; then
        say "building $tag failed; the end of what it said:"
        tail -n 40 "$log"
    fi
    rm -f "$log"
    return $status
}

# A user's own Dockerfile, of the one line that docs/containers.md promises.
images_build_plugins() {
    local folder
    folder=$(mktemp -d) || return 1
    cp "$top"/tests/plugins/{record,crash}.c "$here/plugins/"*.c "$folder/"
    {
        echo 'FROM whippet-test-sdk'
        echo 'COPY *.c ./'
        echo 'RUN for name in *.c; do cc -shared -fPIC "$name" -o "${name%.c}.so" $(pkg-config --cflags --libs whippet) || exit 1; done'
    } >"$folder/Dockerfile"
    images_build whippet-test-plugins "$folder"
    local status=$?
    rm -rf "$folder"
    return $status
}

# images_take_plugins FOLDER: the processors from that image.
images_take_plugins() {
    local container
    container=$(docker create whippet-test-plugins true) || return 1
    docker cp "$container:/srv/whippet/." "$1" >/dev/null && docker rm "$container" >/dev/null
}
