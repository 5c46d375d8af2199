#!/bin/sh
# The password comes from a file, so that it is in no inspection of the container.
set -eu
POSTGRES_PWD=$(cat "${SECRETS:-/run/secrets}/temporal_password")
export POSTGRES_PWD
exec "${ENTRYPOINT:-/etc/temporal/entrypoint.sh}"
