#!/usr/bin/env bash
# `whippet run --wait` with a configuration that can't work: said once, and mended while it waits.
#
#   wait.sh PROGRAM
set -u
program=$1
work=$(mktemp -d) || exit 1
worker=
trap '[ -z "$worker" ] || kill -KILL "$worker" 2>/dev/null; rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $*"
    sed 's/^/    /' "$work/log"
    exit 1
}

await() {
    local until=$((SECONDS + 20 * ${WHIPPET_TEST_PATIENCE:-1}))
    until grep -q "$1" "$work/log"; do
        [ $SECONDS -lt $until ] || fail "it did not say \"$1\""
        read -rt 0.05 <> <(:) || :
    done
}

configure() {
    echo "{ \"amqp\": { \"url\": \"amqp://127.0.0.1:1/\" }, \"admin\": { \"listen\": \"off\" }, \"queues\": [ $1 ] }" >"$work/whippet.json"
}

start() {
    : >"$work/log"
    configure '{ "name": "orders" }'
    "$program" run --wait -c "$work/whippet.json" 2>"$work/log" &
    worker=$!
    await 'waiting until that is mended'
}

ends_with() {
    wait "$worker"
    local status=$?
    worker=
    [ $status -eq "$1" ] || fail "it ended with $status, not $1"
}

says_once_what_is_wrong_and_starts_when_it_is_mended() {
    start
    # Another mistake shows that it has looked again; the first is not said a second time.
    kill -HUP "$worker"
    configure '{ "name": "orders", "processor": 1 }'
    kill -HUP "$worker"
    await 'found a number'
    [ "$(grep -c 'queues\[0\]' "$work/log")" -eq 2 ] || fail "it repeats itself"
    configure '{ "name": "orders", "processor": "log" }'
    kill -HUP "$worker"
    await ' starts: 1 queue'
    kill -TERM "$worker"
    ends_with 0
}

ends_with_78_when_it_is_told_to_stop_waiting() {
    start
    kill -TERM "$worker"
    ends_with 78
}

for test in says_once_what_is_wrong_and_starts_when_it_is_mended ends_with_78_when_it_is_told_to_stop_waiting; do
    $test
    echo "ok: $test"
done
