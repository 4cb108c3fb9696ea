# shellcheck shell=bash
# What its keeper does to it, with the commands of docs/containers.md.

# keeper_does COMMANDS: in the folder that has what they read; "docker compose" is that of the stack.
keeper_does() {
    printf '%s\n' "$1" | sed 's/ *#.*//; s/^/   $ /'
    cd "$work" || fail "$work is gone"
    eval "${1//docker compose/compose}" >"$work/keeper" 2>&1 || fail "that went wrong: $(tail -n 3 "$work/keeper")"
}

# The first half is written for a file that a running container has mounted, the second for whoever does not want to wait.
scenario_a_password_is_changed_as_the_docs_say() {
    local commands
    commands=$(docs_commands 'The password' 1)
    [[ $commands == *change_password*deploy/secrets/amqp_password*--force-recreate* ]] || fail "docs/containers.md changes it by: $commands"
    delay=500ms stack_configure ''
    stack_up
    publish 2000
    await 60 "messages to be processed" has_processed 200
    printf 'changed%s\n' "$RANDOM$RANDOM" >"$work/new-password"
    # shellcheck disable=SC2016 # it is the shell of the commands that knows it
    keeper_does "$(sed '/--force-recreate/d; s|deploy/secrets|"$SECRETS"|' <<<"$commands")"
    cat "$work/new-password" >"$work/password"
    broker_answers 'rabbit_networking:close_all_connections("the password is another")' >/dev/null
    await 60 "the worker to log in with the new password" has_consumed_times 2
    keeper_does "$(grep -- --force-recreate <<<"$commands")"
    await 60 "the new worker to consume" consumes
    account 2000 $held
}

# has_consumed_times COUNT: so often has the worker been told that it is the queue's consumer.
has_consumed_times() {
    [ "$(log_of worker | grep -c "$queue\[record\] consuming")" -ge "$1" ]
}

# The one way never leaves the queue without a consumer; the other, here the way back, may.
scenario_workers_are_upgraded_and_back_as_the_docs_say() {
    local commands watcher fewest
    commands=$(docs_commands Upgrading 2)
    [[ $commands == *--no-recreate*scale\ worker=6*'docker stop $old'* ]] || fail "docs/containers.md upgrades by: $commands"
    delay=100ms type=classic stack_configure ''
    docker tag whippet-test whippet-test-next
    stack_up --scale worker=3 worker
    await 60 "three consumers" has_consumers 3
    traffic_begin 200
    await 60 "messages to be processed" has_processed 200
    watch_consumers &
    watcher=$!
    export WHIPPET_IMAGE=whippet-test-next
    keeper_does "$(sed '/^docker stop/d' <<<"$commands")"
    await 60 "six consumers" has_consumers 6
    await 60 "all of them to be healthy" is_healthy worker
    keeper_does "$(grep '^docker stop' <<<"$commands")"
    await 60 "three consumers" has_consumers 3
    kill $watcher
    fewest=$(sort -n "$work/consumers" | head -n 1)
    printf '   the queue had %d consumers or more, looked at %d times\n' "$fewest" "$(wc -l <"$work/consumers")"
    [ "$fewest" -ge 3 ] || fail "the queue was left with $fewest consumers"
    [ "$(inspect worker '{{.Config.Image}}' | sort -u)" = whippet-test-next ] || fail "some workers are still the old ones"
    export WHIPPET_IMAGE=whippet-test
    keeper_does "$(docs_commands Upgrading 1)"
    await 60 "three consumers" has_consumers 3
    [ "$(inspect worker '{{.Config.Image}}' | sort -u)" = whippet-test ] || fail "some workers are still the new ones"
    compose up --detach --no-build --scale worker=1 worker >/dev/null
    traffic_end
    account "$published" 0
}

# Writes down how many consumers the queue has, again and again.
watch_consumers() {
    while :; do
        [[ $(queue_holds "$queue") =~ ,([0-9]+)\} ]] && echo "${BASH_REMATCH[1]}" >>"$work/consumers"
        pause 0.1
    done
}
