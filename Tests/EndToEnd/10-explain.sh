#!/usr/bin/env bash
# What explains rules to those who write them: keywords, rules explain, eval --explain, rules diff, check, completion.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

# One connection with one request.
"$python" - "$work/one.pcap" <<'PY'
import socket, struct, sys

def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

client, server = socket.inet_aton("10.0.0.10"), socket.inet_aton("192.168.0.80")
out = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
sequence = {True: 1000, False: 5000}

def send(from_client, flags, data=b""):
    global out
    ends = (client, server) if from_client else (server, client)
    ports = (40000, 80) if from_client else (80, 40000)
    head = lambda total: struct.pack("!HHIIBBHHH", *ports, sequence[from_client], sequence[not from_client] if flags & 16 else 0,
                                     0x50, flags, 65535, total, 0)
    pseudo = ends[0] + ends[1] + struct.pack("!BBH", 0, 6, 20 + len(data))
    segment = head(checksum(pseudo + head(0) + data)) + data
    ip = lambda total: struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(segment), 1, 0x4000, 64, 6, total, *ends)
    packet = ip(checksum(ip(0))) + segment
    out += struct.pack("<IIII", 1700000000, 0, len(packet), len(packet)) + packet
    sequence[from_client] += len(data) + (1 if flags & 3 else 0)

send(True, 2); send(False, 18); send(True, 16)
send(True, 24, b"GET /view?id=7 HTTP/1.1\r\nHost: a.example\r\n\r\n"); send(False, 16)
send(False, 24, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); send(True, 16)
send(True, 17); send(False, 17); send(True, 16)
open(sys.argv[1], "wb").write(out)
PY
cat >"$work/a.rules" <<'RULES'
alert http any any -> any any (msg:"view"; flow:established,to_server; http.uri; content:"/view"; startswith; sid:1;)
alert http any any -> any any (msg:"other"; flow:established,to_server; http.method; content:"GET"; http.uri; content:"/other"; sid:2;)
RULES
sed 's/^alert\(.*"view"\)/drop\1/; s/"\/other"/"id="/' "$work/a.rules" >"$work/b.rules"
cat >"$work/bad.rules" <<'RULES'
alert http any any -> any any (msg:"a"; http.urii; content:"x"; sid:1;)
RULES

# keywords
same "keywords: each line has a keyword" "$("$sluice" keywords --json | jq length)" "$("$sluice" keywords | wc -l)"
same "keywords NAME tells of another name too" "http.user_agent" "$("$sluice" keywords http.user_agent --json | jq -r '.[0].name')"
expect "docs/keywords.md is current" cmp <("$sluice" keywords --markdown) "$repository/docs/keywords.md"
"$sluice" keywords http.urii >"$work/out" 2>"$work/error"
same "keywords, no such keyword: exit status" 1 $?
contains "keywords, no such keyword: the near one" "did you mean http.uri?" "$(cat "$work/error")"

# rules explain
"$sluice" rules explain -r "$work/a.rules" 2 --json >"$work/explain.json"
same "rules explain: exit status" 0 $?
same "rules explain: buffers in order" "http.method http.uri" "$(jq -r '.[0].buffers | map(.name) | join(" ")' "$work/explain.json")"
same "rules explain: the fast pattern" "/other" "$(jq -r '.[0].groups[0].fast_pattern.literal' "$work/explain.json")"
same "rules explain: when" "app transaction" "$(jq -r '.[0].type' "$work/explain.json")"
contains "rules explain, a rule as text" "packet payload" "$("$sluice" rules explain 'alert udp any any -> any any (content:"a"; sid:1;)')"
"$sluice" rules explain -r "$work/a.rules" 3 >/dev/null 2>"$work/error"
same "rules explain, no such rule: exit status" 1 $?

# eval --explain
"$sluice" eval -r "$work/a.rules" --output "$work/out.d" --json --explain 2 "$work/one.pcap" >"$work/trace"
same "eval --explain: exit status" 0 $?
same "eval --explain: the step that failed" 'http.uri content:"/other"' \
  "$(jq -r 'select(.failed) | "\(.failed.buffer) \(.failed.step)"' "$work/trace")"
same "eval --explain: what held" 'http.method: content:"GET"' "$(jq -r 'select(.failed) | .held[0]' "$work/trace")"
same "eval --explain: a match" true "$("$sluice" eval -r "$work/a.rules" --output "$work/out.d" --json --explain 1 "$work/one.pcap" |
  jq -r 'select(.matched != null) | .matched')"
"$sluice" eval -r "$work/a.rules" --output "$work/plain.d" --json "$work/one.pcap" >/dev/null
expect "eval --explain: the same records" cmp "$work/plain.d/eve.json" "$work/out.d/eve.json"
"$sluice" eval -r "$work/a.rules" --output "$work/out.d" --explain 3 "$work/one.pcap" >/dev/null 2>"$work/error"
same "eval --explain, no such rule: exit status" 1 $?

# rules diff
"$sluice" rules diff "$work/a.rules" "$work/a.rules" "$work/one.pcap" >"$work/out"
same "rules diff, the same rules: exit status" 0 $?
"$sluice" rules diff "$work/a.rules" "$work/b.rules" "$work/one.pcap" --json >"$work/diff.json"
same "rules diff, others: exit status" 1 $?
same "rules diff: what is new, changed and would be dropped" "2 1 0 1" \
  "$(jq -r '"\(.new[0].sid) \(.changed[0].sid) \(.before.would_be_drops) \(.after.would_be_drops)"' "$work/diff.json")"

# check
"$sluice" check -r "$work/bad.rules" >/dev/null 2>"$work/error"
contains "check: place, reason and what was meant" "bad.rules:1:41: error: http.urii: the keyword is not known or not supported (did you mean http.uri?)" \
  "$(cat "$work/error")"
same "check: a caret below the column" 45 "$(awk '/\^/ { print index($0, "^") - 1 }' "$work/error" | head -1)"

# completion
for shell in bash zsh fish; do
  "$sluice" completion $shell >"$work/completion.$shell"
  same "completion $shell: exit status" 0 $?
  contains "completion $shell: knows keywords" http.request_body "$(cat "$work/completion.$shell")"
done
expect "completion bash: bash reads it" bash -n "$work/completion.bash"
for command in run eval check rules "rules test" "rules explain" "rules diff" keywords setup ca ctl completion; do
  # shellcheck disable=SC2086
  expect "help of $command" "$sluice" $command --help
done
exit $result
