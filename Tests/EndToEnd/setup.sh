#!/usr/bin/env bash
# sluice setup in a network namespace of its own: up, status, print, down, and nothing left behind.
# Prints "ok NAME" or "FAIL NAME" for each check. SLUICE names the program; needs root.
# Functions are called by check and by trap.
# shellcheck disable=SC2317
set -uo pipefail
sluice=${SLUICE:-$(cd "$(dirname "$0")/../.." && pwd)/.build/release/sluice}
space=sluice-setup-$$
work=$(mktemp -d)

clean_up() {
  ip netns delete "$space" 2>/dev/null
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

result=0
check() {
  local name=$1
  shift
  if "$@" >"$work/said" 2>&1; then
    echo "ok $name"
  else
    echo "FAIL $name"
    head -20 "$work/said"
    result=1
  fi
}
inside() { ip netns exec "$space" "$@"; }
setup() { inside "$sluice" setup "$@" --config "$work/sluice.yaml"; }

# Everything that setup may change.
state() {
  inside iptables-save | grep -v '^#'
  inside ip6tables-save | grep -v '^#'
  for family in -4 -6; do
    inside ip "$family" rule
    inside ip "$family" route show table all
  done
  inside sysctl net.ipv4.tcp_max_tw_buckets net.netfilter.nf_conntrack_tcp_timeout_syn_sent
}
last_line_is() { [[ $("${@:2}" | tail -1) == "$1" ]]; }
same_state() { diff <(state) "$1"; }

cat >"$work/sluice.yaml" <<'YAML'
capture: {mode: router, first-queue: 10, queues: 3, fail-open: yes}
interception: {enabled: yes, ports: [443], listen-port: 9443}
YAML

ip netns add "$space" || exit 1
inside ip link set lo up
inside iptables -t mangle -A PREROUTING -p udp -j MARK --set-xmark 0x10000/0xff0000
state >"$work/before"

check "status says down before up" last_line_is down setup status
check "print changes nothing" setup print
check "print left everything as it was" same_state "$work/before"
check "up" setup up
check "status says up" last_line_is up setup status
check "three queues from the tenth" grep -q 'queue-num 12' <(inside iptables-save)
state >"$work/up"
check "up again" setup up
check "up again changes nothing" same_state "$work/up"
inside iptables -t mangle -F SLUICE-INSPECT
check "status sees what is missing" last_line_is incomplete setup status
check "up mends it" setup up
check "as after the first time" same_state "$work/up"
check "down" setup down
check "down leaves what was there" same_state "$work/before"
check "down again" setup down
check "still what was there" same_state "$work/before"

inside ip rule add fwmark 0x1/0x1 lookup 5 pref 900
state >"$work/before"
refused() { ! setup up 2>"$work/error" && grep -q "looks at mark bits" "$work/error"; }
check "a clash is refused and named" refused
check "a refusal changes nothing" same_state "$work/before"
exit "$result"
