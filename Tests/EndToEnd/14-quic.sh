#!/usr/bin/env bash
# QUIC can't be opened: connections by it that policy wants to be inspected are refused, so that clients come by TCP.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

everything_up
sluice_down
in_server "$python" "$here/quic.py" serve "$work/seen/quic" &
started+=($!)
udp_is_up() { [[ -n $(ip netns exec "$server" ss -Hlun "sport = :443") ]]; }
wait_for 10 udp_is_up
quic() { in_client "$python" "$here/quic.py" open "$@"; }
arrived() { seen quic | wc -l; }

sluice_up
for address in $server4 $server6; do
  : >"$work/seen/quic"
  same "a hello for what is to be inspected is refused ($address)" refused "$(quic $address)"
  # Without its second half no server can answer.
  same "it did not arrive whole" 1 "$(arrived)"
done
: >"$work/seen/quic"
same "nor does what follows" refused "$(quic $server4 3)"
within "nothing of it" 1 "$(arrived)"
told() { has_event '.sluice.step == "quic" and .sluice.sni == "q.example" and .sluice.decision == "inspect" and .dest_port == 443'; }
expect "the event says why" wait_for 5 told
dropped() { has_event '.event_type == "drop" and .drop.reason == "interception policy"'; }
expect "the drop is told" wait_for 5 dropped
same "it is counted" 3 "$(statistic sluice.quic.refused)"
same "by TCP the client gets its page" "hello from the origin" "$(fetch_tls https://www.origin.test/)"
balanced() {
  local total parts
  total=$(statistic ips.blocked)
  parts=$(ctl stats | awk '/^ips.drop_reason/ {sum += $2} END {print sum}')
  [[ $total == "$parts" && $total -ge 3 ]]
}
expect "every blocked packet has a reason" wait_for 5 balanced
sluice_down

policy() {
  write_config "policy:
  - {action: $1, sni: q.example}
  - {action: tunnel}"
  sluice_up "${@:2}"
}
policy block
: >"$work/seen/quic"
same "what is blocked is refused too" refused "$(quic $server4)"
same "it did not arrive whole" 1 "$(arrived)"
blocked() { has_event '.sluice.step == "quic" and .sluice.decision == "block"'; }
expect "the event says block" wait_for 5 blocked
sluice_down
policy tunnel
: >"$work/seen/quic"
same "what is left alone passes" silent "$(quic $server4 2)"
same "all of it" 4 "$(arrived)"
same "it is counted" 1 "$(statistic sluice.quic.tunnelled)"
released() { [[ $(statistic sluice.release.flows) -ge 1 ]]; }
expect "and goes to the kernel" wait_for 5 released
sluice_down
policy inspect --set interception.quic=drop
: >"$work/seen/quic"
same "drop says nothing" silent "$(quic $server4)"
same "and lets nothing through" 1 "$(arrived)"
sluice_down
policy inspect --set interception.quic=pass
: >"$work/seen/quic"
same "pass lets QUIC alone" silent "$(quic $server4)"
same "all of it" 2 "$(arrived)"
sluice_down
same "the daemon ends with 0" 0 "$status"
exit $result
