# shellcheck shell=bash
# How the scripts speak. Sourced, never run.

# One line for a person, led by the name of the script that speaks.
say() {
    printf '%s: %s\n' "${0##*/}" "$*"
}

# The same on standard error, and the end.
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}
