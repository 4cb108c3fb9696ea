#!/usr/bin/env bash
# What deploy/ gives to Kubernetes and to docker compose: the configurations are valid, the limits leave room for what they
# ask for, and kustomize renders what the restricted Pod Security Standard accepts.
#
#   deploy.sh PROGRAM
set -u
program=$1
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $*"
    [ ! -s "$work/check" ] || sed 's/^/    /' "$work/check"
    exit 1
}

# check FILE: leaves in $work/check what `whippet check` says of it, with a password where the secret would be.
check() {
    echo secret >"$work/password"
    sed 's|"/run/secrets/[^"]*"|"'"$work"'/password"|' "$1" >"$work/whippet.json"
    AMQP_URL=amqp://whippet@rabbitmq/ "$program" check -c "$work/whippet.json" >"$work/check" 2>&1 || fail "$1 is not valid"
}

# Of the configuration that was checked last.
bound_in_mebibytes() {
    sed -nE 's/^memory bound +([0-9]+)(\.[0-9]+)? MiB.*/\1/p' "$work/check"
}

shutdown_in_seconds() {
    sed -nE 's/^shutdown +within ([0-9]+)s$/\1/p' "$work/check"
}

# fits WHERE MEBIBYTES SECONDS: the limit of memory, and the grace before it is killed.
fits() {
    local bound shutdown
    bound=$(bound_in_mebibytes)
    shutdown=$(shutdown_in_seconds)
    [ "${2:-0}" -gt "${bound:-99999}" ] || fail "$1 allows '$2' MiB, and needs up to '$bound'"
    [ "${3:-0}" -gt "${shutdown:-99999}" ] || fail "$1 kills after '$3' s, and stopping takes '$shutdown'"
}

compose_leaves_room() {
    check deploy/docker/whippet.json
    fits docker-compose.yml "$(sed -nE 's/^ +mem_limit: .*:-([0-9]+)m\}$/\1/p' docker-compose.yml)" \
        "$(sed -nE 's/^ +stop_grace_period: ([0-9]+)s$/\1/p' docker-compose.yml | sort -n | tail -n 1)"
}

# The pause of preStop is a part of the grace.
kubernetes_leaves_room() {
    local deployment=deploy/kubernetes/base/deployment.yaml grace pause
    check deploy/kubernetes/base/whippet.json
    grace=$(sed -nE 's/^ +terminationGracePeriodSeconds: ([0-9]+)$/\1/p' $deployment)
    pause=$(sed -nE 's/^ +command: \[sleep, "([0-9]+)"\]$/\1/p' $deployment)
    fits $deployment "$(sed -nE '/limits:/,$s/^ +memory: ([0-9]+)Mi$/\1/p' $deployment)" $((grace - pause))
}

# A kubectl whose kustomize knows labels with pairs (1.22 and later).
kustomize_is_here() {
    kubectl kustomize --help >/dev/null 2>&1 && ! kubectl kustomize deploy/kubernetes/base 2>&1 | grep -q 'unknown field'
}

kustomize_renders() {
    local overlay line
    for overlay in base keda; do
        kubectl kustomize deploy/kubernetes/$overlay >"$work/$overlay" 2>"$work/check" || fail "kustomize: $overlay"
        : >"$work/check"
        for line in 'kind: Deployment' 'kind: PodDisruptionBudget' 'runAsNonRoot: true' 'type: RuntimeDefault' \
            'allowPrivilegeEscalation: false' 'readOnlyRootFilesystem: true' '- ALL' 'path: /readyz' 'path: /livez' \
            '"password_file": "/run/secrets/amqp/password"'; do
            grep -qF -- "$line" "$work/$overlay" || fail "$overlay has no \"$line\""
        done
    done
    grep -q 'kind: ScaledObject' "$work/keda" || fail "keda has no ScaledObject"
}

compose_leaves_room
kubernetes_leaves_room
if kustomize_is_here; then
    kustomize_renders
else
    echo "no kubectl is here, or an old one: what kustomize renders was not looked at"
fi
