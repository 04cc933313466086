#!/usr/bin/env bash
# HTTP/2 frame by frame: WebSockets in streams (RFC 8441), gRPC, and drops that take one stream out of a connection.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

everything_up
sluice_down
cat >>"$work/test.rules" <<'RULES'
drop websocket any any -> any any (msg:"E2E dropped frame"; flow:established,to_server; websocket.payload; content:"ATTACK-IN-SOCKET"; sid:30; rev:1;)
RULES
in_server "$python" "$here/h2peer.py" serve 9444 "$work/origin/server.pem" "$work/origin/server.key" "$work/seen/h2" &
started+=($!)
wait_for 10 listens "$server" 9444 || fail "preparation" "h2peer.py"
h2() { ADDRESS=$server4 in_client "$python" "$here/h2peer.py" ask www.origin.test 9444 "$work/ca.pem" "$@"; }

for way in connection stream; do
  : >"$work/seen/h2"
  sluice_up --set interception.http2-drop=$way
  same "$way: a WebSocket in a stream" "200 open hello again" "$(h2 websocket hello again)"
  contains "$way: an attack in a frame is blocked" "200 $([[ $way == stream ]] && echo 'reset 8' || echo lost) first" \
    "$(h2 websocket first ATTACK-IN-SOCKET)"
  refuse "$way: it did not reach the server" grep -q ATTACK-IN-SOCKET "$work/seen/h2"
  same "$way: its benign twin passes" "200 open first attack-in-socket" "$(h2 websocket first attack-in-socket)"
  told() { has_event '.event_type == "alert" and .alert.signature_id == 30 and .alert.action == "blocked"'; }
  expect "$way: the event tells of it" wait_for 5 told
  one=$(printf '\0\0\0\0\3one\0\0\0\0\3two' | tr -d '\0')
  same "$way: gRPC passes unharmed" "1 200 done $one 0" "$(h2 grpc one two | tr -d '\0')"
  sluice_down
done

# ---- A stream is cut, the others go on ----
sluice_up --set interception.http2-drop=stream
: >"$work/seen/h2"
same "one request of four is an attack" "1 200 done page of /one
3 403 done 
5 200 done page of /two
7 200 done page of /one
101 200 done page of /after" "$(h2 streams /one /attack-drop /two /one | sed 's/ $//; s/ *$//' | sed 's/^3 403 done$/3 403 done /')"
refuse "it did not reach the server" grep -q attack-drop "$work/seen/h2"
: >"$work/seen/h2"
said=$(h2 upload good "xx ATTACK-IN-BODY xx" more)
contains "an attack in an upload" "1 403" "$said"
contains "the other upload is done" "3 200 done page of /other" "$said"
refuse "neither it nor what follows reached the server" grep -q -e ATTACK-IN-BODY -e more "$work/seen/h2"
expect "the server was told" grep -q "reset 1" "$work/seen/h2"
said=$(h2 streams /one /bad /two)
contains "an attack in an answer" "3 200 reset 8 begins" "$said"
contains "the others arrive" "5 200 done page of /two" "$said"
contains "and those after it" "101 200 done page of /after" "$said"
refuse "nothing of it arrived" grep -q ATTACK <<<"$said"
same "the streams are counted" 3 "$(statistic sluice.interception.streams_cut)"
cut_told() { has_event '.sluice.step == "stream_cut" and (.sluice.reason | contains("sid 1"))'; }
expect "and told" wait_for 5 cut_told
same "an ordinary client sees 403" "403" "$(fetch_tls --http2 https://www.origin.test/attack-drop -o /dev/null -w '%{http_code}')"
same "and goes on over the same connection" "200 403 200 1" "$(fetch_tls --http2 https://www.origin.test/ https://www.origin.test/attack-drop \
  https://www.origin.test/1k -o /dev/null -o /dev/null -o /dev/null -w '%{http_code} %{num_connects} ' | awk '{print $1, $3, $5, $2 + $4 + $6}')"
cp "$work/nginx/access.log" "$work/before"
head -c 3000000 /dev/urandom >"$work/www/long"
sum=$(sha256sum <"$work/www/long")
urls=()
for place in 1 2 3 4 5 6 7 8; do
  urls+=("https://www.origin.test/long" -o "$work/long.$place" "https://www.origin.test/attack-drop?$place" -o /dev/null)
done
SECONDS_MAX=60 fetch_tls --http2 --parallel --parallel-immediate "${urls[@]}" 2>/dev/null
same "eight long answers between eight attacks arrive whole" "8 $sum" \
  "$(for place in 1 2 3 4 5 6 7 8; do sha256sum <"$work/long.$place"; done | sort | uniq -c | sed 's/^ *//')"
refuse "no attack reached the server" grep -q attack-drop "$work/nginx/access.log"
idle() { [[ $(statistic sluice.interception.active) == 0 ]]; }
expect "no connection is left" wait_for 10 idle
sluice_down
same "the daemon ends with 0" 0 "$status"
exit $result
