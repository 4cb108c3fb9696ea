#!/usr/bin/env bash
# Every public declaration is documented: Doxygen makes the API reference of include/whippet without a warning. Skipped
# (77) where it is not installed: scripts/setup docs.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
command -v doxygen >/dev/null || {
    echo "skipped: there is no doxygen here; scripts/setup docs installs it"
    exit 77
}
work=$(mktemp -d "${TMPDIR:-/tmp}/whippet-reference.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$top" || exit 1

# reference INPUT: makes it of that folder; what doxygen says is in $work/said.
reference() {
    { cat docs/Doxyfile && echo "INPUT = $1" && echo "OUTPUT_DIRECTORY = $work/output"; } | doxygen - >"$work/said" 2>&1
}

reference include/whippet || {
    cat "$work/said" >&2
    exit 1
}
grep -q whippet_publish "$work/output/html/publish_8h.html" || {
    echo "the reference lacks whippet_publish" >&2
    exit 1
}

# And it would have told.
mkdir "$work/input"
printf '/** @file\n * A header. */\nint nobody_knows(void);\n' >"$work/input/undocumented.h"
if reference "$work/input" || ! grep -q "nobody_knows.*is not documented" "$work/said"; then
    echo "doxygen does not mind an undocumented function" >&2
    exit 1
fi
echo "every public declaration is documented"
