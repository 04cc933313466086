#!/usr/bin/env bash
# Decrypted traffic goes out as packets: a file, readers of a socket, an interface. Other tools read the same.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

network_up
origin_certificates
write_rules
write_config 'policy:
  - {action: tunnel, sni: tunnel.origin.test}'
ca_init
nginx_up
servers_up
need ip -n "$gateway" link add sensor0 type veth peer name sensor1
need ip -n "$gateway" link set sensor0 up
need ip -n "$gateway" link set sensor1 up
need setup up
refuse "an interface that isn't there" in_gateway "$sluice" run --config "$work/sluice.yaml" \
  --set interception.decrypted.interface=nowhere0
contains "it is named" nowhere0 "$(cat "$work/said")"
refuse "a socket that is no address" in_gateway "$sluice" run --config "$work/sluice.yaml" \
  --set interception.decrypted.socket=nowhere
sluice_up --set interception.decrypted.file="$work/clear.pcapng" --set interception.decrypted.file-size=256kb \
  --set interception.decrypted.files=3 --set interception.decrypted.socket="$work/clear.sock" \
  --set interception.key-log-file="$work/keys" --set interception.decrypted.interface=sensor0 --set interception.decrypted.server-port=80

same "the file is for its owner alone" 600 "$(stat -c %a "$work/clear.pcapng")"
same "so is the socket" 600 "$(stat -c %a "$work/clear.sock")"
in_gateway "$python" -c 'import shutil, socket, sys
reader = socket.socket(socket.AF_UNIX)
reader.connect(sys.argv[1])
stream = reader.makefile("rb")
with open(sys.argv[2], "wb") as output:
    while piece := stream.read1(65536):
        output.write(piece)
        output.flush()' "$work/clear.sock" "$work/read.pcapng" &
reader=$!
started+=($reader)
wait_for 10 test -s "$work/read.pcapng"

same "a page passes" "hello from the origin" "$(fetch_tls https://www.origin.test/)"
same "and over IPv6" "hello from the origin" "$(fetch_tls6 https://www.origin.test/)"
fetch_tls https://www.origin.test/notice >/dev/null
fetch_tls https://www.origin.test/attack-drop 2>/dev/null
within "an attack is blocked" 92 $(($? == 0 ? 99 : $?))
same "a tunnelled page passes" "hello from the origin" \
  "$(fetch_tls --cacert "$work/origin/root.pem" https://tunnel.origin.test/)"
idle() { [[ $(statistic sluice.interception.active) == 0 ]]; }
expect "no connection is left" wait_for 10 idle

same "secrets are for their owner alone" 600 "$(stat -c %a "$work/keys")"
same "the secrets of both legs of four connections are there" 8 \
  "$(grep -cE '^CLIENT_TRAFFIC_SECRET_0 [0-9a-f]{64} [0-9a-f]{64,96}$' "$work/keys")"
contains "it is warned of" "secrets of TLS connections are written" "$(cat "$work/sluice.log")"
# read_back FILE: the records of a capture of what was decrypted.
read_back() {
  rm -rf "$work/back"
  "$sluice" eval --rules "$work/test.rules" --output "$work/back" "$1" >"$work/said" 2>&1
}
back() { jq -e -n "[inputs | select($1)] | length $2" "$work/back/eve.json" >/dev/null; }
complete() { read_back "$1" && back '.event_type == "flow"' '== 4'; }
for form in clear read; do
  expect "$form: each decrypted connection is in it, the tunnelled one is not" wait_for 10 complete "$work/$form.pcapng"
  expect "$form: requests in the clear" back \
    '.event_type == "http" and .http.hostname == "www.origin.test" and .dest_port == 80' '== 4'
  expect "$form: addresses are the real ones" back ".src_ip == \"$client4\" and .dest_ip == \"$server4\"" '> 0'
  expect "$form: IPv6 too" back '.event_type == "http" and .ip_v == 6 and .http.status == 200' '== 1'
  expect "$form: rules find the same" back '.event_type == "alert" and (.alert.signature_id | IN(1, 6))' '== 2'
  expect "$form: packets are right" back '.event_type == "anomaly"' '== 0'
done
expect "tcpdump reads it" tcpdump -nr "$work/clear.pcapng" tcp
all_sent() {
  [[ $(in_gateway cat /sys/class/net/sensor0/statistics/tx_packets) -ge $(statistic sluice.decrypted.packets) &&
    $(statistic sluice.decrypted.packets) -gt 20 ]]
}
expect "every packet leaves by the interface" wait_for 10 all_sent

# Files are put aside at their size; the oldest one goes.
head -c 200000 /dev/urandom >"$work/www/part"
for _ in 1 2 3 4 5; do fetch_tls -o /dev/null https://www.origin.test/part; done
expect "no connection is left" wait_for 10 idle
sluice_down
same "the daemon ends with 0" 0 "$status"
same "three files" "clear.pcapng clear.pcapng.1 clear.pcapng.2" "$(cd "$work" && echo clear.pcapng*)"
for file in "$work"/clear.pcapng*; do
  within "${file##*/} keeps its size" 262144 "$(stat -c %s "$file")"
  expect "${file##*/} can be read" tcpdump -nr "$file" tcp
done
refuse "the socket is gone" test -e "$work/clear.sock"
expect "the reader was told the end" wait_for 5 eval "! kill -0 $reader"
sluice_up --set interception.decrypted.socket=127.0.0.1:4789
expect "a TCP socket" listens "$gateway" 4789
sluice_down
refuse "without being asked, nothing is written" test -e "$work/clear.pcapng.3"
exit $result
