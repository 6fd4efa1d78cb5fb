#!/bin/sh
# Print the namespace and its secrets with new passwords, for `kubectl apply -f -`. Keep no copy; run it once.
set -eu
new() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
postgres=$(new) redis=$(new) mongo=$(new) admin=$(new) load=$(new)
cat <<END
apiVersion: v1
kind: Namespace
metadata: {name: freshet}
---
apiVersion: v1
kind: Secret
metadata: {name: passwords, namespace: freshet}
stringData: {postgres: "$postgres", redis: "$redis", mongo: "$mongo"}
---
apiVersion: v1
kind: Secret
metadata: {name: freshet, namespace: freshet}
stringData:
  REDIS_URL: redis://:$redis@redis:6379/0
  FEAST_REDIS: redis:6379,db=0,password=$redis
  DATABASE_URL: postgresql://freshet:$postgres@postgres:5432/freshet
  EVENT_STORE_URL: mongodb://freshet:$mongo@mongo:27017/freshet?authSource=admin
  FEAST_REGISTRY: postgresql+psycopg://freshet:$postgres@postgres:5432/freshet
  FRESHET_ADMIN_KEY: $admin
---
apiVersion: v1
kind: Secret
metadata: {name: api-keys, namespace: freshet}
stringData:
  keys: |
    load ingest,read $(printf %s "$load" | sha256sum | cut -d' ' -f1)
---
apiVersion: v1
kind: Secret
metadata: {name: load, namespace: freshet}
stringData: {FRESHET_API_KEY: "$load"}
---
apiVersion: v1
kind: Secret
metadata: {name: servers, namespace: freshet}
stringData:
  MLFLOW_BACKEND_STORE_URI: postgresql+psycopg://freshet:$postgres@postgres:5432/mlflow
  PREFECT_SERVER_DATABASE_CONNECTION_URL: postgresql+asyncpg://freshet:$postgres@postgres:5432/prefect
END
