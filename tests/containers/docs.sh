# shellcheck shell=bash
# What docs/containers.md tells to do, so that it is this that is tested. Sourced, never run.

# docs_block KIND HEADING NUMBER: the block of that kind (sh, dockerfile …) with that number below the heading.
docs_block() {
    awk -v kind="$1" -v heading="## $2" -v wanted="$3" '/^## / { there = $0 == heading }
        /^```/ { inside = there && $0 == "```" kind && ++number == wanted; next } inside' "$top/docs/containers.md"
}

# docs_commands HEADING NUMBER
docs_commands() {
    docs_block sh "$@"
}

# docs_example NUMBER: a user's own Dockerfile, on the images that the tests have built.
docs_example() {
    docs_block dockerfile 'An image with your own processors' "$1" | sed 's/^FROM whippet/FROM whippet-test/'
}
