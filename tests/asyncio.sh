#!/usr/bin/env bash
# Every C example of docs/coming-from-asyncio.md compiles with the SDK's headers alone, runs, and does what it says.
#
#   asyncio.sh WHIPPET
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
whippet=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/whippet-asyncio.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

cat >before.h <<'C'
#include <string.h>
#include <whippet/processor.h>

static inline int fetch(whippet_task *task, void *arg)
{
    int error = whippet_sleep(task, (double)(long)arg / 1000);
    return error != 0 ? error : (int)(long)arg;
}
C
cat >after.h <<'C'
static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    int error = example(task, NULL);
    (void)message, (void)state;
    return error == 0 ? WHIPPET_ACK : whippet_reject(task, "the example returned %d", error);
}

WHIPPET_PROCESSOR(.name = "example", .version = "1", .summary = "an example", .process = process);
C

awk '/^```c$/ { inside = 1; count++; next } /^```/ { inside = 0 } inside { print > ("example-" count ".c") }' \
    "$top/docs/coming-from-asyncio.md"
count=0
for source in example-*.c; do
    name=${source%.c}
    # Headers that an example includes must come before ours, and so must their feature macros.
    { echo '#define _GNU_SOURCE'; grep '^#include' "$source"; echo '#include "before.h"'; grep -v '^#include' "$source"
      echo '#include "after.h"'; } >"$name.full.c"
    cc -Wall -Wextra -Werror -shared -fPIC "$name.full.c" -o "$name.so" -I"$top/include" || {
        echo "docs/coming-from-asyncio.md: $name does not compile" >&2
        exit 1
    }
    said=$("$whippet" try "./$name.so" --timeout 20s 2>&1) || {
        printf 'docs/coming-from-asyncio.md: %s:\n%s\n' "$name" "$said" >&2
        cat "$source" >&2
        exit 1
    }
    count=$((count + 1))
done
[ "$count" -ge 13 ] || {
    echo "docs/coming-from-asyncio.md: found only $count examples" >&2
    exit 1
}
echo "$count examples work"
