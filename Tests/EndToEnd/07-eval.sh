#!/usr/bin/env bash
# sluice eval: every form of a capture gives the same records, in whatever order the work is done.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

write_rules
# Real traffic: two requests, one of them an attack, and a DNS query, in both families.
network_up
origin_certificates
nginx_up
servers_up
in_gateway tcpdump -i client0 -U -w "$work/traffic.pcap" -s 0 'tcp port 80 or udp port 53' 2>"$work/tcpdump" &
started+=($!)
wait_for 10 grep -q listening "$work/tcpdump"
for host in "$server4" "[$server6]"; do
  fetch "http://$host/" >/dev/null
  fetch "http://$host/attack-drop" >/dev/null
  fetch "http://$host/notice" >/dev/null
done
ask dns $server4 www.evil.example >/dev/null
captured() { [[ $("$sluice" eval --output "$work/probe" "$work/traffic.pcap" --json 2>/dev/null | jq .packets) -ge 66 ]]; }
wait_for 10 captured
for process in $(ip netns pids "$gateway"); do kill -INT "$process"; done
wait_for 5 test -z "$(ip netns pids "$gateway")"

# eval NAME [options]: records in NAME/eve.json, the summary in NAME.json, its exit status in $status.
eval_to() {
  local name=$1
  shift
  "$sluice" eval --rules "$work/test.rules" --set pcap-file.checksum-checks=no --json --output "$work/$name" "$@" \
    >"$work/$name.json" 2>"$work/$name.error"
  status=$?
}
records() { jq -n "[inputs | select($2)] | length" <"$work/$1/eve.json"; }

eval_to ids "$work/traffic.pcap"
same "exit status" 0 "$status"
same "nothing on standard error" "" "$(cat "$work/ids.error")"
same "the summary has all fields, all numbers" \
  "alerts,bytes,drops,flows,load_seconds,packets,peak_rss_bytes,run_seconds number" \
  "$(jq -r '"\(keys | join(",")) \(map(type) | unique | join(","))"' "$work/ids.json")"
same "as many packets as in the capture" "$(tcpdump -r "$work/traffic.pcap" 2>/dev/null | wc -l)" "$(jq .packets "$work/ids.json")"
same "flows" 7 "$(jq .flows "$work/ids.json")"
same "alerts" 5 "$(jq .alerts "$work/ids.json")"
same "no drops without --mode ips" 0 "$(jq .drops "$work/ids.json")"
same "alerts in the records" 5 "$(records ids '.event_type == "alert"')"
same "all of them allowed" 5 "$(records ids '.event_type == "alert" and .alert.action == "allowed"')"
same "flows in the records" 7 "$(records ids '.event_type == "flow"')"
same "one record of counters, the last" stats "$(tail -1 "$work/ids/eve.json" | jq -r .event_type)"
same "its numbers are the summary's" "$(jq -r '"\(.packets) \(.alerts)"' "$work/ids.json")" \
  "$(tail -1 "$work/ids/eve.json" | jq -r '"\(.stats.decoder.pkts) \(.stats.detect.alert)"')"
eval_to again "$work/traffic.pcap"
expect "again: the same records" cmp "$work/ids/eve.json" "$work/again/eve.json"

eval_to ips --mode ips "$work/traffic.pcap"
same "ips: exit status" 0 "$status"
same "ips: blocked alerts" 2 "$(records ips '.event_type == "alert" and .alert.action == "blocked"')"
within "ips: the rest of the flow is dropped too" "$(jq .drops "$work/ips.json")" 4
same "ips: drop records name the rule" 2 "$(records ips '.event_type == "drop" and .alert.signature_id == 1')"
same "ips: nothing of the dropped answers" 0 "$(records ips '.event_type == "http" and .http.url == "/attack-drop" and .http.status == 404')"

# Forms.
gzip -k "$work/traffic.pcap"
"$python" - "$work/traffic.pcap" "$work/traffic.pcapng" <<'PY'
import struct, sys
data = open(sys.argv[1], "rb").read()
link, = struct.unpack_from("<I", data, 20)
def block(kind, body):
    body += b"\0" * (-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)
out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", link, 0, 0))
at = 24
while at < len(data):
    seconds, micros, kept, length = struct.unpack_from("<IIII", data, at)
    time = seconds * 1000000 + micros
    out += block(6, struct.pack("<IIIII", 0, time >> 32, time & 0xFFFFFFFF, kept, length) + data[at + 16:at + 16 + kept])
    at += 16 + kept
open(sys.argv[2], "wb").write(out)
PY
mkdir "$work/folder"
cp "$work/traffic.pcap" "$work/folder/a.pcap"
for form in traffic.pcap.gz traffic.pcapng folder; do
  eval_to form "$work/$form"
  same "$form: exit status" 0 "$status"
  expect "$form: the same records" cmp "$work/ids/eve.json" "$work/form/eve.json"
done
if command -v zstd >/dev/null; then
  zstd -q "$work/traffic.pcap"
  eval_to form "$work/traffic.pcap.zst"
  expect "traffic.pcap.zst: the same records" cmp "$work/ids/eve.json" "$work/form/eve.json"
else
  skip "traffic.pcap.zst" "there is no zstd"
fi
eval_to form - <"$work/traffic.pcap"
expect "standard input: the same records" cmp "$work/ids/eve.json" "$work/form/eve.json"

# Several at once.
several=("$work/traffic.pcap" "$work/traffic.pcapng" "$work/traffic.pcap.gz" "$work/folder")
eval_to one "${several[@]}"
same "four captures: packets" $((4 * $(jq .packets "$work/ids.json"))) "$(jq .packets "$work/one.json")"
for jobs in 2 4 9; do
  eval_to many --jobs $jobs "${several[@]}"
  same "--jobs $jobs: exit status" 0 "$status"
  expect "--jobs $jobs: the same records as one by one" cmp "$work/one/eve.json" "$work/many/eve.json"
  same "--jobs $jobs: the same summary" "$(jq -c '[.packets,.bytes,.flows,.alerts]' "$work/one.json")" \
    "$(jq -c '[.packets,.bytes,.flows,.alerts]' "$work/many.json")"
  same "--jobs $jobs: no other file is left" eve.json "$(ls "$work/many")"
done
eval_to gone --jobs 2 "$work/traffic.pcap" "$work/none.pcap"
same "--jobs 2, one is missing: exit status" 1 "$status"
contains "--jobs 2: the missing one is named" "$work/none.pcap" "$(cat "$work/gone.error")"
same "--jobs 2, one is missing: no other file is left" eve.json "$(ls "$work/gone")"

# Damage.
size=$(stat -c %s "$work/traffic.pcap")
head -c $((size - 7)) "$work/traffic.pcap" >"$work/cut.pcap"
head -c $(($(stat -c %s "$work/traffic.pcap.gz") - 20)) "$work/traffic.pcap.gz" >"$work/cut.pcap.gz"
head -c $(($(stat -c %s "$work/traffic.pcapng") - 7)) "$work/traffic.pcapng" >"$work/cut.pcapng"
for form in cut.pcap cut.pcap.gz cut.pcapng; do
  eval_to cut "$work/$form"
  same "$form: exit status" 0 "$status"
  contains "$form: a warning names it" "warning: $work/$form" "$(cat "$work/cut.error")"
  same "$form: in one line" 1 "$(wc -l <"$work/cut.error")"
  expect "$form: what came before is evaluated" test "$(jq .packets "$work/cut.json")" -gt 50
done
eval_to none "$work/traffic.pcap" --set rule-files=
same "a warning of unknown keys of Suricata" 1 "$("$sluice" eval --set nsm.x=1 --output "$work/w" "$work/traffic.pcap" 2>&1 >/dev/null | grep -c '^warning: .*nsm')"
exit $result
