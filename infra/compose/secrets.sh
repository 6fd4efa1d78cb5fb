#!/bin/sh
# Write infra/.env with new passwords, which compose reads; one that is there is left as it is.
# Hexadecimal digits only: they stand in URLs.
set -eu
file="$(dirname "$0")/../.env"
if [ -e "$file" ]; then
    echo "$file is there already" >&2
    exit 0
fi
umask 077
for name in FRESHET_ADMIN_KEY POSTGRES_PASSWORD REDIS_PASSWORD MONGO_PASSWORD GRAFANA_PASSWORD; do
    echo "$name=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
done > "$file"
