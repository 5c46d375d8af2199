#!/bin/sh
# Runs once, on an empty data folder: a role and its databases for each of the two programs.
set -eu
role() {
	psql --set ON_ERROR_STOP=1 --username postgres --set name="$1" --set password="$(cat "${SECRETS:-/run/secrets}/$1_password")" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
SQL
}
database() {
	psql --set ON_ERROR_STOP=1 --username postgres --set name="$1" --set owner="$2" <<'SQL'
CREATE DATABASE :"name" OWNER :"owner";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}
role mediagate
role temporal
database mediagate mediagate
database temporal temporal
database temporal_visibility temporal
