#!/usr/bin/env bash
# What is inside TLS: inspected with a certificate that the client trusts, as the client and the server see it.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

everything_up 'policy:
  - {action: tunnel, sni: tunnel.origin.test}
  - {action: block, sni: [block.origin.test]}'
head -c 100000000 /dev/urandom >"$work/www/large"
sum=$(sha256sum <"$work/www/large")
issuer() {
  in_client openssl s_client -connect "$1" -servername "$2" </dev/null 2>/dev/null |
    openssl x509 -noout -issuer 2>/dev/null | tr -d ' '
}

for version in 1.2 1.3; do
  same "TLS $version, IPv4: a page passes" "hello from the origin" \
    "$(fetch_tls --tls-max $version --tlsv$version https://www.origin.test/)"
  same "TLS $version, IPv6: a page passes" "hello from the origin" \
    "$(fetch_tls6 --tls-max $version --tlsv$version https://www.origin.test/)"
  expect "TLS $version: the server saw that version and the client's address" \
    grep -q "^$client4 443 TLSv$version " "$work/nginx/access.log"
done
expect "the server saw the client's IPv6 address" grep -q "^$client6 443 TLS" "$work/nginx/access.log"
contains "the certificate is ours" Sluice "$(issuer $server4:443 www.origin.test)"
contains "the certificate is ours, IPv6" Sluice "$(issuer "[$server6]:443" www.origin.test)"
same "a page passes over a name that is an address" "hello from the origin" \
  "$(fetch --cacert "$work/ca.pem" https://$server4/)"

same "IPv4: 100 MB arrive as they were" "$sum" "$(SECONDS_MAX=40 fetch_tls https://www.origin.test/large | sha256sum)"
same "IPv6: 100 MB arrive as they were" "$sum" "$(SECONDS_MAX=40 fetch_tls6 https://www.origin.test/large | sha256sum)"

# attack NAME COMMAND...: the connection breaks off, as one that was cut and not for another reason, and the cut is counted.
cuts=0
cut_is_counted() { [[ $(statistic sluice.interception.cuts) == "$cuts" ]]; }
attack() {
  local name=$1
  shift
  "$@" >"$work/answer" 2>"$work/said"
  # Nothing came; sending failed; receiving failed; HTTP/2 in general, and a stream of it.
  case $? in
    52 | 55 | 56 | 16 | 92) ok "$name" ;;
    *) fail "$name" "$(cat "$work/said" "$work/answer")" ;;
  esac
  cuts=$((cuts + 1))
  wait_for 5 cut_is_counted || fail "$name: it is counted" "$(ctl stats | grep -E ' [1-9]' | grep interception | tr '\n' ' ')"
}
for how in --http1.1 --http2; do
  for family in "" 6; do
    attack "an attack inside TLS ends the connection ($how, IPv${family:-4})" fetch_tls$family $how https://www.origin.test/attack-drop
  done
done
# To a server that waits for the body: one that answers the head at once may have its client send no body at all.
attack "so does one in a body" fetch_tls https://www.origin.test/sink -H Expect: --data-binary "user=x ATTACK-IN-BODY"
head -c 300000 /dev/zero | tr '\0' a >"$work/long"
same "a long body passes" taken "$(fetch_tls https://www.origin.test/sink -H Expect: --data-binary "@$work/long")"
same "all of it arrived" 300000 "$(seen sink | wc -c)"
echo ATTACK-IN-BODY >>"$work/long"
attack "one behind 300 kB of a body does not" fetch_tls https://www.origin.test/sink -H Expect: --data-binary "@$work/long"
refuse "the server got nothing of it" grep -q ATTACK "$work/seen/sink"
refuse "nothing of the attacks is in the server's log" grep -q attack <(seen_by_server)

fetch_tls https://www.origin.test:9443/ 2>/dev/null
within "a server that nobody vouches for is blocked" 60 $(($? == 0 ? 99 : $?))
refuse "it was not asked for anything" grep -q " 9443 " "$work/nginx/access.log"
contains "tunnel: the certificate stays the origin's" OriginTestRoot "$(issuer $server4:443 tunnel.origin.test)"
same "tunnel: a page passes" "hello from the origin" \
  "$(fetch_tls --cacert "$work/origin/root.pem" https://tunnel.origin.test/)"
fetch_tls https://block.origin.test/ 2>/dev/null
within "block: no connection" 60 $(($? == 0 ? 99 : $?))

same "plain HTTP on a port of TLS passes" "hello from the origin" "$(fetch http://$server4:8080/)"
fetch http://$server4:8080/attack-drop 2>/dev/null
within "plain HTTP on a port of TLS is inspected" 60 $(($? == 0 ? 99 : $?))
same "a server that speaks first on a port of TLS" "220 speaks first echo" "$(ask first $server4 2222 echo)"
same "the same, IPv6" "220 speaks first echo" "$(ask first $server6 2222 echo)"
fetch_tls https://www.origin.test:7443/ --resolve "www.origin.test:7443:$server4" 2>/dev/null
same "a closed port is told of" 7 $?

# The last packets of a connection may come late, and make a flow of their own; the port is used again.
in_client "$python" "$here/stray.py" $client4 45000 $server4 443
in_server "$python" "$here/stray.py" $server4 443 $client4 45001
in_client "$python" "$here/stray.py" $client6 45002 $server6 443
for port in 45000 45001; do
  same "a port used again after a stray packet ($port)" "hello from the origin" \
    "$(fetch_tls --local-port $port https://www.origin.test/)"
done
same "the same, IPv6" "hello from the origin" "$(fetch_tls6 --local-port 45002 https://www.origin.test/)"

# Descriptors and memory over many connections.
jobs=
descriptors() { find "/proc/$(worker)/fd" -mindepth 1 | wc -l; }
idle() { [[ $(statistic sluice.interception.active) == 0 ]]; }
expect "no connection is left" wait_for 10 idle
before=$(descriptors)
urls=$(for _ in $(seq 250); do echo "url=https://www.origin.test/"; done)
for _ in 1 2 3 4; do
  { echo "$urls"; } | in_client curl -s --max-time 50 --cacert "$work/ca.pem" -H "Connection: close" --http1.1 \
    --resolve "www.origin.test:443:$server4" -o /dev/null -w '%{http_code} %{num_connects}\n' -K - &
  jobs+=" $!"
done >"$work/codes"
# shellcheck disable=SC2086
wait $jobs
same "1,000 connections are answered" 1000 "$(grep -c "^200 1" "$work/codes")"
expect "none of them is left" wait_for 10 idle
within "no descriptor is left of them" "$before" "$(descriptors)"

sluice_down
same "the daemon ends with 0" 0 "$status"
inside='.dest_port == 443 and .sluice.decrypted == true and .sluice.sni == "www.origin.test"'
expect "an alert from inside TLS bears the facts of it" has_event \
  "$inside and .event_type == \"alert\" and .alert.signature_id == 1 and .alert.action == \"blocked\" and .sluice.version == \"TLS 1.3\" and .sluice.decision == \"inspect\""
expect "TLS 1.2 is told apart" has_event "$inside and .event_type == \"http\" and .sluice.version == \"TLS 1.2\""
expect "a drop record too" has_event "$inside and .event_type == \"drop\" and .alert.signature_id == 4"
expect "the cut is told of" has_event '.event_type == "sluice" and .sluice.step == "cut"'
expect "the untrusted server is told of" has_event '.event_type == "sluice" and .sluice.step == "upstream_untrusted"'
expect "the tunnel is told of, and whose decision it was" has_event \
  '.event_type == "sluice" and .sluice.step == "decided" and (.sluice.reason | startswith("tunnel")) and (.sluice.decision_reason | endswith("policy entry 1 (tunnel.origin.test)"))'
expect "the block is told of" has_event '.event_type == "sluice" and (.sluice.reason | startswith("block")) and .sluice.sni == "block.origin.test"'
refuse "nothing inside the tunnel is read" has_event '.event_type == "http" and .http.hostname == "tunnel.origin.test"'
refuse "what is inside has no packet headers" has_event '.event_type == "alert" and .alert.signature_id == 10'
expect "the plain attack is no decrypted one" has_event \
  '.event_type == "alert" and .dest_port == 8080 and .alert.signature_id == 1 and (.sluice.decrypted | not)'
expect "alerts inside TLS are counted" has_event \
  ".event_type == \"stats\" and .stats.detect.alert >= $cuts and .sluice.interception.cuts == $cuts"
exit $result
