#!/usr/bin/env bash
# Attacks in disguise against a real system behind the gateway: cut, reordered, overlapping, with decoys that only
# the gateway sees. What the system took as the attack without Sluice must not reach it with Sluice, and what only
# looks as odd must pass as it did.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

port=7100
attack=ATTACK-IN-PARTS harmless=NOTHING-SPECIAL
network_up
write_rules
cat >>"$work/test.rules" <<RULES
drop tcp any any -> any $port (msg:"E2E evasion"; flow:established,to_server; content:"$attack"; sid:40; rev:1;)
drop udp any any -> any $port (msg:"E2E evasion"; content:"$attack"; sid:41; rev:1;)
RULES
TLS=no write_config
mkdir "$work/evasions"
in_server "$python" "$here/evasion.py" serve "$work/evasions" $port &
started+=($!)
wait_for 10 listens "$server" $port

# Addresses that no system answers for: what comes back is heard by the one who plays the client.
quiet4=10.10.1.77 quiet6=fd00:10:1::77
mac() { in_gateway cat /sys/class/net/client0/address; }
peer=$(in_client cat /sys/class/net/eth0/address)
need ip -n "$gateway" neighbour replace $quiet4 lladdr "$peer" dev client0 nud permanent
need ip -n "$gateway" neighbour replace $quiet6 lladdr "$peer" dev client0 nud permanent
base=20000
play() {
  base=$((base + 500))
  local from=$quiet4 to=$server4
  if [[ $2 == 6 ]]; then from=$quiet6 to=$server6; fi
  in_client "$python" "$here/evasion.py" send "$work/evasions" eth0 "$(mac)" $from $to $port "$1" $base 2>&1
}

declare -A plain=()
for family in 4 6; do
  for word in $attack $harmless; do
    play $word $family >"$work/played"
    while read -r name what; do plain[$family $word $name]=$what; done <"$work/played"
  done
done
# It is no test unless most of the attacks work where nobody stops them.
works=0
for key in "${!plain[@]}"; do
  if [[ $key == *" $attack "* && ${plain[$key]} == arrived ]]; then works=$((works + 1)); fi
done
within "attacks that work without Sluice are many" $works 75

need setup up
sluice_up
for family in 4 6; do
  play $attack $family >"$work/played"
  while read -r name what; do
    if [[ $what == arrived ]]; then
      fail "IPv$family, $name: the attack" "it arrived"
    else
      ok "IPv$family, $name: the attack does not arrive ($what, without Sluice ${plain[$family $attack $name]:-})"
    fi
  done <"$work/played"
  same "IPv$family: every attack was played" "$(grep -c . "$work/played")" "$(grep -cE ' (arrived|other|nothing)$' "$work/played")"
  play $harmless $family >"$work/played"
  while read -r name what; do
    # A reset or an end that dies on the way ends the connection for the gateway, if not for the server.
    if [[ $name == *-ends && $what == nothing ]]; then continue; fi
    same "IPv$family, $name: its harmless twin fares as without Sluice" "${plain[$family $harmless $name]:-}" "$what"
  done <"$work/played"
done
expect "attacks are told of" has_event '.event_type == "alert" and .alert.signature_id == 40 and .alert.action == "blocked"'
expect "in datagrams too" has_event '.event_type == "alert" and .alert.signature_id == 41 and .alert.action == "blocked"'
sluice_down
same "the daemon ends with 0" 0 "$status"
exit $result
