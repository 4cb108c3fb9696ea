#!/usr/bin/env bash
# The program as process 1 of a container: here of a process namespace, which takes root.
#
#   init.sh PROGRAM
set -u
program=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

unshare --pid --fork --mount-proc true 2>/dev/null || {
    echo "skipped: no process namespace can be made here"
    exit 77
}

fail() {
    echo "FAILED: $*"
    [ ! -s "$work/log" ] || sed 's/^/    /' "$work/log"
    exit 1
}

# To be run in a shell of its own.
as_first() {
    exec unshare --pid --fork --mount-proc "$program" "$@"
}

# Waits at most ten seconds, more on a busy machine, for a command to succeed.
await() {
    local until=$((SECONDS + 10 * ${WHIPPET_TEST_PATIENCE:-1}))
    until "$@"; do
        [ $SECONDS -lt $until ] || fail "waited for \"$*\" in vain"
        read -rt 0.05 <> <(:) || :
    done
}

children_of() {
    cat /proc/"$1"/task/*/children 2>/dev/null
}

# Starts a worker that waits for a broker on a port where none is; $first is process 1, $worker its child.
start_worker() {
    cat >"$work/whippet.json" <<-END
	{ "amqp": { "url": "amqp://127.0.0.1:1/" }, "admin": { "listen": "off" }, "queues": [ { "name": "orders", "processor": "log" } ] }
	END
    as_first run -c "$work/whippet.json" 2>"$work/log" &
    outer=$!
    await grep -q starts "$work/log"
    read -r first < <(children_of "$outer")
    read -r worker < <(children_of "$first")
}

the_exit_status_is_the_workers() {
    (as_first run -c "$work/none.json" 2>"$work/log")
    local status=$?
    [ $status -eq 78 ] || fail "a missing configuration ends it with $status, not 78"
}

sigterm_reaches_the_worker() {
    start_worker
    kill -TERM "$first"
    wait "$outer"
    local status=$?
    [ $status -eq 0 ] || fail "SIGTERM ends it with $status, not 0"
    grep -q stopped "$work/log" || fail "it did not stop in order"
}

a_killed_worker_ends_the_container_with_its_signal() {
    start_worker
    kill -KILL "$worker"
    wait "$outer"
    local status=$?
    [ $status -eq 137 ] || fail "a worker that is killed ends it with $status, not 137"
}

# The command leaves a process behind, which ends at once, and waits until nothing is to be seen of it: not even a zombie.
orphans_are_reaped() {
    cat >"$work/leave" <<-'END'
	#!/bin/bash
	orphan=$( (true >/dev/null & echo $!) )
	for ((i = 0; i < 200; i++)); do
	    [ -e "/proc/$orphan" ] || exit 0
	    read -rt 0.05 <> <(:) || :
	done
	exit 3
	END
    chmod +x "$work/leave"
    (as_first try exec -s "{\"command\": [\"$work/leave\"]}") >"$work/log" 2>&1 || fail "an orphan stays a zombie"
}

for test in the_exit_status_is_the_workers sigterm_reaches_the_worker \
    a_killed_worker_ends_the_container_with_its_signal orphans_are_reaped; do
    : >"$work/log"
    $test
    echo "ok: $test"
done
