#!/usr/bin/env bash
# A node: the workers' own code as a process on this machine, here for MESSAGE jobs, which Lambda does not run. On
# SIGTERM it finishes its jobs and exits with 0. If it should read its settings from the environment instead of
# the local cloud, set NODE_FLAGS=--from-environment.
#
# Prints:
#
#     job ... is COMPLETED by example
#     the node ended with 0
set -eu
api() { curl -sS -m 30 -H "authorization: Bearer $LEASEWAY_TOKEN" -H 'content-type: application/json' "$LEASEWAY_URL/$@"; }
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

leaseway node ${NODE_FLAGS-} --name example --concurrency 2 --queues MESSAGE 2>/dev/null &
node=$!
trap 'kill -TERM "$node" 2>/dev/null || :' EXIT

id=$(api api/v1/jobs --data '{"type": "MESSAGE", "payload": {"failure_percent": 0}}' | field id)
for _ in $(seq 60); do
  job=$(api "api/v1/jobs/$id")
  [ "$(field status <<<"$job")" = COMPLETED ] && break
  sleep 0.5
done
echo "job $id is $(field status <<<"$job") by $(field worker <<<"$job")"

kill -TERM "$node"
wait "$node" && ended=0 || ended=$?
echo "the node ended with $ended"
