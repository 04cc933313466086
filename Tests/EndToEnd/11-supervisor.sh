#!/usr/bin/env bash
# The daemon crashes, hangs, and gives up rights; it accounts for every packet; what it tells of flows and of itself.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

network_up
origin_certificates
write_rules
TLS=yes write_config
sed -i "s|^control: .*|control: {socket: $work/control.sock, metrics: $work/metrics.sock}|" "$work/sluice.yaml"
ca_init
nginx_up
servers_up
need setup up
# What systemd would hear.
"$python" - "$work/notify" "$work/notified" <<'PY' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    with open(sys.argv[2], "a") as file:
        file.write(s.recv(4096).decode() + "\n")
PY
started+=($!)
wait_for 10 test -S "$work/notify"
NOTIFY_SOCKET=$work/notify sluice_up
expect "systemd is told that it is ready" wait_for 5 grep -q READY=1 "$work/notified"
expect "systemd is told that it lives" wait_for 5 grep -q WATCHDOG=1 "$work/notified"

# ---- Rights ----
field() { awk -v name="$1:" '$1 == name {print $2}' "/proc/$(worker)/status"; }
same "only four capabilities are left" 0000000000803400 "$(field CapEff)"
same "no way back to others" 0000000000803400 "$(field CapPrm)"
same "no new privileges" 1 "$(field NoNewPrivs)"
same "system calls are filtered" 2 "$(field Seccomp)"
same "in every thread" 1 "$(cat "/proc/$(worker)/task/"*/status | awk '$1 == "Seccomp:" {print $2}' | sort -u | wc -l)"

# ---- A crash ----
same "a page passes" "hello from the origin" "$(fetch http://$server4/)"
first=$(worker)
for signal in SEGV KILL; do
  before=$(worker)
  begin=$(date +%s%N)
  kill -$signal "$before"
  is_back() { [[ -n $(worker) && $(worker) != "$before" ]] && ctl stats >/dev/null; }
  expect "SIG$signal: it is back" wait_for 20 is_back
  echo "# back after $((($(date +%s%N) - begin) / 1000000)) ms"
  same "SIG$signal: traffic passes" "hello from the origin" "$(fetch http://$server4/)"
  SECONDS_MAX=5 fetch http://$server4/attack-reject 2>/dev/null
  same "SIG$signal: traffic is inspected" 56 $?
done
same "it tells how often" 2 "$(statistic sluice.supervisor.restarts)"
contains "the log says why" "was ended by signal 11" "$(cat "$work/sluice.log")"
refuse "the first is gone" kill -0 "$first"
kill -STOP "$(worker)"
hung=$(worker)
is_new() { [[ $(worker) != "$hung" && -n $(worker) ]] && ctl stats; }
expect "one that hangs is replaced" wait_for 60 is_new

# ---- Every packet is accounted for ----
for _ in 1 2 3; do fetch "http://$server4/1k?[1-50]" >/dev/null; done
SECONDS_MAX=2 fetch http://$server4/attack-drop 2>/dev/null
SECONDS_MAX=2 fetch "http://[$server6]/attack-drop" 2>/dev/null
fetch_tls https://www.origin.test/ >/dev/null
ask dns $server4 www.evil.example >/dev/null
sleep 1
sums() {
  ctl stats | awk '
    $1 == "sluice.capture.packets" {received = $2}
    $1 == "ips.accepted" || $1 == "ips.blocked" || $1 == "sluice.capture.released" || $1 == "sluice.capture.diverted" ||
    $1 == "sluice.capture.uninspected" || $1 == "sluice.capture.held" || $1 == "sluice.takeover.refused" {sum += $2}
    $1 ~ /^ips.drop_reason/ {reasons += $2}
    $1 == "ips.blocked" {blocked = $2}
    END {
      isRight = (received == sum && reasons == blocked && blocked > 0 && received > 300)
      print (isRight ? "right" : received " is not " sum ", or " reasons " is not " blocked)
    }'
}
add_up() { [[ $(sums) == right ]]; }
expect "received = accepted + dropped by reason + released + diverted" wait_for 5 add_up
same "the sums" right "$(sums)"

# ---- What it tells ----
contains "metrics" "sluice_capture_packets" "$(in_gateway curl -sS --unix-socket "$work/metrics.sock" http://localhost/metrics)"
contains "metrics by ctl" "# TYPE sluice_ips_blocked counter" "$(ctl metrics)"
contains "ctl flows" "-> $server4:80 http" "$(ctl flows $server4:80)"
contains "ctl explain says which rule" "sid 1 E2E dropped URI" "$(ctl explain $client4 $server4:80)"
contains "ctl explain says what TLS policy decided" "inspect, because" "$(ctl explain :443)"
contains "ctl top" "flows, bit/s first" "$(ctl top --times 1)"
refuse "ctl explain of nothing" ctl explain 192.0.2.1
refuse "ctl explain of nonsense" ctl explain 999.1
sluice_down
same "the daemon ends with 0" 0 "$status"
expect "nothing is left" wait_for 5 nobody_is_left
contains "systemd is told that it ends" STOPPING=1 "$(cat "$work/notified")"
exit $result
