#!/bin/sh
# Brings both of Temporal's databases to the schema that this version's server wants; does nothing where they are there.
set -eu
SQL_PASSWORD=$(cat "${SECRETS:-/run/secrets}/temporal_password")
export SQL_PASSWORD
for database in temporal temporal_visibility; do
	kind=${database#temporal_}
	temporal-sql-tool --database "$database" setup-schema --version 0.0
	temporal-sql-tool --database "$database" update-schema --schema-name "postgresql/v12/$kind"
done
