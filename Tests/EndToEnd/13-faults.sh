#!/usr/bin/env bash
# What goes wrong under traffic: the daemon killed, hung, flooded, short of memory, reloaded again and again, set up
# beside other rules. Nothing is lost that need not be, everything is counted, and everything is as before at the end.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

network_up
origin_certificates
write_rules
TLS=no write_config
nginx_up
servers_up

steady() { in_client "$python" "$here/steady.py" $server4 80 "$@"; }
# begin_steady SECONDS: in the background; what it says is in $work/steady.
begin_steady() {
  steady "$1" 8 >"$work/steady" &
  steady=$!
  sleep 1
}
# end_steady NAME: no request may have failed.
end_steady() {
  wait "$steady"
  read -r answers failures p50 p99 most <"$work/steady"
  same "$1: no request fails" 0 "$failures"
  within "$1: there were requests" "$answers" 50
  echo "# $1: $answers answers, median $p50 ms, 99th percentile $p99 ms, longest $most ms"
}
is_stopped() {
  SECONDS_MAX=5 fetch http://$server4/attack-reject >/dev/null 2>&1
  [[ $? == 56 ]]
}
queue_losses() { in_gateway awk '{sum += $6 + $7} END {print sum + 0}' /proc/net/netfilter/nfnetlink_queue; }
other_worker() { [[ -n $(worker) && $(worker) != "$1" ]] && ctl stats >/dev/null; }
# received = accepted + dropped by reason + released + ...
sums() {
  ctl stats | awk '
    $1 == "sluice.capture.packets" {received = $2}
    $1 == "ips.accepted" || $1 == "ips.blocked" || $1 == "sluice.capture.released" || $1 == "sluice.capture.diverted" ||
    $1 == "sluice.capture.uninspected" || $1 == "sluice.capture.held" || $1 == "sluice.takeover.refused" {sum += $2}
    $1 ~ /^ips.drop_reason/ {reasons += $2}
    $1 == "ips.blocked" {blocked = $2}
    END {print (received == sum && reasons == blocked ? "right" : received " is not " sum ", or " reasons " is not " blocked)}'
}
add_up() { [[ $(sums) == right ]]; }

# ---- Killed under traffic ----
for open in yes no; do
  name="fail-open $open"
  FAIL_OPEN=$open TLS=no write_config
  need setup up
  sluice_up
  begin_steady 6
  first=$(worker)
  kill -KILL "$first"
  expect "$name, the worker is killed: another is there" wait_for 20 other_worker "$first"
  end_steady "$name, the worker is killed"
  expect "$name: traffic is inspected again" is_stopped
  begin_steady 8
  sluice_kill
  if [[ $open == yes ]]; then
    same "$name: all are killed, and traffic passes" "hello from the origin" "$(fetch http://$server4/)"
  else
    SECONDS_MAX=1 fetch http://$server4/ >/dev/null 2>&1
    same "$name: all are killed, and nothing passes" 28 $?
  fi
  sluice_up
  # Connections that were open go on: what they had sent is sent again.
  end_steady "$name, all are killed"
  expect "$name: the new daemon inspects" is_stopped
  expect "$name: the sums are right" wait_for 5 add_up
  sluice_down
  same "$name: the daemon ends with 0" 0 "$status"
done

# ---- More than the queue holds ----
flood() {
  in_client "$python" - "$@" <<PY
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("$server4", 9999))
for number in range(int(sys.argv[1])):
    s.send(b"%d" % number)
    # The server's own buffer is not what is tested.
    if len(sys.argv) > 2 and number % 10 == 0:
        time.sleep(float(sys.argv[2]))
PY
}
for open in yes no; do
  name="fail-open $open, the queue is full"
  FAIL_OPEN=$open TLS=no CAPTURE=", queue-length: 64" write_config
  need setup up
  sluice_up
  : >"$work/seen/udp"
  held=$(worker)
  kill -STOP "$held"
  flood 500 0.01
  lost=$(queue_losses)
  kill -CONT "$held"
  all_came() { (($(wc -l <"$work/seen/udp") == $1)); }
  if [[ $open == yes ]]; then
    expect "$name: everything passes" wait_for 10 all_came 500
    same "$name: the kernel dropped nothing" 0 "$lost"
  else
    within "$name: the kernel drops and counts the rest" "$lost" 400
    expect "$name: the others arrive" wait_for 10 all_came $((500 - lost))
  fi
  same "$name: the daemon is the same" "$held" "$(worker)"
  expect "$name: traffic is inspected" is_stopped
  expect "$name: the sums are right" wait_for 5 add_up
  sluice_down
done
unset CAPTURE

# A flood of small packets beside a connection, as fast as they go.
FAIL_OPEN=yes TLS=no write_config
need setup up
sluice_up
begin_steady 5
for _ in 1 2 3; do flood 50000 & floods+=($!); done
wait "${floods[@]}"
end_steady "a flood of datagrams"
expect "a flood of datagrams: traffic is inspected" is_stopped
expect "a flood of datagrams: the sums are right" wait_for 10 add_up
sluice_down

# ---- As little memory as can be set ----
for open in yes no; do
  name="fail-open $open, no memory"
  FAIL_OPEN=$open TLS=no write_config "
flow: {count-max: 2}
stream: {reassembly: {memcap: 1}}
defrag: {memcap: 1, trackers: 1}"
  need setup up
  sluice_up
  same "$name: a page passes" "hello from the origin" "$(fetch http://$server4/)"
  head -c 3000000 /dev/urandom >"$work/www/large"
  same "$name: a download arrives as it was" "$(sha256sum <"$work/www/large")" "$(SECONDS_MAX=30 fetch http://$server4/large | sha256sum)"
  expect "$name: attacks are stopped" is_stopped
  # A third connection while two are open.
  for place in 1 2; do
    rm -f "$work/held$place"
    ask hold $server4 7000 6 "$work/held$place" >"$work/answer$place" &
    holders+=($!)
    wait_for 5 test -e "$work/held$place"
  done
  SECONDS_MAX=3 fetch http://$server4/ >"$work/answer" 2>/dev/null
  same "$name: a flow too many takes the place of another" "hello from the origin" "$(cat "$work/answer")"
  within "$name: it is counted" "$(statistic sluice.flow.pruned)" 1
  expect "$name: the sums are right" wait_for 5 add_up
  wait "${holders[@]}" 2>/dev/null
  same "$name: the others go on" "works works" "$(cat "$work/answer1") $(cat "$work/answer2")"
  holders=()
  sluice_down
done

# ---- Many connections that are open and idle ----
FAIL_OPEN=yes TLS=no write_config
need setup up
sluice_up
head -c 200000 /dev/urandom >"$work/www/200k"
anonymous() { awk '/^RssAnon/ {print $2}' "/proc/$(worker)/status"; }
# idle COUNT: so many have had 200 kB each; $held is what the daemon holds then.
idle() {
  in_client "$python" "$here/idle.py" $server4 80 "$1" /200k "$work/idle" &
  wait_for 60 test -e "$work/idle" || fail "idle connections" "they did not get their answers"
  held=$(anonymous)
  rm -f "$work/idle"
  wait $!
}
# The first ones fill the memory that is kept for streams to come.
idle 300
before=$held
in_client "$python" "$here/idle.py" $server4 80 300 /200k "$work/idle-first" &
holder=$!
wait_for 60 test -e "$work/idle-first"
idle 300
echo "# 600 idle connections: $held kB, 300 of them: $before kB"
within "an idle connection that has had 200 kB holds less than a super-segment in each direction (kB for 300)" 75000 $((held - before))
rm -f "$work/idle-first"
wait $holder
sluice_down

# ---- Reloads under traffic ----
FAIL_OPEN=no TLS=no write_config
cp "$repository"/rules/*.config "$work"
sed -i "s|^rule-files:.*|rule-files: [$work/test.rules, $repository/rules]|" "$work/sluice.yaml"
need setup up
sluice_up
steady 2 8 >"$work/steady"
read -r answers failures p50 p99 most <"$work/steady"
echo "# before the reloads: $answers answers, median $p50 ms, 99th percentile $p99 ms, longest $most ms"
resident() { awk '/^VmRSS/ {print $2}' "/proc/$(worker)/status"; }
for _ in 1 2 3; do ctl reload >/dev/null; done
before=$(resident)
lost_before=$(queue_losses)
begin_steady 8
cp "$work/test.rules" "$work/good.rules"
wrong=0
for round in $(seq "${RELOADS:-12}"); do
  if ((round == 6)); then
    echo 'drop http any any -> any any (msg:"E2E broken"; http.uri; content:"/x; sid:21;)' >>"$work/test.rules"
    ctl reload >"$work/said" 2>&1 && wrong=$((wrong + 1))
    contains "a broken file between reloads is refused" "the old rules stay" "$(cat "$work/said")"
    cp "$work/good.rules" "$work/test.rules"
  else
    ctl reload >/dev/null 2>&1 || wrong=$((wrong + 1))
  fi
done
same "all other reloads are done" 0 $wrong
end_steady "reloads"
same "reloads: no packet was lost" "$lost_before" "$(queue_losses)"
expect "reloads: traffic is inspected" is_stopped
within "reloads: memory after them (kB, was $before)" $((before * 13 / 10 + 4096)) "$(resident)"
expect "reloads: the sums are right" wait_for 5 add_up
sluice_down
need setup down

# ---- Beside other rules ----
# What container networks and firewalls put there.
need in_gateway iptables -N DOCKER-USER
need in_gateway iptables -A DOCKER-USER -j RETURN
need in_gateway iptables -A FORWARD -j DOCKER-USER
need in_gateway iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
need in_gateway iptables -A FORWARD -i client0 -o server0 -j ACCEPT
need in_gateway iptables -P FORWARD DROP
need in_gateway iptables -t nat -N DOCKER
need in_gateway iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
need in_gateway iptables -t nat -A DOCKER -i docker0 -j RETURN
need in_gateway iptables -t nat -A POSTROUTING -s 172.17.0.0/16 -o server0 -j MASQUERADE
need in_gateway iptables -t mangle -A PREROUTING -p tcp --dport 22 -j MARK --set-xmark 0x80000/0x80000
state() {
  in_gateway iptables-save | grep -v '^#' | sed 's/\[[0-9:]*\]//'
  in_gateway ip6tables-save | grep -v '^#' | sed 's/\[[0-9:]*\]//'
  in_gateway ip rule
  in_gateway ip -6 rule
  in_gateway ip route show table all
}
state >"$work/before"
expect "other rules: set up" setup up
state >"$work/up"
expect "other rules: set up again" setup up
state >"$work/up-again"
expect "other rules: the second changed nothing" diff "$work/up" "$work/up-again"
same "other rules: status" up "$(setup status | tail -1)"
sluice_up
same "other rules: a page passes" "hello from the origin" "$(fetch http://$server4/)"
expect "other rules: attacks are stopped" is_stopped
sluice_down
expect "other rules: down" setup down
expect "other rules: down again" setup down
state >"$work/after"
expect "other rules: they are as before" diff "$work/before" "$work/after"
exit $result
