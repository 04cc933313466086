#!/usr/bin/env bash
# Connections that turn out to be TLS, on any port and after other protocols: taken over in their midst.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

everything_up 'policy:
  - {action: tunnel, sni: tunnel.origin.test}'
in_server "$python" "$here/upgrades.py" "$work/origin/server.pem" "$work/origin/server.key" &
started+=($!)
wait_for 10 listens "$server" 6443 || fail preparation upgrades.py
upgrade() { in_client "$python" "$here/upgrade.py" "$@"; }
inside="1 right, 0 wrong, Sluice"
declare -A ports=([tls]=6443 [smtp]=2525 [connect]=3128 [socks]=1080 [postgres]=5432)

for host in $server4 $server6; do
  for kind in tls smtp connect socks postgres; do
    same "$kind, $host: inside TLS" "$inside" "$(upgrade $kind $host ${ports[$kind]} "$work/ca.pem")"
  done
  same "a hello in pieces of 100 octets, $host" "$inside" "$(upgrade tls $host 6443 "$work/ca.pem" 1 1 1000 100)"
  same "a hello whose first piece is one octet, $host" "$inside" "$(upgrade smtp $host 2525 "$work/ca.pem" 1 1 1000 200)"
  same "a large answer, $host" "$inside" "$(upgrade tls $host 6443 "$work/ca.pem" 1 1 20000000)"
done
same "1,000 connections, 50 at once" "1000 right, 0 wrong, Sluice" "$(upgrade tls $server4 6443 "$work/ca.pem" 1000 50)"
same "200 after STARTTLS over IPv6, 20 at once" "200 right, 0 wrong, Sluice" \
  "$(upgrade smtp $server6 2525 "$work/ca.pem" 200 20)"
taken=$(statistic sluice.takeover.taken)
within "every one of them was taken over" "$taken" 1215
same "none failed" 0 "$(statistic sluice.takeover.failures)"

same "from one port again and again" "5 answered, 0 asked again" "$(in_client "$python" "$here/sameport.py" $server4 443 "$work/ca.pem" 5)"

# Other kinds of TCP, and a line that loses packets.
need in_client sysctl -qw net.ipv4.tcp_timestamps=0 net.ipv4.tcp_sack=0
same "no timestamps, no SACK" "20 right, 0 wrong, Sluice" "$(upgrade smtp $server4 2525 "$work/ca.pem" 20 5 100000)"
need in_client sysctl -qw net.ipv4.tcp_window_scaling=0
same "no window scale" "20 right, 0 wrong, Sluice" "$(upgrade tls $server4 6443 "$work/ca.pem" 20 5 100000)"
need in_client sysctl -qw net.ipv4.tcp_timestamps=1 net.ipv4.tcp_sack=1 net.ipv4.tcp_window_scaling=1
for space in "$client" "$server"; do
  ip netns exec "$space" ethtool -K eth0 tso off gso off gro off >/dev/null 2>&1
done
if in_client tc qdisc add dev eth0 root netem loss 2% 2>/dev/null && in_server tc qdisc add dev eth0 root netem loss 2%; then
  same "packets get lost" "100 right, 0 wrong, Sluice" "$(upgrade tls $server4 6443 "$work/ca.pem" 100 10 50000)"
  same "packets get lost before the hello" "100 right, 0 wrong, Sluice" "$(upgrade smtp $server4 2525 "$work/ca.pem" 100 10 5000)"
  need in_client tc qdisc del dev eth0 root
  need in_server tc qdisc del dev eth0 root
else
  skip "packets get lost" "no netem in this kernel"
fi

same "a page over HTTPS" "hello from the origin" "$(fetch_tls https://www.origin.test/)"
same "tunnel: a page passes" "hello from the origin" \
  "$(fetch_tls --cacert "$work/origin/root.pem" https://tunnel.origin.test/)"
fetch_tls https://www.origin.test/attack-drop 2>/dev/null
within "an attack inside TLS ends the connection" 92 $(($? == 0 ? 99 : $?))
nothing_left() { [[ $(statistic sluice.interception.active) == 0 ]]; }
expect "no connection is left" wait_for 20 nothing_left
same "nothing is held" 0 "$(statistic sluice.capture.held)"
sluice_down
same "the daemon ends with 0" 0 "$status"
expect "what is inside was read" has_event '.event_type == "http" and .dest_port == 6443 and .sluice.decrypted == true and .http.url == "/1000"'
expect "the same after STARTTLS" has_event '.event_type == "http" and .dest_port == 2525 and .sluice.decrypted == true'
expect "the tunnel is told of" has_event '.event_type == "sluice" and .sluice.step == "decided" and (.sluice.reason | startswith("tunnel")) and .sluice.sni == "tunnel.origin.test"'
expect "the tunnel's flow was the kernel's" has_event '.event_type == "flow" and .flow.bypass_reason == "tunnel"'
exit $result
