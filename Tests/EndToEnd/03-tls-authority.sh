#!/usr/bin/env bash
# The authority's key lies with a process of its own: nobody else has it, and when that process dies, hangs or is gone for
# good, clients wait a while, fail as is set, or the daemon starts anew.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

count=40
network_up
origin_certificates
# A server with a certificate for each name: each first visit wants a signature.
mkdir -p "$work/origin/many"
for number in $(seq $count); do
  name=h$number.origin.test
  printf 'subjectAltName=DNS:%s\n' "$name" >"$work/origin/many/extensions"
  need openssl req -new -key "$work/origin/server.key" -subj "/CN=$name" -out "$work/origin/many/request"
  need openssl x509 -req -in "$work/origin/many/request" -CA "$work/origin/root.pem" -CAkey "$work/origin/root.key" -days 20 \
    -extfile "$work/origin/many/extensions" -out "$work/origin/many/$name.pem"
done
write_rules
write_config
ca_init
nginx_up
servers_up
in_server "$python" "$here/tlsfaults.py" names 444 "$work/origin/many" "$work/origin/server.key" &
started+=($!)
wait_for 10 listens "$server" 444 || fail "preparation" "no server for many names"
need setup up
sluice_up

# The daemon's child is the keeper, whose child holds the key.
keeper() { pgrep -P "$(worker)"; }
holder() { pgrep -P "$(keeper)"; }
status_of() { awk -v what="$2:" '$1 == what {print $2}' "/proc/$1/status"; }
visit() { fetch --cacert "$work/ca.pem" --resolve "h$1.origin.test:444:$server4" "https://h$1.origin.test:444/"; }

same "a page passes" "hello from the origin" "$(fetch_tls https://www.origin.test/)"
same "a first visit" h1.origin.test "$(visit 1)"
for process in "$(keeper)" "$(holder)"; do
  same "the key's process is nobody" "$(id -u nobody)" "$(status_of "$process" Uid)"
  same "it has no capabilities" 0000000000000000 "$(status_of "$process" CapPrm)"
  same "nor gets new ones" 1 "$(status_of "$process" NoNewPrivs)"
  same "its system calls are filtered" 2 "$(status_of "$process" Seccomp)"
done
# How many sockets of the network a process has.
network_sockets() {
  local net=/proc/$1/net
  find "/proc/$1/fd" -lname 'socket:*' -printf '%l\n' | tr -dc '0-9\n' >"$work/sockets"
  cat "$net"/{tcp,tcp6,udp,udp6,raw,raw6,packet,netlink} | grep -cwFf "$work/sockets"
}
within "the daemon has sockets of the network" "$(network_sockets "$(worker)")" 2
same "the key's process has none" 0 "$(network_sockets "$(holder)")"

# ---- Who has the key ----

has_key() { (($("$python" "$here/memory.py" "$work/ca.key" "$1") > 0)); }
expect "the search finds the key where it is" has_key "$(holder)"
refuse "the daemon does not have it" has_key "$(worker)"
refuse "the supervisor does not have it" has_key "$daemon"
refuse "the keeper does not have it" has_key "$(keeper)"
same "the daemon does not see the key's file" 0 "$(wc -c <"/proc/$(worker)/root$work/ca.key")"
same "everybody else sees it as before" "-----BEGIN PRIVATE KEY-----" "$(head -1 "$work/ca.key")"
refuse "nothing is warned of" grep -q warning "$work/sluice.log"

# ---- Killed under load ----

restarted() { [[ $(statistic sluice.interception.signer_restarts) -ge 5 ]]; }
first=$(worker)
last=
another() { [[ -n $(holder) && $(holder) != "$last" ]]; }
for round in 0 1 2 3 4; do
  for number in $((4 * round + 2)) $((4 * round + 3)) $((4 * round + 4)) $((4 * round + 5)); do
    [[ $(visit "$number") == "h$number.origin.test" ]] && echo good
  done >>"$work/visits" 2>&1 &
  visitor=$!
  expect "kill $round: there is a process to be killed" wait_for 10 another
  last=$(holder)
  kill -KILL "$last"
  wait $visitor
done
same "every first visit meanwhile had its answer" 20 "$(grep -c good "$work/visits")"
same "the daemon is still the same" "$first" "$(worker)"
expect "restarts are counted" wait_for 5 restarted
same "no signature was given up" 0 "$(statistic sluice.interception.signature_timeouts)"
expect "the log says so" grep -q "process with the CA's key: was ended by signal 9; starting it again" "$work/sluice.log"

# ---- Hung ----

wait_for 5 holder
kill -STOP "$(holder)"
visit 30 >/dev/null 2>&1
same "without an answer the client is told: internal_error" 35 $?
same "who was here before does not need it" h1.origin.test "$(visit 1)"
same "it is counted" 1 "$(statistic sluice.interception.signature_timeouts)"
expect "and told of" wait_for 5 has_event '.event_type == "sluice" and .sluice.step == "minting_failed" and .sluice.sni == "h30.origin.test"'
kill -CONT "$(holder)"
same "then it goes on" h30.origin.test "$(visit 30)"

# ---- Gone for good ----

kill -KILL "$(keeper)"
anew() { [[ -n $(worker) && $(worker) != "$first" && -n $(holder) ]]; }
expect "without the keeper the daemon starts anew" wait_for 20 anew
is_back() { [[ $(visit 31) == h31.origin.test ]]; }
expect "and first visits work" wait_for 10 is_back
expect "the log says why" grep -q "process with the CA's key is gone" "$work/sluice.log"
sluice_down
same "the daemon ends with 0" 0 "$status"
expect "nobody is left" wait_for 5 nobody_is_left

# ---- As is set ----

sluice_up --set interception.minting-failure=tunnel
kill -STOP "$(holder)"
same "minting-failure tunnel: the page passes" h32.origin.test \
  "$(fetch --cacert "$work/origin/root.pem" --resolve "h32.origin.test:444:$server4" https://h32.origin.test:444/)"
expect "and it is told of" wait_for 5 has_event \
  '.event_type == "sluice" and .sluice.sni == "h32.origin.test" and (.sluice.reason // "" | startswith("tunnel"))'
kill -CONT "$(holder)"
sluice_down

# ---- What can't be used ----

refused() {
  timeout 20 ip netns exec "$gateway" "$sluice" run --config "$work/sluice.yaml" "$@" >"$work/said" 2>&1
  status=$?
}
chmod 644 "$work/ca.key"
refused
same "a key that others may read is refused" 3 $status
contains "and it is said why" "others may read the key" "$(cat "$work/said")"
chmod 600 "$work/ca.key"
refused --set interception.authority-user=no-such-user
same "a user that is not there is refused" 3 $status
contains "and it is said which" no-such-user "$(cat "$work/said")"
expect "nobody is left of those" wait_for 5 nobody_is_left
exit $result
