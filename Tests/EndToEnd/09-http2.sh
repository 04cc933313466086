#!/usr/bin/env bash
# HTTP/2: within TLS end to end, and in the clear as packets; attacks in its streams, and what must stay unharmed.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

everything_up
cat >>"$work/test.rules" <<'RULES'
drop http any any -> any any (msg:"E2E dropped header"; flow:established,to_server; http.request_header; content:"x-test|3a| ATTACK-IN-HEADER"; sid:20; rev:1;)
alert http2 any any -> any any (msg:"E2E noticed frame"; http2.frametype:HEADERS; sid:21; rev:1;)
RULES
need ctl reload
"$python" "$here/coded.py" "$work/www"
head -c 100000000 /dev/urandom >"$work/www/large"
sum=$(sha256sum <"$work/www/large")
origin=https://www.origin.test
version() { fetch_tls "$@" -o "$work/page" -w '%{http_version}'; }
# dropped NAME COMMAND...: the request fails, and the page does not end.
dropped() {
  local name=$1 status
  shift
  "$@" >"$work/page" 2>/dev/null
  status=$?
  within "$name" 92 $((status == 0 ? 99 : status))
  refuse "$name: the end does not arrive" grep -q THE-END "$work/page"
}

same "HTTP/2 is agreed on with both sides" 2 "$(version --http2 $origin/)"
same "the page is the server's" "hello from the origin" "$(cat "$work/page")"
expect "the server saw HTTP/2" grep -q '"GET / HTTP/2.0"' "$work/nginx/access.log"
same "HTTP/2, IPv6" 2 "$(fetch_tls6 --http2 $origin/ -o /dev/null -w '%{http_version}')"
same "a client without HTTP/2 gets HTTP/1.1" 1.1 "$(version --http1.1 $origin/)"
same "TLS 1.2 too" 2 "$(version --http2 --tls-max 1.2 $origin/)"
same "100 MB arrive as they were" "$sum" "$(SECONDS_MAX=40 fetch_tls --http2 $origin/large | sha256sum)"

dropped "an attack in the target" fetch_tls --http2 $origin/attack-drop
dropped "an attack in a header" fetch_tls --http2 $origin/ -H "X-Test: ATTACK-IN-HEADER"
same "its benign twin passes" "hello from the origin" "$(fetch_tls --http2 $origin/ -H "X-Test: attack-in-header")"
head -c $((16384 - 7)) /dev/zero | tr '\0' a >"$work/body"
echo -n ATTACK-IN-BODY >>"$work/body"
head -c 100000 /dev/zero | tr '\0' b >>"$work/body"
dropped "an attack across DATA frames of a request" fetch_tls --http2 $origin/sink -H Expect: --data-binary "@$work/body"
refuse "the server got nothing of it" grep -q ATTACK "$work/seen/sink"
sed -i s/ATTACK/attack/ "$work/body"
same "its benign twin passes" taken "$(fetch_tls --http2 $origin/sink -H Expect: --data-binary "@$work/body")"
for ending in "" .gz .br .zst; do
  dropped "an attack in a response${ending:+ coded as $ending}" fetch_tls --http2 "$origin/attack$ending"
  fetch_tls --http2 "$origin/benign$ending" >"$work/page"
  same "its benign twin passes as it was" "$(sha256sum <"$work/www/benign$ending")" "$(sha256sum <"$work/page")"
done

# Many streams of one connection at a time.
urls=()
for number in $(seq 40); do urls+=("$origin/1k?$number" -o "$work/many.$number"); done
SECONDS_MAX=30 fetch_tls --http2 --parallel --parallel-max 40 "${urls[@]}"
same "forty streams of one connection" 40 "$(sha256sum "$work"/many.* | grep -c "$(sha256sum <"$work/www/1k" | cut -c1-64)")"
# gRPC: POST with trailers asked for, a binary body, HTTP/2 only.
printf '\0\0\0\0\005hello' >"$work/grpc"
same "a call in the manner of gRPC" "taken 2" \
  "$(fetch_tls --http2 $origin/sink -H Expect: -H "Content-Type: application/grpc" -H "TE: trailers" --data-binary "@$work/grpc" -w ' %{http_version}')"

# In the clear, as packets.
same "HTTP/2 in the clear passes" "hello from the origin" "$(fetch --http2-prior-knowledge http://$server4:8090/)"
dropped "an attack in it" fetch --http2-prior-knowledge --max-time 3 http://$server4:8090/attack-drop
dropped "an attack in its response" fetch --http2-prior-knowledge --max-time 3 http://$server4:8090/attack
same "HTTP/2 by upgrade passes" "hello from the origin" "$(fetch --http2 http://$server4:8090/ 2>/dev/null || fetch http://$server4/)"

sluice_down
same "the daemon ends in order" 0 "$status"
inside='.sluice.decrypted == true and .sluice.alpn == "h2"'
expect "alerts name the stream" has_event \
  "$inside and .event_type == \"alert\" and .alert.signature_id == 20 and .alert.action == \"blocked\" and .http.version == \"2\" and .http.http2.stream_id == 1"
expect "a drop record too" has_event "$inside and .event_type == \"drop\" and .alert.signature_id == 8"
expect "HTTP/2 in the clear has the same records" has_event \
  '.event_type == "alert" and .alert.signature_id == 1 and .dest_port == 8090 and .app_proto == "http2" and .http.url == "/attack-drop"'
expect "keywords of HTTP/2 match" has_event "$inside and .alert.signature_id == 21"

# Settings.
sluice_up --set interception.block-page=yes
same "a page tells of the block" 403 "$(fetch_tls --http2 $origin/attack-drop -o "$work/page" -w '%{http_code}' 2>/dev/null)"
expect "it names the rule" grep -q "sid 1" "$work/page"
sluice_down
sluice_up --set interception.http2=no
same "HTTP/2 can be switched off" 1.1 "$(version --http2 $origin/)"
sluice_down
exit $result
