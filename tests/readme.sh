#!/usr/bin/env bash
# The README's processor compiles as it says, with the SDK's headers alone, and does what it says; its configuration
# is valid but for the processor that it makes up.
#
#   readme.sh WHIPPET [COMPILER FLAGS…]
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
whippet=$1
shift
work=$(mktemp -d "${TMPDIR:-/tmp}/whippet-readme.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

fail() {
    printf 'README.md: %s\n' "$*" >&2
    exit 1
}

# Prints the first fenced block in that language.
block() {
    awk -v fence="\`\`\`$1" '$0 == fence { inside = 1; next } inside && /^```/ { exit } inside' "$top/README.md"
}

block c >store.c
[ "$(grep -c . store.c)" -le 30 ] || fail "the processor has more than the 30 lines it promises"
cc -Wall -Wextra -Werror -shared -fPIC "$@" store.c -o store.so -I"$top/include" || fail "the processor does not compile"

said=$(echo '{"total": 12}' | "$whippet" try ./store.so --message-id order-1 --message - 2>&1) || fail "try said: $said"
[ "$(cat order-1.json)" = '{"total": 12}' ] || fail "the processor did not store the message"
echo '{"total": 12}' | "$whippet" try ./store.so --message-id order-1 --message - >/dev/null 2>&1 &&
    fail "storing the same message twice was acknowledged"
"$whippet" try ./store.so >said 2>&1 && fail "a message without an id was acknowledged"
grep -q "without an id" said || fail "the reason is missing in: $(cat said)"

mkdir processors && mv store.so processors/ && block json >whippet.json
"$whippet" check >said 2>&1 || fail "check said: $(cat said)"
