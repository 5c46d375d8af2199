#!/bin/sh
# Makes the namespace if it is missing. Search attributes are registered by `mediagate setup`.
set -eu
if temporal operator namespace describe --namespace "$NAMESPACE" >/dev/null 2>&1; then
	exit 0
fi
temporal operator namespace create --namespace "$NAMESPACE" --retention "$RETENTION"
