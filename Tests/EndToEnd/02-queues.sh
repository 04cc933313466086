#!/usr/bin/env bash
# Several queues: each flow stays with one worker, and all of them get some.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

QUEUE=7 QUEUES=3 TLS=no everything_up
count=60
for host in "$server4" "[$server6]"; do
  seq $count | in_client xargs -P 8 -I @ curl -sS --max-time 10 -o /dev/null "http://$host/?@" 2>"$work/errors"
  same "$host: no request fails" "" "$(cat "$work/errors")"
  SECONDS_MAX=5 fetch "http://$host/attack-reject" 2>/dev/null
  same "$host: attacks are stopped" 56 $?
done
# Number, ..., last packet's identifier.
used=$(in_gateway awk '$8 > 20 {print $1}' /proc/net/netfilter/nfnetlink_queue | sort -n | tr '\n' ' ')
same "every queue is used" "7 8 9 " "$used"
sluice_down
same "the daemon ends with 0" 0 "$status"
same "one request record for each connection" $((2 * count)) "$(count_events '.event_type == "http" and .http.status == 200')"
same "one flow record for each connection" $((2 * count + 2)) "$(count_events '.event_type == "flow" and .dest_port == 80')"
same "each flow's record has both directions" 0 \
  "$(count_events '.event_type == "flow" and .dest_port == 80 and (.flow.pkts_toserver == 0 or .flow.pkts_toclient == 0)')"
exit $result
