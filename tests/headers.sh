#!/usr/bin/env bash
# Each public header compiles by itself, as plain C11 and as C++ with all warnings, and a processor written in C++ runs.
#
#   headers.sh WHIPPET
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
whippet=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/whippet-headers.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
warnings=(-Wall -Wextra -pedantic -Werror -I"$top/include")

cd "$top/include/whippet" || exit 1
for header in *.h; do
    echo "#include <whippet/$header>" >"$work/alone.c"
    cp "$work/alone.c" "$work/alone.cc"
    cc -std=c11 "${warnings[@]}" -fsyntax-only "$work/alone.c" || exit 1
    clang++ -std=c++17 "${warnings[@]}" -fsyntax-only "$work/alone.cc" || exit 1
done

cat >"$work/greet.cc" <<'C'
#include <whippet/processor.h>

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *)
{
    whippet_log(task, WHIPPET_INFO, "hello from C++: %zu bytes", whippet_body(message).len);
    return whippet_sleep(task, 0.001) == 0 ? WHIPPET_ACK : WHIPPET_RETRY;
}

WHIPPET_PROCESSOR(.name = "greet", .version = "1", .summary = "greets", .process = process);
C
# Leaving out what one does not need is what designated initialisers are for; clang 19 warns of it.
clang++ -std=c++20 "${warnings[@]}" -Wno-unknown-warning-option -Wno-missing-designated-field-initializers -shared -fPIC "$work/greet.cc" -o "$work/greet.so" || exit 1
said=$("$whippet" try "$work/greet.so" --timeout 20s 2>&1) && grep -q 'hello from C++: 0 bytes' <<<"$said" || {
    printf 'the processor written in C++ does not run:\n%s\n' "$said" >&2
    exit 1
}
echo "each header stands alone, in C and in C++"
