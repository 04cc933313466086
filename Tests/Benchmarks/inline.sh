#!/usr/bin/env bash
# What standing in line costs: iperf3 through three network namespaces, plain, queued and released, in turns.
# inline.sh [ROUNDS] prints the best of each, because other work on the machine only ever takes away.
# The queue fails closed: with fail-open a full queue would let packets by and look fast. Run it with nice -n -20 on a busy machine.
# SLUICE names the program (a release build); NFQBENCH a verdict loop to compare with, called with -q 0 and its options.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/../EndToEnd/gateway.bash"

rounds=${1:-5}
seconds=${SECONDS_EACH:-3}
network_up
write_rules
echo 'pass tcp any any -> any 5201 (msg:"released"; sid:30; rev:1;)' >"$work/test.rules"
FAIL_OPEN=no TLS=no write_config
sed "s|^rule-files:.*|rule-files: []|" "$work/sluice.yaml" >"$work/none.yaml"
sed "s|^capture: {|capture: {inspect: none, |; s|^rule-files:.*|rule-files: []|" "$work/sluice.yaml" >"$work/loop.yaml"

iperf() {
  in_server iperf3 -s -1 >/dev/null 2>&1 &
  local process=$!
  wait_for 5 listens "$server" 5201
  in_client timeout 60 iperf3 -c $server4 -t "$seconds" -O 0.5 -C cubic -J 2>/dev/null |
    jq -r '.end.sum_received.bits_per_second / 1e7 | floor / 100' 2>/dev/null || echo 0
  kill "$process" 2>/dev/null
  wait "$process" 2>/dev/null
}
daemon_up() {
  cp "$1" "$work/run.yaml"
  : >"$work/sluice.log"
  ip netns exec "$gateway" "$sluice" run --config "$work/run.yaml" >>"$work/sluice.log" 2>&1 &
  daemon=$!
  wait_for 60 is_running
}
declare -A best=()
note() {
  local name=$1 value=$2
  echo "# $name $value Gbit/s"
  if [[ -z ${best[$name]:-} ]] || (($(echo "$value * 100 / 1" | bc) > $(echo "${best[$name]} * 100 / 1" | bc))); then
    best[$name]=$value
  fi
}
for _ in $(seq "$rounds"); do
  note plain "$(iperf)"
  need setup up
  daemon_up "$work/sluice.yaml"
  note released "$(iperf)"
  sluice_down
  if [[ ${ONLY:-} == released ]]; then
    need setup down
    continue
  fi
  daemon_up "$work/none.yaml"
  note "inspected, no rules" "$(iperf)"
  sluice_down
  daemon_up "$work/loop.yaml"
  note "verdicts only" "$(iperf)"
  sluice_down
  if [[ -n ${NFQBENCH:-} ]]; then
    in_gateway "$NFQBENCH" -q 0 -g -B 67108864 -e -l 16384 -m 32 -v 32 -d 60 >/dev/null 2>&1 &
    loop=$!
    sleep 0.5
    note "verdict loop in C" "$(iperf)"
    kill "$loop" 2>/dev/null
    wait "$loop" 2>/dev/null
  fi
  need setup down
done
for name in plain released "verdict loop in C" "verdicts only" "inspected, no rules"; do
  echo "$name: ${best[$name]:--} Gbit/s"
done
