#!/usr/bin/env bash
# docs/processors.md does what it says, with nothing but what is installed: its sh blocks are run in their order, its C and
# JSON blocks that are files take their places in the folder that `whippet new` made, the other C blocks are processors.
#
#   processors.sh BUILD_FOLDER [SANITIZERS]
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$(cd "$1" && pwd) || exit 1
flags=${2:+-fsanitize=$2}
work=$(mktemp -d "${TMPDIR:-/tmp}/whippet-processors.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

fail() {
    printf 'docs/processors.md: %s\n' "$*" >&2
    exit 1
}

cmake --install "$build" --prefix "$work/prefix" >"$work/said" 2>&1 || fail "$(cat "$work/said")"
cd "$work" || exit 1
awk '/^```(c|json|sh)$/ { kind = substr($0, 4); count++; inside = 1; next }
     /^```/ { inside = 0 }
     inside { print > sprintf("block-%02d.%s", count, kind) }' "$top/docs/processors.md"

# Runs what an sh block says. Its `cd` counts for the blocks after it.
place=$work
run_block() {
    env -i PATH="$work/prefix/bin:/usr/bin:/bin" HOME="$work" CMAKE_PREFIX_PATH="$work/prefix" CFLAGS="$flags" \
        bash -e -c "cd \"\$1\" && . \"\$2\" && pwd >\"\$3\"" - "$place" "$work/$1" "$work/place" >"$work/said" 2>&1 ||
        fail "$(cat "$work/$1" "$work/said")"
    place=$(cat "$work/place")
}

# A C block with an example() is a processor that runs it.
run_example() {
    {
        echo '#include <whippet/processor.h>'
        cat "$1"
        echo 'static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    int error = example(task, NULL);
    (void)message, (void)state;
    return error == 0 ? WHIPPET_ACK : whippet_reject(task, "the example returned %d", error);
}
WHIPPET_PROCESSOR(.name = "example", .version = "1", .summary = "an example", .process = process);'
    } >example.c
    # shellcheck disable=SC2086 # flags are words
    cc -Wall -Wextra -Werror $flags -shared -fPIC example.c -o example.so -I"$work/prefix/include" || fail "$1 does not compile"
    "$work/prefix/bin/whippet" try ./example.so >"$work/said" 2>&1 || fail "$(cat "$1" "$work/said")"
}

count=0
for block in block-*; do
    case $block in
    *.sh) run_block "$block" ;;
    *.json) cp "$block" "$place/whippet.json" ;;
    *.c)
        file=$(sed -n '1s|^/\* \(.*\) \*/$|\1|p' "$block")
        if [ -n "$file" ]; then
            [ -e "$place/$file" ] || fail "whippet new makes no $file"
            cp "$block" "$place/$file"
        else
            run_example "$block"
        fi
        ;;
    esac
    count=$((count + 1))
done
[ "$count" -ge 8 ] || fail "found only $count blocks"
echo "$count blocks work"
