#!/usr/bin/env bash
# A worker for EXTERNAL jobs in bash, curl and python3. HANDLER is a command that reads a payload and prints a result,
# both JSON objects; by default it counts the words of a text. It ends if no job comes for WAIT seconds; with STAY=1
# it pauses for PAUSE seconds and continues. TOKEN is a command that prints a token, for runs longer than its validity.
#
# Prints:
#
#     ... {"id":"...","status":"COMPLETED"}
set -u
worker=${WORKER:-$HOSTNAME-$$} handler=${HANDLER:-count_words} out=$(mktemp)
trap 'rm -f "$out"' EXIT
count_words() { python3 -c 'import json, sys; print(json.dumps({"words":len(json.load(sys.stdin)["text"].split())}))'; }
api() { # api PATH [KEY] <BODY; the token stays out of the list of processes
  curl -sS -m 30 -H @<(echo "authorization: Bearer $(${TOKEN:-printenv LEASEWAY_TOKEN})") \
    -H 'content-type: application/json' ${2:+-H "idempotency-key: $2"} --data-binary @- "$LEASEWAY_URL/api/v1/jobs/$1"
}
ask="{\"types\":[\"EXTERNAL\"],\"worker\":\"$worker\",\"wait_seconds\":${WAIT:-10}}"
while :; do # an unanswered claim is repeated under its key, and gets the same job
  [ "${claim-}" = unanswered ] || key=$worker-$RANDOM$RANDOM$RANDOM
  claim=$(api claim "$key" <<<"$ask") || claim=unanswered
  case $claim in
    '{"job":'*) ;;
    '') [ "${STAY-}" ] || exit 0; sleep "${PAUSE:-0}"; continue ;;
    *) echo "$claim" >&2; [ "${STAY-}" ] || exit 1; sleep 5; continue ;;
  esac
  { read -r id token every && read -r payload; } < <(python3 -c 'import json, sys; claim = json.load(sys.stdin)
print(claim["job"]["id"], claim["claim_token"], claim["heartbeat_seconds"])
print(json.dumps(claim["job"]["payload"]))' <<<"$claim")
  $handler <<<"$payload" >"$out" & work=$! beat=$SECONDS end=fail body='"error":"the handler failed"'
  while kill -0 "$work" 2>/dev/null; do
    sleep 0.2
    ((SECONDS < beat)) && continue || beat=$((SECONDS + every))
    case $(api "$id/heartbeat" <<<"{\"claim_token\":\"$token\"}") in
      *'"cancelled":true'* | *'"LEASE_LOST"'*) kill "$work" || : ;;
    esac
  done
  wait "$work" && python3 -c 'import json, sys; json.load(sys.stdin).keys()' <"$out" &&
    end=complete body="\"result\":$(<"$out")"
  echo "$worker $(api "$id/$end" <<<"{\"claim_token\":\"$token\",$body}")"
done
