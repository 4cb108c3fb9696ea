# shellcheck shell=bash
# What people get wrong: a clear message in `docker-compose logs worker`, and no crash loop.

# It runs, and was not started again and again.
is_patient() {
    pause 2
    [ "$(inspect worker '{{.State.Running}} {{.RestartCount}}')" = "true 0" ] ||
        fail "the worker does not stay: $(inspect worker '{{.State.Status}}, {{.RestartCount}} restarts')"
}

start_worker() {
    compose up --detach --no-build --no-deps worker >/dev/null || fail "docker-compose up failed: $(tail -n 3 "$work/compose.log")"
}

scenario_a_broker_that_is_not_there_is_waited_for() {
    AMQP_URL=amqp://whippet@not-there-yet:5672/ start_worker
    shows 'no connection.*not-there-yet'
    is_patient
}

scenario_a_wrong_password_is_named_and_tried_again() {
    stack_up
    containers worker | xargs docker rm --force >/dev/null
    echo tr0ub4dor >"$SECRETS/amqp_password"
    start_worker
    shows 'refused the lo'
    is_patient
    ! log_has worker tr0ub4dor || fail "the password is in the log"
    cat "$work/password" >"$SECRETS/amqp_password"
    await 60 "the worker to consume" consumes
    publish 100
    account 100 0
}

scenario_an_empty_secret_is_named() {
    : >"$SECRETS/amqp_password"
    start_worker
    shows 'amqp.password_file.*/run/secrets/amqp_password.*empty'
    is_patient
}

# Compose mounts the file with the owner and the mode that it has here.
scenario_a_secret_that_may_not_be_read_is_named() {
    chmod 600 "$SECRETS/amqp_password"
    start_worker
    shows 'amqp.password_file.*/run/secrets/amqp_password.*Permission denied'
    is_patient
    chmod 644 "$SECRETS/amqp_password"
    stack_up
}

# A container without its secret is not even made: Compose and the engine say which file it is that they miss.
scenario_a_missing_secret_is_named() {
    rm "$SECRETS/amqp_password"
    ! compose up --detach --no-build --no-deps worker >/dev/null || fail "docker-compose up goes on without the secret"
    grep "bind source path does not exist: $SECRETS/amqp_password" "$work/compose.log" >"$work/said" ||
        fail "nobody names the file: $(tail -n 3 "$work/compose.log")"
    sed -n '1s/^/   /p' "$work/said"
    [[ $(inspect worker '{{.State.Status}} {{.RestartCount}}') =~ ^(created 0)?$ ]] ||
        fail "the worker is $(inspect worker '{{.State.Status}}')"
    cat "$work/password" >"$SECRETS/amqp_password"
    stack_up
}

scenario_a_configuration_that_is_a_folder_is_named() {
    rm "$CONFIGURATION/whippet.json"
    mkdir "$CONFIGURATION/whippet.json"
    start_worker
    shows 'whippet.json.*(folder|directory)'
    is_patient
    rmdir "$CONFIGURATION/whippet.json"
    stack_configure ''
    await 60 "the worker to consume" consumes
}

scenario_a_plugin_for_another_machine_is_named() {
    # An ELF header for AArch64, and nothing behind it.
    printf '\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\xb7\x00\x01\x00\x00\x00' >"$PLUGINS/record.so"
    head -c 4096 /dev/zero >>"$PLUGINS/record.so"
    start_worker
    shows 'record.so.*(architecture|machine|AArch64|aarch64)'
    is_patient
}

scenario_a_state_folder_that_cannot_be_written_is_a_warning() {
    chown 0:0 "$state"
    # Not empty: else Docker would give it the owner that the image has for the folder.
    touch "$state/somebody-elses"
    sed -i 's|"path": "[^"]*"|"path": "/tmp/record"|' "$CONFIGURATION/whippet.json"
    stack_up
    shows '/var/lib/whippet.*(ledger|ermission)|ledger.*/var/lib/whippet'
    publish 10
    await 60 "ten messages to be processed" worker_records 10
    account 10 0
}

# What it has written down in its own /tmp goes where account looks.
worker_records() {
    docker exec "$(containers worker)" cat /tmp/record >"$state/record" && has_processed "$1"
}
