#!/bin/bash
# Three databases on one server, each with a role of its own that may enter no other one. PostgreSQL's image runs this
# once, when the volume is empty. Names and passwords come from the URLs that the services use, so they cannot differ.
# It makes no tables: `migrate` does.
set -euo pipefail
# The image asks for the superuser's password on its own socket too.
PGPASSWORD="${POSTGRES_PASSWORD:-$(cat "${POSTGRES_PASSWORD_FILE:?}")}"
export PGPASSWORD

for database in restar airflow mlflow; do
  url=$(cat "${SECRETS:-/run/secrets}/${database}_database_url")
  if [[ ! $url =~ ^postgresql(\+[a-z0-9]+)?://([a-z_]+):([A-Za-z0-9_-]+)@[^/]+/([a-z_]+)$ ]]; then
    echo "secret ${database}_database_url: expected postgresql+driver://role:password@host:port/database, the password of letters, digits, - and _ alone" >&2
    exit 1
  fi
  # Through variables of psql, which quotes them; on standard input, because -c knows no variables.
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
    --set role="${BASH_REMATCH[2]}" --set password="${BASH_REMATCH[3]}" --set database="${BASH_REMATCH[4]}" <<'SQL'
create role :"role" login password :'password';
create database :"database" owner :"role";
revoke all on database :"database" from public;
SQL
done
