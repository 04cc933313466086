#!/usr/bin/env bash
# sluice doctor: one thing after the other is made wrong, has to be found, and the command that is told has to mend it.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

network_up
origin_certificates
write_rules
write_config
ca_init
nginx_up
# The commands that are told name the program by its name alone.
mkdir "$work/bin"
ln -s "$sluice" "$work/bin/sluice"

doctor() { in_gateway "$sluice" doctor --config "$work/sluice.yaml" >"$work/doctor" 2>&1; }
says() { grep -qF -- "$1" "$work/doctor"; }
# The command that stands behind a finding.
mend_of() { grep -F -A1 -- "$1" "$work/doctor" | sed -n 's/^       mend: //p' | head -1; }
# finds NAME KIND PART: the finding is there, as WRONG or as note, with something to mend it.
finds() {
  doctor
  if grep -qE "^$2 .*" "$work/doctor" && grep -F -- "$3" "$work/doctor" | grep -q "^$2"; then
    ok "$1: it is found"
  else
    fail "$1: it is found" "$(grep -vE '^ok' "$work/doctor" | head -c 600)"
  fi
  contains "$1: a mending command is told" " " "$(mend_of "$3") "
}
# mends NAME PART: the command does away with the finding.
mends() {
  local command
  command=$(mend_of "$2")
  in_gateway env PATH="$work/bin:$PATH" bash -c "$command" >"$work/said" 2>&1 || fail "$1: $command" "$(cat "$work/said")"
  doctor
  if says "$2"; then fail "$1: '$command' mends it" "it is still told"; else ok "$1: '$command' mends it"; fi
}
# wrong NAME PART: found as wrong, and mended by what is told.
wrong() {
  finds "$1" WRONG "$2"
  mends "$1" "$2"
}
noted() {
  finds "$1" note "$2"
  mends "$1" "$2"
}

# ---- All well ----
need setup up
sluice_up
need in_gateway ip route add default via 203.0.113.2
for port in client0 server0; do in_gateway ethtool -K $port gro on >/dev/null 2>&1; done
in_gateway sysctl -qw net.ipv4.conf.all.rp_filter=0
doctor
same "all well: exit status" 0 $?
same "all well: it says so" "nothing is wrong" "$(tail -1 "$work/doctor")"
same "all well: nothing is wrong" "" "$(grep '^WRONG' "$work/doctor")"

# ---- Forwarding ----
in_gateway sysctl -qw net.ipv4.ip_forward=0
doctor
same "something is wrong: exit status" 3 $?
same "something is wrong: how much" "1 wrong" "$(tail -1 "$work/doctor")"
wrong "IPv4 is not forwarded" "net.ipv4.ip_forward is 0"
in_gateway sysctl -qw net.ipv6.conf.all.forwarding=0
wrong "IPv6 is not forwarded" "net.ipv6.conf.all.forwarding is 0"
in_gateway sysctl -qw net.ipv4.conf.all.rp_filter=1
noted "strict reverse paths" "rp_filter is 1 on client0, server0"
in_gateway sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.server0.rp_filter=1
noted "strict reverse paths of one interface" "rp_filter is 1 on server0"
need in_gateway ip route del default
finds "no default route" note "there is no default route"
need in_gateway ip route add default via 203.0.113.2

# ---- Interfaces ----
need in_gateway ip link set dev client0 mtu 1200
wrong "an interface too narrow" "client0 carries packets of 1200 octets"
need in_gateway ip link set dev client0 mtu 1400
finds "interfaces of different width" note "client0 carries packets of 1400 octets, server0 of 1500" 2>/dev/null
need in_gateway ip link set dev client0 mtu 1500
if in_gateway ethtool -K client0 gro off >/dev/null 2>&1; then
  noted "packets that are not merged" "client0: generic-receive-offload is off"
else
  skip "packets that are not merged" "the interface cannot"
fi
need in_gateway ip link add beside type bridge
need in_gateway ip link set beside up
in_gateway sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null &&
  finds "a bridge beside the router" note "frames that beside forwards meet the queue too"
need in_gateway ip link del beside

# ---- Diversion ----
need setup down
sluice_kill
# Whoever looked for the queue's listener finds none.
finds "no daemon" WRONG "the daemon does not answer"
finds "nobody at the queue" WRONG "queue 0: nobody listens; packets pass uninspected"
says "kernel: it has what diversion needs" && ok "the kernel is asked before it is needed" || fail "the kernel is asked before it is needed" ""
wrong "diversion is not set up" "diversion is not set up"
need in_gateway iptables -t mangle -F SLUICE-INSPECT
wrong "diversion is not complete" "diversion is not complete"
need in_gateway ip rule del pref 71
wrong "a policy rule is gone" "diversion is not complete"
need in_gateway ip route flush table 7171
wrong "a route is gone" "diversion is not complete"
need in_gateway sysctl -qw net.ipv4.tcp_max_tw_buckets=4096
wrong "a setting was changed" "diversion is not complete"
need in_gateway iptables -t mangle -A PREROUTING -p udp -j MARK --set-mark 5
wrong "another's mark" "uses mark bits"
need in_gateway ip rule add fwmark 1 lookup 5 pref 900
wrong "another's policy rule" "looks at mark bits of Sluice's"

# Another program has the queue.
ip netns exec "$gateway" "$sluice" run --unsupervised --config "$work/sluice.yaml" --set interception.enabled=no \
  --set "control.socket=$work/other.sock" >"$work/other.log" 2>&1 &
other=$!
started+=($other)
wait_for 30 grep -q 'running:' "$work/other.log"
finds "another program has the queue" WRONG "the daemon does not answer"
contains "who has the queue is told" "queue 0: bound by process $other" "$(cat "$work/doctor")"
kill $other
wait $other 2>/dev/null
sluice_up

# ---- The authority ----
chmod 644 "$work/ca.key"
wrong "a key that others may read" "others may read its key"
cp "$work/ca.key" "$work/right.key"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/ca.key" 2>/dev/null
chmod 600 "$work/ca.key"
wrong "a key that is another's" "is not that of"
mv "$work/ca.key" "$work/other.key"
mv "$work/ca.pem" "$work/other.pem"
wrong "no authority" "does not exist"
# Made with a clock that was wrong.
aged() {
  rm -f "$work/ca.key" "$work/ca.pem"
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/ca.key" 2>/dev/null
  chmod 600 "$work/ca.key"
  "$python" - "$work" "$1" "$2" <<'PY'
import subprocess, sys, datetime
work, begin, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
form = lambda days: (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")
open(work + "/ca.cnf", "w").write(f"""
[ca]
default_ca = own
[own]
new_certs_dir = {work}
database = {work}/index
serial = {work}/serial
default_md = sha256
policy = any
x509_extensions = authority
unique_subject = no
[any]
commonName = supplied
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
""")
open(work + "/index", "w").close()
open(work + "/serial", "w").write("01\n")
run = lambda *words: subprocess.run(words, check=True, capture_output=True)
run("openssl", "req", "-new", "-key", work + "/ca.key", "-subj", "/CN=aged", "-out", work + "/ca.csr")
run("openssl", "ca", "-batch", "-selfsign", "-config", work + "/ca.cnf", "-keyfile", work + "/ca.key", "-in", work + "/ca.csr",
    "-startdate", form(begin), "-enddate", form(end), "-notext", "-out", work + "/ca.pem")
PY
}
aged -400 -10
wrong "an authority that is over" "is no longer valid"
aged -10 20
noted "an authority that is over soon" "more; clients must trust the next one"
aged 10 400
finds "an authority of the future" WRONG "this machine's clock is behind"
rm -f "$work/ca.key" "$work/ca.pem"
ca_init

# ---- The rest ----
(
  ulimit -n 1024
  doctor
)
says "descriptors are limited to 1024" && ok "few descriptors are noted" || fail "few descriptors are noted" "$(cat "$work/doctor")"
sed -i "s|^rule-files:.*|rule-files: []|" "$work/sluice.yaml"
finds "no rules" WRONG "no rules are set"
write_config
sluice_kill
before=$(cat "$work/sluice.yaml")
sed -i "s|queues: 1,|queues: 64,|" "$work/sluice.yaml"
finds "more queues than processors" note "capture.queues is 64"
echo "$before" >"$work/sluice.yaml"
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
chmod 644 "$work/sluice.yaml" "$work/test.rules"
in_gateway "${nobody[@]}" "$sluice" doctor --config "$work/sluice.yaml" >"$work/doctor" 2>&1
same "without rights: exit status" 3 $?
says "this needs CAP_NET_ADMIN" && ok "without rights: it is told" || fail "without rights: it is told" "$(cat "$work/doctor")"
need setup down

# ---- A bridge, a tap ----
sed -i "s|mode: router|mode: bridge, bridge: br0|" "$work/sluice.yaml"
finds "no bridge" WRONG "there is no bridge br0"
need in_gateway ip link add br0 type bridge
need in_gateway ip link set br0 up
for port in client0 server0; do need in_gateway ip link set $port master br0; done
in_gateway sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0
finds "frames do not meet the queue" WRONG "net.bridge.bridge-nf-call-iptables is 0"
mends "frames do not meet the queue" "net.bridge.bridge-nf-call-iptables is 0"
need in_gateway ip link set dev client0 mtu 1400
wrong "ports of different width" "client0 carries packets of 1400 octets, server0 of 1500"
sed -i "s|mode: bridge, bridge: br0|mode: tap, interfaces: [client0, nowhere]|" "$work/sluice.yaml"
finds "an interface that is not there" WRONG "interface nowhere is not there"
exit $result
