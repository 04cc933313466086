#!/usr/bin/env bash
# Flows that are decided: given to the kernel, counted by it, called back when rules change.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

network_up
origin_certificates
write_rules
cat >>"$work/test.rules" <<'RULES'
alert http any any -> any any (msg:"E2E bypass"; flow:established,to_server; http.uri; content:"/large"; bypass; sid:20; rev:1;)
pass tcp any any -> any 7000 (msg:"E2E pass"; sid:21; rev:1;)
RULES
TLS=no write_config
ca_init
nginx_up
servers_up
need setup up
sluice_up
head -c 100000000 /dev/urandom >"$work/www/large"
cp "$work/www/large" "$work/www/other"
sum=$(sha256sum <"$work/www/large")

for host in "$server4" "[$server6]"; do
  before=$(statistic sluice.capture.packets)
  same "$host: a released download arrives as it was" "$sum" "$(SECONDS_MAX=60 fetch "http://$host/large" | sha256sum)"
  within "$host: few of its packets came by" 200 $(($(statistic sluice.capture.packets) - before))
done
same "two flows were released" 2 "$(statistic sluice.release.flows)"

# A passed connection stays the kernel's until rules say otherwise.
ask hold $server4 7000 12 "$work/held" >"$work/answer" &
held=$!
expect "a passed connection is open" wait_for 5 test -e "$work/held"
three_released() { (($(statistic sluice.release.flows) >= 3)); }
expect "it is the kernel's" wait_for 5 three_released
contains "ctl flows tells it" "release=pass" "$(ctl flows :7000)"
contains "ctl explain tells why" "released to the kernel: pass" "$(ctl explain :7000)"
sed -i '/sid:21;/d' "$work/test.rules"
echo 'drop tcp any any -> any 7000 (msg:"E2E no more"; content:"two"; sid:22; rev:1;)' >>"$work/test.rules"
expect "reload" ctl reload
called_back() { (($(statistic sluice.release.recalled) >= 1)); }
expect "the reload called it back" wait_for 5 called_back
wait $held
same "new rules stop what old ones let go" nothing "$(cat "$work/answer")"

# By hand.
: >"$work/held"
rm "$work/held"
sed -i '/sid:22;/d' "$work/test.rules"
expect "reload again" ctl reload
in_client curl -sS --max-time 60 --limit-rate 10M -o "$work/got" http://$server4:8080/other &
download=$!
flow_is_there() { [[ $(ctl flows ":8080") == *http* ]]; }
wait_for 10 flow_is_there
contains "ctl release" "released: 1 flows" "$(ctl release :8080)"
is_released() { [[ $(ctl flows ":8080") == *" released "* ]]; }
expect "the flow is released" wait_for 5 is_released
contains "ctl recall" "called back: 1 flows" "$(ctl recall :8080)"
wait $download
same "the download goes on all the time" "$sum" "$(sha256sum <"$work/got")"
sluice_down
same "the daemon ends with 0" 0 "$status"
expect "the record says that the kernel passed it, and how much" has_event \
  '.event_type == "flow" and .flow.bypass == "capture" and .flow.bypass_reason == "bypass" and .flow.bytes_toclient > 100000000 and .flow.bypassed.bytes_toclient > 90000000'
expect "IPv6 too" has_event \
  '.event_type == "flow" and .src_ip == "fd00:0010:0001:0000:0000:0000:0000:0002" and .flow.bytes_toclient > 100000000'
exit $result
