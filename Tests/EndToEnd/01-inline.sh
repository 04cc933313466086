#!/usr/bin/env bash
# Traffic that is not encrypted, through real queues: what passes, what is stopped, and what the ends see of it.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

TLS=no everything_up
head -c 100000000 /dev/urandom >"$work/www/large"
sum=$(sha256sum <"$work/www/large")

same "IPv4: a page passes" "hello from the origin" "$(fetch http://$server4/)"
same "IPv6: a page passes" "hello from the origin" "$(fetch "http://[$server6]/")"
same "IPv4: 100 MB arrive as they were" "$sum" "$(SECONDS_MAX=40 fetch http://$server4/large | sha256sum)"
same "IPv6: 100 MB arrive as they were" "$sum" "$(SECONDS_MAX=40 fetch "http://[$server6]/large" | sha256sum)"
# Sequence numbers tell before from behind up to 2 GiB; a connection goes on.
truncate -s 2300000000 "$work/www/huge"
same "2.3 GB pass over one connection" 2300000000 \
  "$(SECONDS_MAX=200 fetch -o /dev/null -w '%{size_download}' http://$server4/huge)"

for host in "$server4" "[$server6]"; do
  SECONDS_MAX=2 fetch "http://$host/attack-drop" 2>/dev/null
  same "$host: a dropped request gets no answer" 28 $?
  SECONDS_MAX=5 fetch "http://$host/attack-reject" 2>/dev/null
  same "$host: a rejected request gets a reset" 56 $?
  SECONDS_MAX=2 fetch "http://$host/" --data-binary "x ATTACK-IN-BODY x" 2>/dev/null
  same "$host: a dropped body gets no answer" 28 $?
done
for host in $server4 $server6; do
  same "$host: dropped bytes get no answer" nothing "$(ask tcp "$host" 7000 one ATTACK-ON-TCP)"
  ask tcp "$host" 7000 "two ATTACK-" ON-TCP >"$work/said"
  same "$host: a DNS query is answered" 50 "$(ask dns "$host" www.evil.example)"
done
for host in $server4 $server6; do
  same "$host: a packet with replaced octets is answered" "15 " "$(ask tcp "$host" 7000 "say a bad word!")"
done
same "the server got other octets" 2 "$(grep -o 'say a fine one!' "$work/seen/tcp" | wc -l)"
contains "the server got what came before" "one" "$(seen tcp)"
contains "the server got the first piece of a divided attack" "two ATTACK-" "$(seen tcp)"
refuse "the server got nothing of the attack itself" grep -qE 'ATTACK-ON|ON-TCP' "$work/seen/tcp"
# A client that was cut off comes back from the same port, whatever the server still has of the old connection.
for path in attack-drop attack-reject; do
  same "after $path: the same port may be used again" "200 200" "$(in_client "$python" - <<PY
import socket, struct

def ask(path, seconds):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.bind(("$client4", 41234))
    s.settimeout(seconds)
    try:
        s.connect(("$server4", 80))
        s.sendall(b"GET /" + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        return s.recv(100)[9:12].decode()
    except OSError as error:
        return type(error).__name__
    finally:
        s.close()

ask(b"$path", 2)
print(ask(b"", 15), ask(b"", 15))
PY
  )"
done
same "IPv4: a rejected datagram is told of by ICMP" EHOSTUNREACH "$(ask udp $server4 9999 ATTACK-ON-UDP)"
same "IPv6: a rejected datagram is told of by ICMP" EACCES "$(ask udp $server6 9999 ATTACK-ON-UDP)"
refuse "the server got no rejected datagram" grep -q ATTACK "$work/seen/udp"
# What a rule puts into the mark is there for the kernel behind the queue.
echo 'alert udp any any -> any 9999 (content:"MARK-THIS"; nfq_set_mark:0x8/0xf8; sid:11;)' >>"$work/test.rules"
need ctl reload
need in_gateway iptables -t mangle -A POSTROUTING -p udp --dport 9999 -m mark --mark 0x8/0xf8
marked() { in_gateway iptables -t mangle -L POSTROUTING -nvx | awk '/dpt:9999/ {print $1}'; }
ask udp $server4 9999 "no mark" >"$work/said"
same "a datagram that no rule marks goes on without a mark" 0 "$(marked)"
ask udp $server4 9999 MARK-THIS >"$work/said"
same "a datagram that a rule marks goes on with the mark" 1 "$(marked)"
SECONDS_MAX=2 fetch http://$server4:8081/ >"$work/answer" 2>/dev/null
refuse "nothing of a dropped answer's attack arrives" grep -q RESPONSE "$work/answer"
head -c 300000 /dev/zero | tr '\0' a >"$work/long"
same "a long body passes" taken "$(fetch http://$server4:8082/ -H Expect: --data-binary "@$work/long")"
same "all of it arrived" 300000 "$(seen sink | wc -c)"
echo ATTACK-IN-BODY >>"$work/long"
SECONDS_MAX=3 fetch http://$server4:8082/ -H Expect: --data-binary "@$work/long" 2>/dev/null
same "one with an attack behind 300 kB does not" 28 $?
refuse "the server got nothing of that attack" grep -q ATTACK "$work/seen/sink"
refuse "the server was not asked for what was stopped" grep -q attack <(seen_by_server)

sluice_down
same "the daemon ends with 0" 0 "$status"
for sid in 1 2 4 5 7 8; do
  expect "sid $sid: an alert that says blocked" has_event ".event_type == \"alert\" and .alert.signature_id == $sid and .alert.action == \"blocked\""
  expect "sid $sid: a drop record with the rule" has_event ".event_type == \"drop\" and .alert.signature_id == $sid and .drop.reason == \"rules\""
done
expect "sid 3: an alert that says allowed" has_event '.event_type == "alert" and .alert.signature_id == 3 and .alert.action == "allowed"'
expect "HTTP is logged" has_event '.event_type == "http" and .http.url == "/large" and .http.length == 100000000'
expect "DNS is logged, IPv6 too" has_event '.event_type == "dns" and .src_ip == "fd00:0010:0001:0000:0000:0000:0000:0002"'
expect "counters are logged" has_event '.event_type == "stats" and .stats.ips.blocked > 0 and .stats.detect.alert > 0 and .sluice.rules.loaded == 11'

# Nobody at the queue.
same "fail-open: traffic passes without the daemon" "hello from the origin" "$(fetch http://$server4/)"
sluice_up
same "it is inspected again when the daemon is back" 56 "$(SECONDS_MAX=5 fetch http://$server4/attack-reject 2>/dev/null; echo $?)"
sluice_kill
same "fail-open: traffic passes when the daemon was killed" "hello from the origin" "$(fetch http://$server4/)"
need setup down
same "and when diversion is gone" "hello from the origin" "$(fetch http://$server4/)"
FAIL_OPEN=no TLS=no write_config
need setup up
SECONDS_MAX=2 fetch http://$server4/ >/dev/null 2>&1
same "fail-closed: nothing passes without the daemon" 28 $?
sluice_up
same "fail-closed: traffic passes with the daemon" "hello from the origin" "$(fetch http://$server4/)"
sluice_down
exit $result
