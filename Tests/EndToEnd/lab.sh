#!/usr/bin/env bash
# sluice lab: every step of it, and that it leaves nothing behind, also when it is interrupted.
# Prints "ok NAME" or "FAIL NAME" for each. SLUICE names the program; needs root.
set -uo pipefail
sluice=${SLUICE:-$(cd "$(dirname "$0")/../.." && pwd)/.build/release/sluice}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

result=0
verdict() {
  echo "$1 $2"
  [[ $1 == ok ]] || result=1
}
# Namespaces, folders and processes of the lab with this process number.
leaves_nothing() {
  local left
  left=$(ip netns list | grep "^sluice-lab-$1-"; ls -d "/tmp/sluice-lab-$1".* 2>/dev/null; pgrep -af "sluice-lab-$1[.-]")
  if [[ -z $left ]]; then
    verdict ok "$2"
  else
    echo "$left"
    verdict FAIL "$2"
  fi
}

"$sluice" lab >"$log" 2>&1 &
lab=$!
wait "$lab"
status=$?
grep -E '^(ok  |FAIL) ' "$log" | sed 's/^ok  /ok lab:/; s/^FAIL/FAIL lab:/'
if ((status != 0)); then
  cat "$log"
  verdict FAIL "lab: ended with status $status"
else
  verdict ok "lab: all came out as it has to"
fi
leaves_nothing "$lab" "lab: nothing left"

for signal in INT TERM; do
  # A job of a script ignores Ctrl-C; the lab looks for it all the same.
  "$sluice" lab >"$log" 2>&1 &
  lab=$!
  for _ in $(seq 100); do
    grep -q '^starting' "$log" && break
    sleep 0.1
  done
  sleep 1
  kill -"$signal" "$lab"
  wait "$lab"
  leaves_nothing "$lab" "lab: nothing left after SIG$signal"
done
exit "$result"
