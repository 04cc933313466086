#!/usr/bin/env bash
# Connections that break, stand still or come in floods: the others go on, memory stays bounded, events say what it was.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

network_up
origin_certificates
write_rules
write_config
sed -i 's|^  drain-timeout:.*|  drain-timeout: 3\n  hello-timeout: 2\n  handshake-timeout: 2\n  connect-timeout: 2|' "$work/sluice.yaml"
ca_init
nginx_up
servers_up
need setup up
sluice_up
ca=$work/ca.pem
in_server "$python" "$here/tlsfaults.py" cutter 6001 443 &
started+=($!)
in_server "$python" "$here/tlsfaults.py" stall 6002 "$work/origin/server.pem" "$work/origin/server.key" &
started+=($!)
in_server "$python" "$here/badpeer.py" 6003 mute &
started+=($!)
in_server "$python" "$here/badpeer.py" 6004 drip &
started+=($!)
for port in 6001 6002 6003 6004; do wait_for 10 listens "$server" $port || fail "preparation" "no server on $port"; done
passes() { same "$1" "hello from the origin" "$(fetch_tls https://www.origin.test/)"; }
idle() { [[ $(statistic sluice.interception.active) == 0 ]]; }
# Resident memory of the worker, in kB.
memory() { awk '/^VmRSS/ {print $2}' "/proc/$(worker)/status"; }
descriptors() { find "/proc/$(worker)/fd" -mindepth 1 | wc -l; }
passes "a page passes"
expect "nothing is left of it" wait_for 10 idle
before=$(descriptors)

# ---- The server resets in each step of the handshake and behind it ----

for octets in 0 1 5 6 60 130 200 500 900 1100 1300 1600 2500; do
  fetch_tls --local-port $((20000 + octets)) --resolve "www.origin.test:6001:$server4" https://www.origin.test:6001/1k >/dev/null 2>&1
  answer=$?
  ((answer != 28)) || fail "a reset after $octets octets" "the client waits"
done
ok "no reset leaves the client waiting"
expect "no connection is left" wait_for 10 idle
expect "events tell of handshakes that broke" has_event \
  '.event_type == "sluice" and .dest_port == 6001 and .sluice.step == "upstream_handshake_failed" and .sluice.fault == "reset"'
passes "others pass"

# ---- Servers that stand still ----

for port in 6003 6004; do
  started_at=$SECONDS
  fetch_tls --resolve "www.origin.test:$port:$server4" "https://www.origin.test:$port/" >/dev/null 2>&1
  within "a server that stands still in the handshake is given up (port $port)" 8 $((SECONDS - started_at))
  expect "and told of" wait_for 5 has_event \
    ".event_type == \"sluice\" and .dest_port == $port and .sluice.step == \"handshake_timed_out\" and .sluice.reason == \"the server's leg\""
done
same "timeouts are counted" 2 "$(statistic sluice.interception.handshake_timeouts)"

# ---- Clients that stand still ----

same "a ClientHello an octet at a time ends" ended "$(in_client "$python" "$here/tlsfaults.py" drip $server4 443)"
expect "and is told of" wait_for 5 has_event '.event_type == "sluice" and .sluice.step == "hello_timed_out"'
mkfifo "$work/hold"
empty=$(memory)
(ulimit -n 8192; exec ip netns exec "$client" "$python" "$here/tlsfaults.py" halves $server4 443 3000) <"$work/hold" >"$work/halves" &
started+=($!)
exec 7>"$work/hold"
stand() { grep -q 3000 "$work/halves"; }
expect "three thousand half ClientHellos stand" wait_for 60 stand
passes "others pass meanwhile"
within "they cost less than 64 MB" 65536 $(($(memory) - empty))
expect "they are given up after the time for a hello" wait_for 20 idle
exec 7>&-
passes "others pass behind them"

# ---- Much in little, and much for nobody ----

rm -f "$work/seen/sink"
same "twenty thousand records of one octet arrive" taken "$(in_client "$python" "$here/tlsfaults.py" tiny $server4 443 "$ca" 20000)"
same "each of them" 20000 "$(tr -dc y <"$work/seen/sink" | wc -c)"
empty=$(memory)
rm -f "$work/hold"
mkfifo "$work/hold"
in_client "$python" "$here/tlsfaults.py" upload $server4 6002 "$ca" 16 <"$work/hold" >"$work/uploaded" &
started+=($!)
exec 7>"$work/hold"
stuck() { [[ -s $work/uploaded ]]; }
expect "sixteen uploads to a server that reads nothing stand still" wait_for 60 stuck
within "and hold less than 32 MB" 32768 $(($(memory) - empty))
passes "others pass meanwhile"
exec 7>&-
expect "nothing is left of them" wait_for 20 idle

# ---- The policy changes under load ----

urls=$(for _ in $(seq 150); do echo "url=https://www.origin.test/"; done)
jobs=
for _ in 1 2; do
  echo "$urls" | in_client curl -s --max-time 60 --cacert "$ca" --http1.1 -H "Connection: close" \
    --resolve "www.origin.test:443:$server4" -o /dev/null -w '%{http_code}\n' -K - &
  jobs+=" $!"
done >"$work/codes"
for round in $(seq 10); do
  # Another policy each time: connections that are there keep what was decided, the next ones meet the new one.
  sed -i '/^policy:/,$d' "$work/sluice.yaml"
  printf 'policy:\n  - {action: %s, sni: tunnel.origin.test}\n' "$(((round % 2)) && echo block || echo tunnel)" >>"$work/sluice.yaml"
  ctl reload >/dev/null || fail "a reload under load" "refused"
  fetch --cacert "$work/origin/root.pem" --resolve "tunnel.origin.test:443:$server4" https://tunnel.origin.test/ >"$work/answer" 2>/dev/null
  if ((round % 2)); then
    [[ ! -s $work/answer ]] || fail "a policy under load" "round $round: not blocked"
  else
    [[ -s $work/answer ]] || fail "a policy under load" "round $round: not left alone"
  fi
done
ok "each new policy holds as soon as it was read"
# shellcheck disable=SC2086
wait $jobs
same "three hundred connections during ten reloads are all answered" 300 "$(grep -c '^200' "$work/codes")"
expect "no connection is left" wait_for 10 idle
within "no descriptor is left" "$before" "$(descriptors)"
same "it is still the first worker" "" "$(grep -i 'crash\|signal\|started again' "$work/sluice.log")"

sluice_down
same "the daemon ends with 0" 0 "$status"

# ---- Ten thousand half ClientHellos at a time ----

# Two descriptors for each; here there may be fewer.
many=$((($(ulimit -n) - 500) / 2))
((many < 10000)) || many=10000
sed -i "s|hello-timeout: 2|hello-timeout: 60|" "$work/sluice.yaml"
sluice_up
passes "another daemon, which waits for hellos longer"
expect "nothing is left of it" wait_for 10 idle
empty=$(memory)
rm -f "$work/hold"
mkfifo "$work/hold"
(ulimit -n 20000; exec ip netns exec "$client" "$python" "$here/tlsfaults.py" halves $server4 443 $many) <"$work/hold" >"$work/halves" &
started+=($!)
exec 7>"$work/hold"
many_stand() { grep -q $many "$work/halves"; }
all_are_held() { (($(statistic sluice.interception.active) == many)); }
expect "$many half ClientHellos stand" wait_for 120 many_stand
same "all of them wait" yes "$(wait_for 20 all_are_held && echo yes || statistic sluice.interception.active)"
passes "others pass meanwhile"
held=$(($(memory) - empty))
echo "# $many half ClientHellos: $held kB"
within "they cost less than 160 MB" 163840 $held
exec 7>&-
expect "nothing is left of them when their clients have gone" wait_for 30 idle
passes "others pass behind them"
sluice_down
same "the daemon ends with 0" 0 "$status"
exit $result
