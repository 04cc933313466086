#!/usr/bin/env bash
# New rules and a new policy under traffic: nothing fails, what is wrong changes nothing, memory stays.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

everything_up
# Enough rules for a reload to take a while.
cp "$repository"/rules/*.config "$work"
sed -i "s|^rule-files:.*|rule-files: [$work/test.rules, $repository/rules]|" "$work/sluice.yaml"

reloads() { [[ $(statistic sluice.rules.reloads) -ge $1 ]]; }
expect "reload" ctl reload
contains "it says how many rules there are" "rules in force" "$(cat "$work/said")"

# Lines are written one by one: curl, ended in the midst, keeps what it gathered.
# Requests all the time, plain ones over open connections and ones inside TLS over new ones.
load() {
  local file=$1
  shift
  in_client timeout 8 stdbuf -oL curl -sS -o /dev/null -w '%{http_code}\n' --cacert "$work/ca.pem" \
    --resolve "www.origin.test:443:$server4" "$@" >>"$file" 2>&1 &
  loads+=($!)
}
loads=()
load "$work/plain" "http://$server4/1k?[1-10000000]"
load "$work/encrypted" "https://www.origin.test/1k?[1-10000000]"
load "$work/encrypted" --no-keepalive -H "Connection: close" "https://www.origin.test/1k?[1-10000000]"
for round in 1 2 3; do
  expect "reload under load, $round" ctl reload
done
kill -HUP "$daemon"
expect "SIGHUP reloads" wait_for 20 reloads 5
echo 'drop http any any -> any any (msg:"E2E new"; flow:established,to_server; http.uri; content:"/new-attack"; sid:20;)' >>"$work/test.rules"
same "before the reload the new rule is not in force" 404 \
  "$(fetch -o /dev/null -w '%{http_code}' http://$server4/new-attack)"
expect "reload with a new rule" ctl reload
fetch_tls https://www.origin.test/new-attack 2>/dev/null
within "the new rule is in force inside TLS" 92 $(($? == 0 ? 99 : $?))
SECONDS_MAX=1 fetch http://$server4/new-attack 2>/dev/null
same "and outside" 28 $?
wait "${loads[@]}"
for kind in plain encrypted; do
  same "no request failed ($kind)" "" "$(grep -v '^200$' "$work/$kind" | sort | uniq -c)"
  within "there were requests ($kind)" "$(grep -c '^200$' "$work/$kind")" 100
done

# What is wrong is refused; what was in force stays.
cp "$work/test.rules" "$work/good.rules"
loaded=$(statistic sluice.rules.loaded)
echo 'drop http any any -> any any (msg:"E2E broken"; http.uri; content:"/x; sid:21;)' >>"$work/test.rules"
ctl reload >"$work/said" 2>&1
same "a broken rule: exit status" 1 $?
contains "a broken rule: file and line are told" "test.rules:$(wc -l <"$work/test.rules"):" "$(cat "$work/said")"
contains "a broken rule: that the old ones stay is told" "the old rules stay" "$(cat "$work/said")"
same "a broken rule: one line" 1 "$(wc -l <"$work/said")"
same "a broken rule: as many rules as before" "$loaded" "$(statistic sluice.rules.loaded)"
same "a broken rule: the old rules work" 56 "$(SECONDS_MAX=5 fetch http://$server4/attack-reject 2>/dev/null; echo $?)"
cp "$work/good.rules" "$work/test.rules"
mv "$work/test.rules" "$work/away.rules"
ctl reload >"$work/said" 2>&1
same "a missing file: exit status" 1 $?
contains "a missing file is named" "$work/test.rules" "$(cat "$work/said")"
mv "$work/away.rules" "$work/test.rules"
cp "$work/sluice.yaml" "$work/good.yaml"
echo 'capture-mode: [' >>"$work/sluice.yaml"
in_gateway "$sluice" ctl reload --socket "$work/control.sock" >"$work/said" 2>&1
same "a broken configuration: exit status" 1 $?
contains "a broken configuration is named" sluice.yaml "$(cat "$work/said")"
cp "$work/good.yaml" "$work/sluice.yaml"

# The policy comes along.
same "before the new policy" "hello from the origin" "$(fetch_tls https://block.origin.test/)"
echo 'policy: [{action: block, sni: block.origin.test}]' >>"$work/sluice.yaml"
expect "reload with a policy" ctl reload
fetch_tls https://block.origin.test/ 2>/dev/null
within "the new policy is in force" 60 $(($? == 0 ? 99 : $?))

# Memory: the allocator keeps some, but it does not grow with each reload.
resident() { awk '/^VmRSS/ {print $2}' "/proc/$(worker)/status"; }
for _ in 1 2 3; do ctl reload >/dev/null; done
SECONDS_MAX=5 fetch http://$server4/ >/dev/null
before=$(resident)
failed=0
for _ in $(seq 20); do
  ctl reload >/dev/null 2>&1 || failed=$((failed + 1))
  fetch http://$server4/ >/dev/null || failed=$((failed + 1))
done
same "20 reloads in a row" 0 $failed
within "memory after them (kB, was $before)" $((before * 13 / 10 + 4096)) "$(resident)"
sluice_down
same "the daemon ends with 0" 0 "$status"
exit $result
