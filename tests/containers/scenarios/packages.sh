# shellcheck shell=bash
# The Debian packages on a machine with systemd, which is process 1 of a container. It has no network but the stack's.

# on_machine COMMAND…
on_machine() {
    docker exec --interactive "$(containers machine)" "$@"
}

machine_does() {
    on_machine "$@" >"$work/said" 2>&1 || fail "\"$*\" failed: $(tail -n 5 "$work/said")"
}

# With the right to mount, which systemd cannot do without, and not with --privileged: nothing of it reaches for the devices
# of the machine that this runs on.
machine_begin() {
    compose up --detach --no-build rabbitmq >/dev/null || fail "docker-compose up failed: $(tail -n 3 "$work/compose.log")"
    docker run --detach --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
        --security-opt systempaths=unconfined --cgroupns private --tmpfs /run --tmpfs /run/lock --env container=docker \
        --network "${project}_default" --label com.docker.compose.project="$project" \
        --label com.docker.compose.service=machine whippet-test-systemd >/dev/null || fail "the machine did not start"
    await 60 "systemd" machine_is_up
}

machine_is_up() {
    [[ $(on_machine systemctl is-system-running) =~ ^(running|degraded)$ ]]
}

# What the machine's administrator would write.
machine_configure() {
    printf '{ "amqp": { "url": "amqp://whippet@rabbitmq:5672/", "password_file": "/etc/whippet/broker-password" },
              "log": { "format": "text" }, "queues": [ { "name": "%s", "processor": "record", "concurrency": 16,
                "settings": { "path": "/var/lib/whippet/record", "delay": "100ms" } } ] }' "$queue" |
        on_machine sh -c 'cat >/etc/whippet/whippet.json'
    on_machine sh -c 'cd /etc/whippet && umask 027 && cat >broker-password && chgrp whippet broker-password' <"$work/password"
    docker cp "$work/built/record.so" "$(containers machine):/usr/local/lib/whippet/processors/" >/dev/null
}

# systemctl COMMAND…: and where systemd cannot give a service users of its own (status 217), which it cannot in every
# container, the unit does without them.
machine_starts() {
    on_machine systemctl "$@" >"$work/said" 2>&1 && return
    [ "$(on_machine systemctl show --property ExecMainStatus --value whippet)" = 217 ] ||
        fail "the service does not start: $(on_machine journalctl --no-pager --lines 5 --unit whippet)"
    echo '   systemd cannot give users of their own here: the unit runs without PrivateUsers'
    on_machine sh -c 'mkdir -p /run/systemd/system/whippet.service.d
        printf "[Service]\nPrivateUsers=no\n" >/run/systemd/system/whippet.service.d/users.conf'
    machine_does systemctl daemon-reload
    machine_does systemctl "$@"
}

# The main process of the service, 0 when there is none.
machine_worker() {
    on_machine systemctl show --property MainPID --value whippet
}

machine_has_another() {
    [[ $(machine_worker) =~ ^[1-9] ]] && [ "$(machine_worker)" != "$1" ]
}

# Its records are the stack's, so that account sees them.
machine_records() {
    on_machine cat /var/lib/whippet/record >"$state/record" && has_processed "$1"
}

scenario_packages_are_installed_upgraded_at_work_and_removed() {
    local before
    machine_begin
    machine_does dpkg --install /packages/whippet_0.1.0-1_amd64.deb
    [ "$(machine_worker)" = 0 ] || fail "the service started before anybody has configured it"
    machine_does id whippet
    machine_configure
    machine_does systemd-analyze verify whippet.service
    machine_starts enable --now whippet
    machine_does systemd-analyze security --no-pager --threshold=15 whippet
    printf '   %s\n' "$(on_machine systemctl show --property StatusText --value whippet)" "$(tail -n 1 "$work/said")"
    before=$(machine_worker)
    traffic_begin 300
    await 60 "messages to be processed" machine_records 100
    machine_does dpkg --install /packages/whippet_0.1.0-2_amd64.deb
    await 60 "the upgrade to start the worker again" machine_has_another "$before"
    traffic_end
    await 120 "$published messages to be processed" machine_records "$published"
    account "$published" 0
    machine_does systemctl kill --signal KILL whippet
    await 60 "systemd to start it again" queue_shows "$queue" 0 1
    machine_does dpkg --remove whippet
    [ "$(machine_worker)" = 0 ] || fail "the service outlived its package"
    machine_does test -e /etc/whippet/whippet.json
    machine_does dpkg --purge whippet
    machine_does test ! -e /var/lib/whippet -a ! -e /etc/whippet/whippet.json
}

# Nothing is on the machine but a compiler, CMake, Criterion, and the two packages.
scenario_a_stranger_writes_a_processor_with_the_packages() {
    local step
    machine_begin
    machine_does dpkg --install /packages/whippet_0.1.0-1_amd64.deb /packages/whippet-dev_0.1.0-1_amd64.deb
    for step in 'whippet new hello' 'cd hello && cmake -B build' 'cd hello && cmake --build build' \
        'cd hello && ctest --test-dir build --output-on-failure' \
        'cd hello && echo "{\"name\": \"Ada\"}" | whippet try hello --message - 2>&1 | grep "Hello, Ada"' \
        'cd hello && cmake --install build && cd / && whippet processors hello'; do
        machine_does sh -c "cd /root && $step"
    done
    on_machine sh -c "cd /root/hello && sed -i 's/\"name\": \"hello\"/\"name\": \"$queue\"/' whippet.json &&
        AMQP_URL=amqp://whippet:$(cat "$work/password")@rabbitmq:5672/ exec whippet run" >"$work/stranger" 2>&1 &
    await 60 "the stranger's worker to consume" grep -q consuming "$work/stranger"
    whippet publish "$queue" --quiet --body '{"name": "Ada"}' || fail "publishing failed"
    await 60 "the greeting" grep -q 'Hello, Ada' "$work/stranger"
    grep -m 1 'Hello, Ada' "$work/stranger" | sed 's/^/   /'
}
