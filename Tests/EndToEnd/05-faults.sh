#!/usr/bin/env bash
# What is wrong is told in one line, with the right exit status, and nothing stays half set up.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

network_up
origin_certificates
write_rules
write_config
ca_init

# What a failed start could leave.
state() {
  in_gateway iptables-save | grep -v '^#'
  in_gateway ip6tables-save | grep -v '^#'
  in_gateway ip rule
  in_gateway ip -6 rule
  in_gateway ss -Hltn
  in_gateway cat /proc/net/netfilter/nfnetlink_queue | cut -d' ' -f1-8
  ip netns pids "$gateway"
  ls "$work/control.sock" 2>/dev/null
}
state >"$work/before"

# fails NAME STATUS PART COMMAND...: what it says on standard error is one line with PART in it.
fails() {
  local name=$1 wanted=$2 part=$3 got
  shift 3
  timeout 20 ip netns exec "$gateway" "$@" >"$work/out" 2>"$work/error"
  got=$?
  same "$name: exit status" "$wanted" $got
  contains "$name: says so" "$part" "$(cat "$work/error")"
  same "$name: in one line" 1 "$(wc -l <"$work/error")"
  # A process that was killed by the time limit may take a moment to go.
  wait_for 2 unchanged || true
  if unchanged; then ok "$name: nothing is left"; else fail "$name: nothing is left" "$(state | diff "$work/before" - | head -5)"; fi
}
unchanged() { diff -q "$work/before" <(state); }
run() { echo "$sluice" run --config "$work/sluice.yaml"; }
edited() { sed "$1" "$work/sluice.yaml" >"$work/edited.yaml"; }
run_edited() { echo "$sluice" run --config "$work/edited.yaml"; }

for verb in run "ctl stats" "setup up" "ca show" check "eval $here/gateway.bash"; do
  # shellcheck disable=SC2086
  fails "$verb, no such configuration" 1 "$work/nowhere.yaml" "$sluice" $verb --config "$work/nowhere.yaml"
done
cp "$work/sluice.yaml" "$work/secret.yaml"
chmod 600 "$work/secret.yaml"
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
fails "an unreadable configuration" 1 "Permission denied" "${nobody[@]}" "$sluice" run --config "$work/secret.yaml"
fails "a folder as configuration" 1 "$work" "$sluice" run --config "$work"
printf 'capture: [\n' >"$work/edited.yaml"
fails "a configuration that is no YAML" 1 edited.yaml $(run_edited)
printf -- '- a\n- b\n' >"$work/edited.yaml"
fails "a configuration that is a list" 1 mapping $(run_edited)
edited 's/fail-open/fail-opne/'
fails "an unknown key of ours" 1 "did you mean capture.fail-open" $(run_edited)
contains "it names file and line" "edited.yaml:10: " "$(cat "$work/error")"
edited 's/mode: router/mode: ruter/'
fails "an unknown mode" 1 "capture.mode" $(run_edited)
edited 's/queues: 1/queues: none/'
fails "a number that is none" 1 "capture.queues must be a number" $(run_edited)
edited 's/listen-port: 8443/listen-port: 99999/'
fails "a port that is none" 1 "interception.listen-port" $(run_edited)
edited 's/HOME_NET: "/HOME_NET: "300.1.1.1,/'
fails "an address that is none" 1 HOME_NET $(run_edited)
fails "--set without a value" 1 "KEY=VALUE" $(run) --set capture.mode
fails "an unknown option" 2 "--frobnicate" "$sluice" run --frobnicate | grep -v 'in one line'
edited "s|test.rules|no.rules|"
fails "a rule file that is not there" 1 "$work/no.rules" $(run_edited)
echo 'alert tcp any any -> any any (msg:"x"; content:"y; sid:1;)' >"$work/broken.rules"
edited "s|test.rules|broken.rules|"
fails "no rule that can be used" 1 "broken.rules:1:" $(run_edited)
edited "s|/ca[.]key|/none.key|"
fails "no authority" 3 "none.key" $(run_edited)
edited "s|origin/root.pem|origin/none.pem|"
fails "an issuer that is not there" 3 "origin/none.pem" $(run_edited)
edited "s|default-log-dir.*|default-log-dir: /proc/nowhere|"
fails "a log folder that cannot be" 3 "/proc/nowhere" $(run_edited)
edited "s|control.sock|nowhere/control.sock|"
fails "a control socket that cannot be" 3 "nowhere/control.sock" $(run_edited)
edited "s|enabled: yes|enabled: no|; s|default-log-dir.*|default-log-dir: /tmp|"
chmod 644 "$work/edited.yaml" "$work/test.rules"
fails "run without root" 3 "root" "${nobody[@]}" $(run_edited)
fails "setup without root" 3 "root" "${nobody[@]}" "$sluice" setup up --config "$work/edited.yaml"
fails "ctl without a daemon" 3 "control.sock" "$sluice" ctl stats --config "$work/sluice.yaml"

# Something else has what we need.
ip netns exec "$gateway" "$python" -c 'import socket, time
s = socket.create_server(("0.0.0.0", 8443)); time.sleep(60)' &
holder=$!
started+=("$holder")
wait_for 10 listens "$gateway" 8443
state >"$work/before"
fails "the listener's port is in use" 3 8443 $(run)
kill "$holder"
wait "$holder" 2>/dev/null
sluice_up
state >"$work/before"
fails "the queue is in use" 3 "queue 0" "$sluice" run --config "$work/sluice.yaml" --set "control.socket=$work/other.sock" --set interception.enabled=no
fails "the control socket is in use" 3 "another daemon" \
  "$sluice" run --config "$work/sluice.yaml" --set capture.first-queue=5 --set interception.enabled=no
expect "the first daemon is still there" ctl stats
sluice_kill
sluice_up
expect "a socket left by a daemon that was killed is no hindrance" ctl stats
sluice_down
same "the daemon ends with 0" 0 "$status"
rm -f "$work/control.sock"
state >"$work/before"

# Captures.
fails "eval, no such capture" 1 "$work/none.pcap" "$sluice" eval --output "$work/out.d" "$work/none.pcap"
echo "no capture at all, just words in a file" >"$work/words"
fails "eval, a file that is no capture" 1 "$work/words" "$sluice" eval --output "$work/out.d" "$work/words"
: >"$work/empty"
fails "eval, an empty file" 1 "$work/empty" "$sluice" eval --output "$work/out.d" "$work/empty"
fails "eval, no such rules" 1 "$work/none.rules" "$sluice" eval --rules "$work/none.rules" --output "$work/out.d" "$work/words"
timeout 20 "$sluice" eval >/dev/null 2>"$work/error"
same "eval without captures: exit status" 2 $?
contains "eval without captures: says so" captures "$(cat "$work/error")"
timeout 20 "$sluice" frobnicate >/dev/null 2>"$work/error"
same "an unknown command: exit status" 2 $?
"$sluice" check --rules "$work/broken.rules" >"$work/out" 2>"$work/error"
same "check, only broken rules: exit status" 1 $?
contains "check: file, line and column are told" "broken.rules:1:" "$(cat "$work/error")"
"$sluice" check --rules "$work/test.rules" --rules "$work/broken.rules" >"$work/out" 2>"$work/error"
same "check, one broken rule: exit status" 0 $?
"$sluice" check --strict --rules "$work/test.rules" --rules "$work/broken.rules" --json >"$work/out" 2>"$work/error"
same "check --strict, one broken rule: exit status" 1 $?
same "check --json says which" "10 1 broken.rules" \
  "$(jq -r '"\(.rules.loaded) \(.rules.refused | length) \(.rules.refused[0].file | split("/") | last)"' "$work/out")"
skip "no NFQUEUE in the kernel" "cannot be had here"
exit $result
