#!/usr/bin/env bash
# TLS within TLS: a proxy that is itself spoken to by TLS, CONNECT inside, and TLS to the server behind it.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

everything_up 'policy:
  - {action: tunnel, sni: tunnel.origin.test}'
in_server "$python" "$here/tlsproxy.py" 7443 "$work/origin/server.pem" "$work/origin/server.key" &
started+=($!)
wait_for 10 listens "$server" 7443 || fail "preparation" "tlsproxy.py"
through() {
  in_client curl -sS --max-time "${SECONDS_MAX:-10}" --proxy https://www.origin.test:7443 --proxy-cacert "$work/ca.pem" \
    --cacert "$work/ca.pem" --resolve "www.origin.test:7443:$server4" "$@"
}
same "a page inside TLS inside TLS" "hello from the origin" "$(through https://www.origin.test/)"
same "HTTP/2 inside" 2 "$(through --http2 https://www.origin.test/ -o /dev/null -w '%{http_version}')"
through https://www.origin.test/attack-drop 2>/dev/null
within "an attack in there is blocked" 92 $(($? == 0 ? 99 : $?))
refuse "it did not reach the server" grep -q attack-drop "$work/nginx/access.log"
blocked() { has_event '.event_type == "alert" and .alert.signature_id == 1 and .alert.action == "blocked" and .sluice.decrypted == true and .sluice.sni == "www.origin.test"'; }
expect "the event tells of it" wait_for 5 blocked
counted() { [[ $(statistic sluice.interception.layers) -ge 3 ]]; }
expect "the layers are counted" wait_for 5 counted
same "policy leaves what is inside alone by its own name" "hello from the origin" \
  "$(through --cacert "$work/origin/root.pem" https://tunnel.origin.test/)"
head -c 5000000 /dev/urandom >"$work/long"
same "a body to the server arrives" taken "$(through https://www.origin.test/sink -H Expect: --data-binary "@$work/long")"
same "all of it" "$(sha256sum <"$work/long")" "$(seen sink | sha256sum)"
: >"$work/seen/sink"
# A ClientHello as a file: what HTTP carries is none.
printf '\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03' >"$work/hello"
head -c 100 /dev/zero >>"$work/hello"
before=$(statistic sluice.interception.layers)
same "a file that begins like a hello is sent" taken \
  "$(fetch_tls --http1.1 https://www.origin.test/sink -H 'Expect: 100-continue' --data-binary "@$work/hello")"
same "as it is" "$(sha256sum <"$work/hello")" "$(seen sink | sha256sum)"
same "and opens nothing" "$before" "$(statistic sluice.interception.layers)"
idle() { [[ $(statistic sluice.interception.active) == 0 ]]; }
expect "no connection is left" wait_for 10 idle
sluice_down

sluice_up --set interception.layers=1
refuse "beyond the limit the connection is cut" through https://www.origin.test/
limited() { [[ $(statistic sluice.interception.layer_limit) == 1 ]] && has_event '.sluice.step == "layer_limit"'; }
expect "that is counted and told" wait_for 5 limited
sluice_down
sluice_up --set interception.layers=1 --set interception.layer-limit=pass
same "or what is inside stays encrypted" "hello from the origin" \
  "$(through --cacert "$work/origin/root.pem" https://www.origin.test/)"
sluice_down
same "the daemon ends with 0" 0 "$status"
exit $result
