#!/bin/sh
# As the official image's: the server runs as the user rabbitmq, which must own its data. RABBITMQ_DEFAULT_USER and
# RABBITMQ_DEFAULT_PASS are read by the server itself.
set -eu
if [ "$(id -u)" -eq 0 ]; then
    chown -R rabbitmq:rabbitmq /var/lib/rabbitmq
    exec setpriv --reuid rabbitmq --regid rabbitmq --init-groups "$0" "$@"
fi
export HOME=/var/lib/rabbitmq RABBITMQ_LOGS=-
exec "/usr/lib/rabbitmq/bin/$1"
