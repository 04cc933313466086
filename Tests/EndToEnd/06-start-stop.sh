#!/usr/bin/env bash
# Start and end of the daemon under connections that are open: what ends, what goes on, what is left.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

everything_up
head -c 50000000 /dev/urandom >"$work/www/large"
sum=$(sha256sum <"$work/www/large")

for signal in TERM INT; do
  # A connection of packets lives on through a restart (fail-open; the daemon takes it up in its midst).
  rm -f "$work/held"
  ask hold $server4 7000 3 "$work/held" >"$work/answer" &
  held=$!
  expect "SIG$signal: a connection is open" wait_for 5 test -e "$work/held"
  begin=$(date +%s%N)
  sluice_down $signal
  same "SIG$signal: exit status" 0 "$status"
  within "SIG$signal: it does not wait for what may drain (ms)" 2500 $((($(date +%s%N) - begin) / 1000000))
  refuse "SIG$signal: the control socket is gone" test -e "$work/control.sock"
  same "SIG$signal: the queue is unbound" "" "$(in_gateway cat /proc/net/netfilter/nfnetlink_queue)"
  refuse "SIG$signal: nobody listens" listens "$gateway" 8443
  same "SIG$signal: no process is left" "" "$(ip netns pids "$gateway")"
  same "SIG$signal: traffic passes meanwhile" "hello from the origin" "$(fetch http://$server4/)"
  same "SIG$signal: TLS passes too, as it is" "hello from the origin" \
    "$(fetch_tls --cacert "$work/origin/root.pem" https://www.origin.test/)"
  sluice_up
  same "SIG$signal: traffic passes again" "hello from the origin" "$(fetch http://$server4/)"
  same "SIG$signal: TLS is opened again" "hello from the origin" "$(fetch_tls https://www.origin.test/)"
  wait $held
  same "SIG$signal: the old connection still works" works "$(cat "$work/answer")"
done

# Restart in the midst of a download of packets: it ends as it should.
in_client curl -sS --max-time 20 --limit-rate 20M -o "$work/got" http://$server4/large 2>"$work/error" &
download=$!
wait_for 5 test -s "$work/got"
sluice_down
sluice_up
wait $download
same "a download goes through a restart" 0 $?
same "all of it arrived" "$sum" "$(sha256sum <"$work/got")"

# Inside TLS connections have some time left, and the client is told when that is not enough.
sum=$(head -c 2000000 "$work/www/large" | tee "$work/www/short" | sha256sum)
rm -f "$work/got"
in_client curl -sS --max-time 20 --limit-rate 2M --cacert "$work/ca.pem" --resolve "www.origin.test:443:$server4" \
  -o "$work/got" https://www.origin.test/short 2>"$work/error" &
download=$!
wait_for 5 test -s "$work/got"
sluice_down
wait $download
same "a short download inside TLS ends before the daemon" 0 $?
same "all of it arrived inside TLS" "$sum" "$(sha256sum <"$work/got")"
sluice_up
rm -f "$work/got"
in_client curl -sS --max-time 20 --limit-rate 2M --cacert "$work/ca.pem" --resolve "www.origin.test:443:$server4" \
  -o "$work/got" https://www.origin.test/large 2>"$work/error" &
download=$!
wait_for 5 test -s "$work/got"
begin=$(date +%s%N)
sluice_down
same "the daemon ends while TLS is relayed: exit status" 0 "$status"
within "it waits no longer than that may take, 3 seconds (ms)" 9000 $((($(date +%s%N) - begin) / 1000000))
wait $download
refuse "the client is told that it was not all" test $? == 0
expect "it is in the log" has_event '.event_type == "flow" and .dest_port == 443 and .flow.reason == "shutdown"'

sluice_up
expect "ctl shutdown" ctl shutdown
wait "$daemon"
same "ctl shutdown: exit status" 0 $?
refuse "ctl shutdown: the control socket is gone" test -e "$work/control.sock"
before=$(in_gateway iptables-save | grep -c SLUICE)
within "diversion is there after the daemon" "$before" 1
need setup down
same "setup down leaves no rule" 0 "$(in_gateway iptables-save | grep -c SLUICE)"
same "setup down leaves no policy rule" "" "$(in_gateway ip rule | grep 7171)"
same "every line of the log is a record" 0 "$(jq -c . "$work/log/eve.json" 2>&1 | grep -c '^jq:')"
# A shell gives 1,024 descriptors or less; the daemon takes what it may have.
ulimit -Sn 256
sluice_up
most=$(ulimit -Hn)
[[ $most != unlimited ]] && ((most <= 1048576)) || most=1048576
same "descriptors are not limited to what the shell gives" "$most" "$(awk '/^Max open files/ {print $4}' "/proc/$(worker)/limits")"
sluice_down
exit $result
