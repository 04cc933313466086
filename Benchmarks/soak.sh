#!/usr/bin/env bash
# Mixed traffic at a low rate for a long time: soak.sh [MINUTES]. Samples what the daemon holds (resident memory,
# descriptors, flows) and whether its packet counts add up, a line a sample, and says at the end what grew.
# SLUICE names the program. The namespaces, servers and clients are those of the end-to-end tests.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/../Tests/EndToEnd/gateway.bash"

minutes=${1:-30}
every=${SAMPLE_SECONDS:-20}
pause=${PAUSE:-0.2}
everything_up
head -c 300000 /dev/urandom >"$work/www/300k"
sed -i "s|^rule-files:.*|rule-files: [$work/test.rules, $repository/rules]|" "$work/sluice.yaml"
cp "$repository"/rules/*.config "$work"
expect "reload with all rules" ctl reload

# Each asks again and again until the end; what does not come out as it should is written down.
end=$((SECONDS + minutes * 60))
wrong() { echo "$(date +%T) $*" >>"$work/wrong"; }
web() {
  while ((SECONDS < end)); do
    got=$(fetch "http://$server4/1k?[1-5]" -w '%{http_code} ' -o /dev/null 2>&1)
    [[ $got == "200 200 200 200 200 " ]] || wrong "http: $got"
    [[ $(fetch -g "http://[$server6]/300k" | wc -c) == 300000 ]] || wrong "http, IPv6"
    sleep "$pause"
  done
}
encrypted() {
  while ((SECONDS < end)); do
    [[ $(fetch_tls https://www.origin.test/300k | wc -c) == 300000 ]] || wrong "tls"
    [[ $(fetch_tls --http1.1 https://www.origin.test/) == "hello from the origin" ]] || wrong "tls, HTTP/1.1"
    [[ $(fetch_tls6 https://www.origin.test/) == "hello from the origin" ]] || wrong "tls, IPv6"
    sleep "$pause"
  done
}
names() {
  while ((SECONDS < end)); do
    [[ $(ask dns $server4 "host$RANDOM.example") =~ ^[0-9]+$ ]] || wrong "dns"
    ask udp $server4 9999 "$RANDOM" >/dev/null
    sleep "$pause"
  done
}
resets() {
  while ((SECONDS < end)); do
    # A client that goes away in the midst, and one that is refused.
    in_client "$python" - $server4 <<'PY'
import socket, struct, sys
for port, text in ((80, b"GET /300k HTTP/1.1\r\nHost: x\r\n\r\n"), (7000, b"half a word"), (443, b"\x16\x03\x01\x02\x00\x01")):
    s = socket.create_connection((sys.argv[1], port), timeout=3)
    s.sendall(text)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
PY
    SECONDS_MAX=10 fetch http://$server4/attack-reject >/dev/null 2>&1
    # 28: the reset came late, on a machine that has other work.
    status=$?
    [[ $status == 56 ]] || wrong "an attack that is to be refused: curl says $status"
    sleep "$pause"
  done
}
reloads() {
  while ((SECONDS < end)); do
    sleep 60
    ctl reload >/dev/null || wrong "reload"
  done
}
sums() {
  ctl stats | awk '
    $1 == "sluice.capture.packets" {received = $2}
    $1 == "ips.accepted" || $1 == "ips.blocked" || $1 == "sluice.capture.released" || $1 == "sluice.capture.diverted" ||
    $1 == "sluice.capture.uninspected" || $1 == "sluice.capture.held" || $1 == "sluice.takeover.refused" {sum += $2}
    $1 == "flow.active" {flows = $2}
    $1 == "sluice.interception.active" {relayed = $2}
    END {print received, received - sum, flows, relayed}'
}
sample() {
  local process resident descriptors
  process=$(worker)
  resident=$(awk '/^VmRSS/ {print $2}' "/proc/$process/status")
  descriptors=$(find "/proc/$process/fd" | wc -l)
  echo "$((SECONDS / 60)) $resident $descriptors $(sums)"
}
: >"$work/wrong"
for kind in web encrypted names resets reloads; do
  "$kind" 2>/dev/null &
  started+=($!)
done
echo "minute resident-kB descriptors packets unaccounted flows relayed"
while ((SECONDS < end)); do
  sleep "$every"
  sample | tee -a "$work/samples"
done
sleep 5
sample | tee -a "$work/samples"
# As many flows end as begin only when the longest timeouts have come; by then a quarter of the time is over.
settled=$(awk -v from=$((minutes / 4)) '$1 >= from {print $2; exit}' "$work/samples")
last=$(tail -1 "$work/samples" | cut -d' ' -f2)
within "resident memory at the end (kB, $settled after a quarter of the time)" $((settled * 11 / 10 + 8192)) "$last"
same "nothing came out wrong" "" "$(sort "$work/wrong" | cut -d' ' -f2- | uniq -c | head -5)"
same "no restart" 0 "$(statistic sluice.supervisor.restarts)"
accounted() { [[ $(sums | cut -d' ' -f2) == 0 ]]; }
expect "every packet is accounted for" wait_for 10 accounted
sluice_down
same "the daemon ends with 0" 0 "$status"
exit $result
