#!/usr/bin/env bash
# The rules of the layers, in words and checked in the text: what may include what, and who may end the process.
# Prints each breach with its file and line; exit status 1 if there is any.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

# may_use[LAYER]: the layers whose headers it may include besides its own. It is what docs/architecture.md draws.
declare -A may_use=(
    [base]=""
    [stats]="base"
    [admin]="base stats"
    [libcurl]="base"
    [management]="base stats libcurl"
    [trace]="base stats"
    [async]="base"
    [amqp]="base"
    [io]="base async amqp"
    [config]="base"
    [clients]="base async libcurl"
    [worker]="base stats trace async amqp io config clients"
    [testing]="base async amqp config trace worker"
)

# sources FOLDER…: the C files below.
sources() {
    find "$@" -name '*.[ch]' 2>/dev/null | sort
}

# includes REGEX: of the files named on standard input, the lines that include a header whose name matches.
includes() {
    xargs -r grep -nHE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($1)[>\"]"
}

# breach TEXT: puts the rule behind each line that breaks it.
breach() {
    sed "s|\$|  -- $1|"
}

check_layers() {
    local layer other
    for layer in "${!may_use[@]}"; do
        for other in "${!may_use[@]}"; do
            [[ " $layer ${may_use[$layer]} " == *" $other "* ]] ||
                sources "src/$layer" | includes "$other/.*" | breach "$layer may not use $other"
        done
    done
    find src -mindepth 1 -maxdepth 1 -type d | while read -r folder; do
        [ -n "${may_use[${folder#src/}]+known}" ] || echo "$folder  -- tests/layers.sh does not know this layer"
    done
}

check_libraries() {
    sources src cmd processors include | grep -v '^src/amqp/' | includes '(rabbitmq-c/)?amqp(_[a-z]+)?\.h' |
        breach "rabbitmq-c belongs to src/amqp alone"
    sources src cmd processors include | grep -vE '^src/(async|io)/' | includes '(libev/)?ev\.h' |
        breach "libev belongs to src/async and src/io"
    sources src cmd processors include | grep -vE '^(src/io/tls_|processors/http/signature\.c)' | includes 'openssl/.*' |
        breach "OpenSSL belongs to src/io/tls_*.c, and to processors/http/signature.c"
}

# A processor includes <whippet/...>, headers of its own folder, and those of the system: never a layer's.
check_processors() {
    local layers
    layers=$(IFS='|' && echo "${!may_use[*]}")
    sources processors tests/plugins | includes "($layers)/.*|\.\..*|.*src/.*" |
        breach "a processor sees the SDK only"
    sources include | includes "($layers)/.*" | breach "the SDK's headers stand alone"
}

check_ends() {
    sources src processors include | xargs -r grep -nHE '(^|[^_[:alnum:]])(exit|quick_exit|_Exit)[[:space:]]*\(' |
        breach "only cmd/ may end the process"
}

breaches=$(check_layers; check_libraries; check_processors; check_ends)
[ -z "$breaches" ] || {
    echo "$breaches"
    exit 1
}
echo "the layers keep to their rules"
