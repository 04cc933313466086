#!/usr/bin/env bash
# What a client that accepts no certificate of ours comes to: it is left alone once it has come again and again, not when it
# has come many times at once; that outlives the daemon, and can be forgotten.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

network_up
origin_certificates
write_rules
write_config
file=$work/learned/bypasses
sed -i "s|^  drain-timeout:.*|  drain-timeout: 3\n  learning: {file: $file, refusals: 3}|" "$work/sluice.yaml"
ca_init
nginx_up
need setup up
sluice_up

# Trusts the origin's authority alone, as an app does that pins its server's certificate.
pinned() { fetch --cacert "$work/origin/root.pem" --resolve "www.origin.test:443:$server4" https://www.origin.test/ 2>/dev/null; }
at_once() {
  local number pids=
  for number in $(seq "$1"); do
    pinned >"$work/at-once.$number" &
    pids+=" $!"
  done
  # shellcheck disable=SC2086
  wait $pids
  cat "$work"/at-once.*
}
learned() { in_gateway "$sluice" policy learned --config "$work/sluice.yaml"; }
is_kept() { grep -q www.origin.test "$file"; }

same "a client that refuses ours gets nothing" "" "$(pinned)"
sleep 1.2
same "eight connections at once get nothing" "" "$(at_once 8)"
contains "they count once" "www.origin.test counting refusals=2" "$(learned)"
sleep 1.2
same "the third time it gets nothing either" "" "$(pinned)"
contains "then it is learned" "www.origin.test tunnelled until=" "$(learned)"
same "and left alone" "hello from the origin" "$(pinned)"
same "others are inspected" "hello from the origin" "$(fetch_tls6 https://www.origin.test/)"
expect "it is told of" wait_for 5 has_event '.event_type == "sluice" and .sluice.step == "bypass_learned"'
expect "it is kept" wait_for 5 is_kept
same "for nobody else to read" 600 "$(stat -c %a "$file")"

sluice_down
same "the daemon ends with 0" 0 "$status"
printf 'active\tfor ever\t\x1b[2J\n' >>"$file"
sed -n 's/^active\t[0-9][0-9]*/active\t1700000000/p' "$file" | sed 's/www/gone/' >>"$file"
sluice_up
same "what was learned outlives the daemon" "hello from the origin" "$(pinned)"
expect "a line that is no entry is told of" grep -q "$file: 1 lines are no entries and are left out, line 3 first" "$work/sluice.log"
same "and counted" 1 "$(statistic sluice.interception.learned_bad_lines)"
same "what has run out is dropped" "1 1" "$(statistic sluice.interception.learned_expired) $(learned | wc -l)"

# Killed, it has what it had a second before.
need in_gateway "$sluice" policy forget all --config "$work/sluice.yaml"
same "forgotten, it is inspected again" "" "$(pinned)"
is_empty() { ! is_kept; }
expect "and forgotten in the file" wait_for 5 is_empty
sluice_kill
chmod 666 "$file"
sluice_up
expect "a file that others could write is not believed" grep -q "can't be read: others could have written it" "$work/sluice.log"
sluice_down
exit $result
