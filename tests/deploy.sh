#!/usr/bin/env bash
# What deploy/ gives to Kubernetes and to docker compose: the configurations are valid, the limits leave room for what they
# ask for, the YAML holds together (tests/deploy), and the unit of systemd is hardened. And what docs/ says of scripts/capacity
# is what it says.
#
#   deploy.sh PROGRAM
set -u
program=$1
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
work=$(mktemp -d) || exit 1
export PYTHONDONTWRITEBYTECODE=yes
trap 'rm -rf "$work"' EXIT

# Debian's has python3-yaml; another may come before it.
for python in python3 /usr/bin/python3 ''; do
    [ -z "$python" ] && echo "python3-yaml is missing: scripts/setup test" && exit 1
    "$python" -c 'import yaml' 2>/dev/null && break
done

fail() {
    echo "FAILED: $*"
    [ ! -s "$work/check" ] || sed 's/^/    /' "$work/check"
    exit 1
}

# check FILE [CHANGE]: leaves in $work/check what `whippet check` says of it, with a password where the secret would be. CHANGE
# is sed's, for what is not here.
check() {
    echo secret >"$work/password"
    sed -e "${2:-}" -e 's|"/run/secrets/[^"]*"|"'"$work"'/password"|' "$1" >"$work/whippet.json"
    AMQP_URL=amqp://whippet@rabbitmq/ "$program" check -c "$work/whippet.json" >"$work/check" 2>&1 || fail "$1 is not valid"
}

# Of the configuration that was checked last.
bound_in_mebibytes() {
    sed -nE 's/^memory bound +([0-9]+)(\.[0-9]+)? MiB.*/\1/p' "$work/check"
}

shutdown_in_seconds() {
    sed -nE 's/^shutdown +within ([0-9]+)s$/\1/p' "$work/check"
}

# The limit of memory, and the grace before it is killed, of docker-compose.yml's worker.
compose_holds_together() {
    check deploy/docker/whippet.json
    "$python" tests/deploy/compose.py "$(bound_in_mebibytes)" "$(shutdown_in_seconds)" >"$work/check" || fail "docker-compose.yml"
}

# Prints the docker-compose that is here: 1.29, or v2, which is a program of its own as well. Neither needs an engine to read.
docker_compose() {
    command -v docker-compose || ls /usr/libexec/docker/cli-plugins/docker-compose /usr/lib/docker/cli-plugins/docker-compose 2>/dev/null
}

overrides_are_taken() {
    mkdir "$work/compose"
    "$python" tests/deploy/overrides.py "$1" "$work/compose" >"$work/check" || fail "the Compose files of docs/containers.md"
}

# kubernetes_leaves_room FILE [CHANGE]
kubernetes_leaves_room() {
    local bound limit
    check "$@"
    bound=$(bound_in_mebibytes)
    limit=$(sed -nE '/limits:/,$s/^ +memory: ([0-9]+)Mi$/\1/p' deploy/kubernetes/base/deployment.yaml)
    [ "${limit:-0}" -gt "${bound:-99999}" ] || fail "deployment.yaml allows '$limit' MiB, and needs up to '$bound'"
}

# A kubectl whose kustomize knows labels with pairs (1.22 and later).
kustomize_is_here() {
    kubectl kustomize --help >/dev/null 2>&1 && ! kubectl kustomize deploy/kubernetes/base 2>&1 | grep -q 'unknown field'
}

# holds_together FOLDER FILE…: what the YAML says, of one or more kustomizations, with the configuration in the folder.
holds_together() {
    "$python" tests/deploy/kubernetes.py "deploy/kubernetes/$1/whippet.json" "${@:2}" >"$work/check" || fail "Kubernetes: $*"
}

kustomize_renders() {
    local folder
    for folder in base keda monitoring overlays/example; do
        mkdir -p "$work/$folder"
        kubectl kustomize deploy/kubernetes/$folder >"$work/$folder/all.yaml" 2>"$work/check" || fail "kustomize: $folder"
    done
    holds_together base "$work/base/all.yaml"
    holds_together base "$work/keda/all.yaml" "$work/monitoring/all.yaml"
    holds_together overlays/example "$work/overlays/example/all.yaml"
    ! grep -q 'replicas:' "$work/keda/all.yaml" || fail "each apply of keda sets the number of pods back"
}

# What docs/operations.md makes a PrometheusRule of the alerts with.
alerts_become_a_rule() {
    local command
    command=$(sed -n '/^{ echo .apiVersion: monitoring.coreos.com/,/^```/{/^```/d; p}' docs/operations.md)
    [ -n "$command" ] || fail "docs/operations.md has no command that makes a PrometheusRule"
    bash -c "${command%|*}" >"$work/rule" 2>"$work/check" || fail "docs/operations.md: $command"
    "$python" - "$work/rule" deploy/prometheus/alerts.yml >"$work/check" 2>&1 <<'END' || fail "that is no PrometheusRule"
import sys, yaml
rule, alerts = (yaml.safe_load(open(name)) for name in sys.argv[1:])
assert rule["kind"] == "PrometheusRule" and rule["metadata"]["name"] == "whippet", rule["metadata"]
assert rule["spec"] == alerts, "it holds other rules"
END
}

# The image's charts, from a registry that is a folder here: what the lock names, nothing else, and no failure without.
charts_are_fetched_or_left_out() {
    local folder=$work/dashboard registry=$work/registry archive=$work/registry/uplot/-/uplot-1.2.3.tgz
    mkdir -p "$work/package/dist" "$folder" "${archive%/*}"
    echo drawing >"$work/package/dist/uPlot.iife.min.js"
    tar -C "$work" -czf "$archive" package
    printf '{ "packages": {\n"": {\n"version": "9"\n},\n"node_modules/uplot": {\n"version": "1.2.3",\n"integrity": "sha512-%s"\n}\n} }\n' \
        "$(openssl dgst -sha512 -binary "$archive" | base64 -w 0)" >"$folder/package-lock.json"
    deploy/docker/charts "$folder" "file://$registry" >"$work/check" 2>&1 || fail "the charts of the image were not fetched"
    [ "$(cat "$folder/node_modules/uplot/dist/uPlot.iife.min.js")" = drawing ] || fail "the image's charts are not where CMake looks"
    rm -r "$folder/node_modules"
    echo >>"$archive"
    deploy/docker/charts "$folder" "file://$registry" >"$work/check" 2>&1 || fail "charts that were tampered with stop the build"
    grep -q 'is not what package-lock.json names' "$work/check" || fail "nothing is said of charts that were tampered with"
    rm "$archive"
    deploy/docker/charts "$folder" "file://$registry" >"$work/check" 2>&1 || fail "without npm's registry there is no image"
    [ ! -e "$folder/node_modules" ] || fail "charts of another origin got into the image"
}

# Each "$ scripts/capacity …" of docs/scaling.md, with what it prints below.
capacity_says_what_is_documented() {
    local command
    sed -n '/^\$ scripts\/capacity/,/^```/{/^```/d; p}' docs/scaling.md >"$work/documented"
    command=$(sed -n '1s/^\$ //p' "$work/documented")
    [ -n "$command" ] || fail "docs/scaling.md has no example of scripts/capacity"
    { echo "\$ $command" && bash -c "$command"; } >"$work/said" 2>&1 || fail "$command"
    diff "$work/documented" "$work/said" >"$work/check" || fail "docs/scaling.md says otherwise than scripts/capacity (<)"
}

# takes_capacity OPTIONS…: `whippet check` takes what scripts/capacity advises.
takes_capacity() {
    local advice concurrency prefetch
    advice=$(scripts/capacity "$@" 2>&1) || fail "scripts/capacity $*: $advice"
    concurrency=$(sed -nE 's/^workers +[1-9][0-9]* with concurrency ([0-9]+)$/\1/p' <<<"$advice")
    prefetch=$(sed -nE 's/^prefetch +([0-9]+) each.*/\1/p' <<<"$advice")
    printf '{ "queues": [ { "name": "orders", "processor": "log", "concurrency": %d, "prefetch": %d } ] }\n' \
        "$concurrency" "$prefetch" >"$work/advised.json"
    check "$work/advised.json"
}

# refuses_capacity WORDS OPTIONS…
refuses_capacity() {
    local said
    ! said=$(scripts/capacity "${@:2}" 2>&1) || fail "scripts/capacity ${*:2} is answered: $said"
    [[ $said == "capacity: "*"$1"* ]] || fail "scripts/capacity ${*:2} says: $said"
}

capacity_gives_what_can_be_configured() {
    takes_capacity --rate 100000 --seconds .0005
    takes_capacity --rate 0.1 --seconds 0.001 --concurrency 1
    takes_capacity --rate 900 --seconds 2 --fail 1 --failures 5 --delay 600
    takes_capacity --rate 9000 --seconds 2 --concurrency 2000
    scripts/capacity --rate 100000 --seconds .0005 | grep -q '^queues  *2, as one gives 75000' || fail "one queue gives 100,000 a second"
    scripts/capacity --rate 100 --seconds 1 --queue-rate 30 | grep -q '^queues  *4,' || fail "--queue-rate does not count"
    refuses_capacity "--rate must be above 0" --rate 0 --seconds 1
    refuses_capacity "--seconds must be above 0" --rate 1 --seconds 0.0
    refuses_capacity "--seconds needs a number" --rate 1 --seconds 20ms
    refuses_capacity "--fail is a share" --rate 1 --seconds 1 --fail 2
    refuses_capacity "--failures is a whole number" --rate 1 --seconds 1 --failures 1.5
    refuses_capacity "--concurrency is a whole number" --rate 1 --seconds 1 --concurrency 0
    refuses_capacity "--utilisation lies between" --rate 1 --seconds 1 --utilisation 1
    refuses_capacity "--cpu is a part" --rate 1 --seconds 1 --cpu 2
    refuses_capacity "--queue-rate must be" --rate 1 --seconds 1 --queue-rate 0
}

# By systemd's own measure: from 0.0, nothing is exposed, to 10.0. docs/operations.md says 1.3; later versions may look at more.
exposure_limit=15 # tenths
systemd_is_here() {
    systemd-analyze --help 2>/dev/null | grep -q -- --threshold
}

unit_is_hardened() {
    systemd-analyze security --offline=true --threshold=$exposure_limit --no-pager deploy/systemd/whippet.service \
        >"$work/check" 2>&1 || fail "systemd finds the unit exposed: $(tail -n 1 "$work/check")"
    grep -q 'Overall exposure level for whippet.service: [01]\.' "$work/check" || fail "systemd gave no exposure level"
    : >"$work/check"
}

# By default every process of the unit is told to end, and commands that `exec` and `pipe` run would be, in their midst.
unit_ends_the_worker_first() {
    grep -qx KillMode=mixed deploy/systemd/whippet.service || fail "a stop reaches the commands that a message has started"
}

compose_holds_together
if [ -n "$(docker_compose)" ]; then
    overrides_are_taken "$(docker_compose | head -n 1)"
else
    echo "no docker-compose is here: the Compose files of docs/containers.md were not looked at"
fi
kubernetes_leaves_room deploy/kubernetes/base/whippet.json
kubernetes_leaves_room deploy/kubernetes/overlays/example/whippet.json 's/"thumbs"/"log"/; /"ca"/d'
holds_together base deploy/kubernetes/base/*.yaml
holds_together base deploy/kubernetes/{base,keda,monitoring}/*.yaml
unit_ends_the_worker_first
if systemd_is_here; then
    unit_is_hardened
else
    echo "no systemd is here, or one before 250: how exposed the unit is was not looked at"
fi
if kustomize_is_here; then
    kustomize_renders
else
    echo "no kubectl is here, or an old one: what kustomize renders was not looked at"
fi
alerts_become_a_rule
charts_are_fetched_or_left_out
capacity_says_what_is_documented
capacity_gives_what_can_be_configured
