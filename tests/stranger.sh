#!/usr/bin/env bash
# A stranger's machine: nothing but what `cmake --install` put into a prefix, an empty folder, and the system's own tools.
# A plugin made by `whippet new` builds, passes its tests, is tried, and consumes a real message from a private broker.
#
#   scripts/broker with tests/stranger.sh BUILD_FOLDER [SANITIZERS]
set -u
build=$(cd "$1" && pwd) || exit 1
sanitize=${2:-}
work=$(mktemp -d "${TMPDIR:-/tmp}/whippet-stranger.XXXXXX") || exit 1
worker=
cleanup() {
    [ -z "$worker" ] || kill -KILL "$worker" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

fail() {
    printf 'stranger: %s\n' "$*" >&2
    exit 1
}

# The environment of somebody who knows nothing of this tree.
stranger=(env -i PATH="$work/prefix/bin:/usr/bin:/bin" HOME="$work" AMQP_URL="${WHIPPET_TEST_AMQP_URL:-}"
    CMAKE_PREFIX_PATH="$work/prefix")

# must WHAT COMMAND…: shows what it said only when it fails.
must() {
    local what=$1
    shift
    "$@" >"$work/said" 2>&1 || {
        cat "$work/said" >&2
        fail "$what failed"
    }
}

# says TEXT: in what the last command said.
says() {
    grep -qF -- "$1" "$work/said" || fail "\"$1\" is missing in: $(cat "$work/said")"
}

must "the installation" cmake --install "$build" --prefix "$work/prefix"
mkdir "$work/empty" && cd "$work/empty" || exit 1

# --- Made, built, tested, tried -----------------------------------------------------------------------------------------
must "whippet new" "${stranger[@]}" whippet new hello
says "cmake -B build && cmake --build build && ctest --test-dir build"
cd hello || exit 1
# Where whippet itself is sanitized, what it loads and what loads it has to be, too.
flags=${sanitize:+-fsanitize=$sanitize}
must "cmake" "${stranger[@]}" cmake -B build "-DCMAKE_C_FLAGS=-Werror $flags"
must "building" "${stranger[@]}" cmake --build build
must "ctest" "${stranger[@]}" ctest --test-dir build --verbose
says "Tested: 6 | Passing: 6 | Failing: 0"
echo '{"name": "Ada"}' >message.json
must "whippet try" "${stranger[@]}" whippet try hello --message message.json
says "Hello, Ada!"
says "verdict    ACK"
must "whippet processors" "${stranger[@]}" whippet processors hello
says "greeting"
must "whippet check" "${stranger[@]}" whippet check

# The same through pkg-config, for those without CMake.
export PKG_CONFIG_PATH=
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name whippet.pc)")
# shellcheck disable=SC2046 # flags are words
must "cc" cc $flags -shared -fPIC hello.c -o by-hand.so $(pkg-config --cflags --libs whippet)
must "whippet try" "${stranger[@]}" whippet try ./by-hand.so --message message.json
# shellcheck disable=SC2046
must "cc" cc $flags hello.c tests/hello_test.c -o by-hand $(pkg-config --cflags --libs whippet-testing) \
    -Wl,-rpath,"$(pkg-config --variable=libdir whippet-testing)" -lcriterion
must "the tests" "${stranger[@]}" ./by-hand

# --- Consuming ----------------------------------------------------------------------------------------------------------
[ -n "${WHIPPET_TEST_AMQP_URL:-}" ] || fail "WHIPPET_TEST_AMQP_URL names no broker: run this with scripts/broker with"
queue=stranger-$$
sed -i "s/\"name\": \"hello\"/\"name\": \"$queue\"/" whippet.json
sed -i '2s/^/  "admin": { "listen": "off" },\n/' whippet.json # its port is the same for all
"${stranger[@]}" whippet run >"$work/log" 2>&1 &
worker=$!
# await TEXT: in the worker's log.
await() {
    local i
    for ((i = 0; i < 300 * ${WHIPPET_TEST_PATIENCE:-1}; i++)); do
        grep -qF -- "$1" "$work/log" && return
        kill -0 "$worker" 2>/dev/null || fail "the worker ended: $(cat "$work/log")"
        sleep 0.1
    done
    fail "\"$1\" did not come: $(cat "$work/log")"
}
await "consuming"
must "whippet publish" "${stranger[@]}" whippet publish "$queue" --quiet --file message.json
await "Hello, Ada!"
kill -TERM "$worker"
wait "$worker" || fail "the worker ended with $?: $(cat "$work/log")"
worker=
grep -qF "consumed 1 = acked 1" "$work/log" || fail "not acknowledged: $(cat "$work/log")"
echo "a stranger's plugin builds, tests and consumes"
