#!/bin/sh
# The keys come from files, so that they are in no inspection of the container.
set -eu
ROOT_ACCESS_KEY_ID=$(cat "${SECRETS:-/run/secrets}/mediagate_s3_access_key")
ROOT_SECRET_ACCESS_KEY=$(cat "${SECRETS:-/run/secrets}/mediagate_s3_secret_key")
export ROOT_ACCESS_KEY_ID ROOT_SECRET_ACCESS_KEY
# Versions are what object lock, and with it sealed evidence, is made of.
exec versitygw --quiet posix --versioning-dir "${VERSIONS:-/versions}" "${OBJECTS:-/objects}"
