# shellcheck shell=bash
# What people get wrong: a clear message in `docker-compose logs worker`, and no crash loop.

# says TEXT: the worker's log does, within half a minute.
says() {
    local until=$((SECONDS + 30))
    until compose logs worker | grep -qE "$1"; do
        [ $SECONDS -lt $until ] || fail "\"$1\" is not in the worker's log"
        pause 0.2
    done
}

# It runs, and was not started again and again.
is_patient() {
    local container
    container=$(containers_of worker)
    pause 3
    [ "$(docker inspect --format '{{.State.Running}} {{.RestartCount}}' "$container")" = "true 0" ] ||
        fail "the worker does not stay: $(docker inspect --format '{{.State.Status}}, {{.RestartCount}} restarts' "$container")"
}

start_worker() {
    compose up --detach --no-build --no-deps worker >/dev/null || fail "docker-compose up failed: $(tail -n 3 "$work/compose.log")"
}

scenario_a_broker_that_is_not_there_yet_is_waited_for() {
    start_worker
    says 'rabbitmq'
    is_patient
}

scenario_a_wrong_password_is_named_and_tried_again() {
    local good
    stack_up
    good=$(cat "$SECRETS/amqp_password")
    compose rm --stop --force worker >/dev/null
    echo tr0ub4dor >"$SECRETS/amqp_password"
    start_worker
    says 'refused the lo'
    is_patient
    compose logs worker | grep -q tr0ub4dor && fail "the password is in the log"
    # Written in place: what is mounted is the file itself.
    echo "$good" >"$SECRETS/amqp_password"
    await 30 "the worker to consume with the right password" queue_shows work 0 1
}

scenario_a_missing_secret_is_named() {
    : >"$SECRETS/amqp_password"
    start_worker
    says 'amqp.password_file.*/run/secrets/amqp_password.*empty'
    is_patient
}

scenario_a_configuration_that_is_a_folder_is_named() {
    rm "$CONFIGURATION/whippet.json"
    mkdir "$CONFIGURATION/whippet.json"
    start_worker
    says 'whippet.json.*(folder|directory)'
    is_patient
    rmdir "$CONFIGURATION/whippet.json"
    stack_configure ''
    says 'rabbitmq'
}

scenario_a_plugin_for_another_machine_is_named() {
    # An ELF header for AArch64, and nothing behind it.
    printf '\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\xb7\x00\x01\x00\x00\x00' >"$PLUGINS/record.so"
    head -c 4096 /dev/zero >>"$PLUGINS/record.so"
    start_worker
    says 'record.so.*(architecture|machine|AArch64|aarch64)'
    is_patient
}

scenario_a_state_folder_that_cannot_be_written_is_a_warning() {
    local volume
    volume=${project}_state
    docker volume create --label com.docker.compose.project="$project" --label com.docker.compose.volume=state "$volume" >/dev/null
    # Not empty: else Docker would give it the owner that the image has for the folder.
    touch "$(docker volume inspect --format '{{.Mountpoint}}' "$volume")/somebody-elses"
    sed -i 's|"path": "[^"]*"|"path": "/tmp/record"|' "$CONFIGURATION/whippet.json"
    stack_up
    says 'state_dir'
}
