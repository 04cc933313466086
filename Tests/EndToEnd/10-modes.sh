#!/usr/bin/env bash
# Bridge, host, tap, and a router that translates addresses: set up, inspect, take over, take away.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

# Everything that setup may change.
state() {
  in_gateway iptables-save | grep -v '^#' | sed 's/\[[0-9:]*\]//'
  in_gateway ip6tables-save | grep -v '^#' | sed 's/\[[0-9:]*\]//'
  in_gateway nft list tables 2>/dev/null | grep bridge
  for family in -4 -6; do
    in_gateway ip "$family" rule
    in_gateway ip "$family" route show table all | grep -v -e ' ff00::/8' -e fe80
  done
  in_gateway sysctl net.ipv4.tcp_max_tw_buckets net.netfilter.nf_conntrack_acct net.bridge.bridge-nf-call-iptables \
    net.ipv4.conf.all.rp_filter
}
upgrade() { in_client "$python" "$here/upgrade.py" "$@"; }
servers_all_up() {
  origin_certificates
  write_rules
  write_config "${1:-}"
  ca_init
  nginx_up
  servers_up
  in_server "$python" "$here/upgrades.py" "$work/origin/server.pem" "$work/origin/server.key" 2>/dev/null &
  started+=($!)
  wait_for 10 listens "$server" 6443
}
network_down() {
  local process space
  for space in "$client" "$gateway" "$server"; do
    for process in $(ip netns pids "$space"); do kill -KILL "$process" 2>/dev/null; done
  done
  for process in "${started[@]}"; do wait "$process" 2>/dev/null; done
  started=()
  for space in "$client" "$gateway" "$server"; do need ip netns delete "$space"; done
  rm -rf "$work"/*
}
plain_checks() {
  same "$1: a page passes" "hello from the origin" "$(fetch "http://$2/")"
  SECONDS_MAX=5 fetch "http://$2/attack-reject" 2>/dev/null
  same "$1: a rejected request gets a reset" 56 $?
}
tls_checks() {
  same "$1: TLS is opened" "1 right, 0 wrong, Sluice" "$(upgrade tls "$2" 6443 "$work/ca.pem")"
  same "$1: TLS after STARTTLS is opened" "1 right, 0 wrong, Sluice" "$(upgrade smtp "$2" 2525 "$work/ca.pem")"
}

# ---- A bridge without an address ----
need ip netns add "$client"
need ip netns add "$gateway"
need ip netns add "$server"
server4=10.10.1.3 server6=fd00:10:1::3
for space in "$client" "$gateway" "$server"; do
  need ip -n "$space" link set lo up
  need ip netns exec "$space" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
done
need ip link add eth0 netns "$client" type veth peer name port0 netns "$gateway"
need ip link add eth0 netns "$server" type veth peer name port1 netns "$gateway"
need ip -n "$client" address add $client4/24 dev eth0
need ip -n "$client" address add $client6/64 dev eth0 nodad
need ip -n "$server" address add $server4/24 dev eth0
need ip -n "$server" address add $server6/64 dev eth0 nodad
need ip -n "$server" address add 198.51.100.7/32 dev lo
need ip -n "$gateway" link add br0 type bridge forward_delay 0 mcast_snooping 0
for port in port0 port1; do
  need ip -n "$gateway" link set $port master br0
  need ip -n "$gateway" link set $port up
done
need ip -n "$gateway" link set br0 up
need ip -n "$client" link set eth0 up
need ip -n "$server" link set eth0 up
need ip -n "$client" route add 198.51.100.7 via $server4
in_gateway sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0
# As many systems have it. No route leads back to the clients of a bridge without an address.
in_gateway sysctl -qw net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.br0.rp_filter=1
MODE=bridge CAPTURE=', bridge: br0' servers_all_up
wait_for 10 fetch -o /dev/null "http://$server4/"
state >"$work/before"
expect "bridge: setup up" setup up
same "bridge: status" up "$(setup status | tail -1)"
expect "bridge: up again" setup up
sluice_up
plain_checks bridge $server4
plain_checks "bridge, IPv6" "[$server6]"
tls_checks bridge $server4
tls_checks "bridge, IPv6" $server6
tls_checks "bridge, behind a router" 198.51.100.7
same "bridge: 200 connections, 20 at once" "200 right, 0 wrong, Sluice" "$(upgrade tls $server4 6443 "$work/ca.pem" 200 20)"
sluice_down
same "bridge: traffic passes without the daemon" "hello from the origin" "$(fetch http://$server4/)"
expect "bridge: setup down" setup down
state >"$work/after"
expect "bridge: everything is as before" diff "$work/before" "$work/after"
setup status >/dev/null
same "bridge: status ends with 3 when down" 3 $?
network_down

# ---- A router that translates addresses ----
server4=203.0.113.2 server6=2001:db8:203::2
network_up
need ip -n "$server" route del default via 203.0.113.1
need in_gateway iptables -t nat -A POSTROUTING -o server0 -j MASQUERADE
servers_all_up 'policy: []'
in_gateway sysctl net.netfilter.nf_conntrack_acct >/dev/null
state >"$work/before"
expect "NAT: setup up" setup up
contains "NAT: the queue lies in FORWARD" "-A FORWARD -j SLUICE-INSPECT" "$(in_gateway iptables-save -t mangle)"
sluice_up
plain_checks NAT $server4
tls_checks NAT $server4
same "NAT: 200 connections, 20 at once" "200 right, 0 wrong, Sluice" "$(upgrade tls $server4 6443 "$work/ca.pem" 200 20)"
same "NAT: a released flow goes on" "hello from the origin" "$(fetch http://$server4/)"
contains "NAT: the server sees the router" "203.0.113.1 " "$(seen_by_server)"
sluice_down
expect "NAT: setup down" setup down
state >"$work/after"
expect "NAT: everything is as before" diff "$work/before" "$work/after"
expect "NAT: inside TLS was read" has_event '.event_type == "http" and .dest_port == 6443 and .sluice.decrypted == true'
network_down

# ---- A machine of its own: the server is what is protected ----
network_up
TLS=no MODE=host servers_all_up
gateway_saved=$gateway
gateway=$server
state >"$work/before"
expect "host: setup up" setup up
sluice_up
plain_checks host $server4
plain_checks "host, IPv6" "[$server6]"
in_client "$python" -m http.server 8000 --bind $client4 --directory "$work/www" >/dev/null 2>&1 &
started+=($!)
wait_for 10 listens "$client" 8000
same "host: what the machine asks others for passes" "hello from the origin" "$(in_server curl -sS -m 10 http://$client4:8000/)"
sluice_down
expect "host: setup down" setup down
state >"$work/after"
expect "host: everything is as before" diff "$work/before" "$work/after"
expect "host: the attack is told of" has_event '.event_type == "alert" and .alert.signature_id == 2 and .alert.action == "blocked"'
gateway=$gateway_saved
network_down

# ---- A tap ----
network_up
TLS=no MODE=tap CAPTURE=', interfaces: [client0]' QUEUES=2 servers_all_up
same "tap: setup has nothing to do" "mode tap needs nothing of the kernel" "$(setup up)"
sluice_up
same "tap: a page passes" "hello from the origin" "$(fetch http://$server4/)"
fetch "http://$server4/attack-drop" >/dev/null
same "tap: nothing is stopped" 0 $?
fetch "http://[$server6]/attack-drop" >/dev/null
told() { has_event '.event_type == "alert" and .alert.signature_id == 1'; }
expect "tap: it is told of" wait_for 10 told
sluice_down
same "tap: the daemon ends with 0" 0 "$status"
attacks() { count_events '.event_type == "alert" and .alert.signature_id == 1 and .src_ip == "10.10.1.2"'; }
before=$(attacks)
for _ in 1 2 3 4 5; do
  : >"$work/sluice.log"
  ip netns exec "$gateway" "$sluice" run --config "$work/sluice.yaml" >>"$work/sluice.log" 2>&1 &
  daemon=$!
  until grep -q 'running:' "$work/sluice.log" || ! kill -0 "$daemon"; do :; done
  fetch "http://$server4/attack-drop" >/dev/null
  sluice_down
done
same "tap: what comes as soon as it runs and just before it ends is told of, once" 5 $(($(attacks) - before))
expect "tap: the alert says allowed" has_event '.event_type == "alert" and .alert.signature_id == 1 and .alert.action == "allowed" and .src_ip == "10.10.1.2"'
expect "tap: IPv6 too" has_event '.event_type == "alert" and .alert.signature_id == 1 and (.src_ip | startswith("fd00"))'
exit $result
