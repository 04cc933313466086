#!/usr/bin/env bash
# The explicit face: clients name their server by CONNECT, absolute URIs and SOCKS; all else is as on a gateway.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

everything_up 'policy:
  - {action: tunnel, sni: tunnel.origin.test}'
sluice_down
# The proxy looks names up; `ip netns exec` puts this file in the place of /etc/hosts.
mkdir -p "/etc/netns/$gateway"
printf '%s www.origin.test tunnel.origin.test\n%s six.origin.test\n' $server4 $server6 >"/etc/netns/$gateway/hosts"
proxy=10.10.1.1:3128
refuse "a place that is none" in_gateway "$sluice" run --config "$work/sluice.yaml" \
  --set interception.explicit.listen.0=here
contains "it is named" "interception.explicit.listen: here" "$(cat "$work/said")"
sluice_up --set interception.explicit.listen.0=$proxy --set "interception.explicit.listen.1=[fd00:10:1::1]:3128" \
  --set interception.explicit.clients.0=10.10.1.0/24 --set interception.explicit.clients.1=fd00:10:1::2 \
  --set interception.connect-timeout=3

for way in http socks4 socks5; do
  through() { fetch_tls --proxy "$way://$proxy" "$@"; }
  same "$way: a page inside TLS" "hello from the origin" "$(through https://www.origin.test/)"
  same "$way: a page in the clear" "hello from the origin" "$(through http://$server4/)"
  through https://www.origin.test/attack-drop 2>/dev/null
  within "$way: an attack inside TLS is blocked" 92 $(($? == 0 ? 99 : $?))
  through http://$server4/attack-drop 2>/dev/null
  within "$way: one in the clear too" 92 $(($? == 0 ? 99 : $?))
  refuse "$way: neither reached the server" grep -q attack-drop "$work/nginx/access.log"
done
same "an IPv6 server" "hello from the origin" "$(fetch --proxy http://$proxy http://six.origin.test/)"
same "an IPv6 client" "hello from the origin" "$(fetch --proxy "http://[fd00:10:1::1]:3128" "http://[$server6]/")"
same "by SOCKS, the address as such" "hello from the origin" "$(fetch --proxy socks5://$proxy "http://[$server6]/")"
same "policy decides here too" "hello from the origin" \
  "$(fetch_tls --cacert "$work/origin/root.pem" --proxy http://$proxy https://tunnel.origin.test/)"
same "two requests over what would be one connection" "200 200 " \
  "$(fetch --proxy http://$proxy -o /dev/null -o /dev/null -w '%{http_code} ' http://$server4/ http://$server4/1k)"
head -c 3000000 /dev/urandom >"$work/long"
same "a body to the server arrives" taken \
  "$(fetch_tls --proxy http://$proxy https://www.origin.test/sink -H Expect: --data-binary "@$work/long")"
same "all of it" 3000000 "$(seen sink | wc -c)"

# What can't be had is told in the words of the protocol.
code() { fetch -o /dev/null -w '%{http_connect} %{http_code}' --proxy "$@" 2>/dev/null; }
same "a closed port" "502 000" "$(code http://$proxy https://$server4:7443/)"
same "a closed port, in the clear" "000 502" "$(code http://$proxy http://$server4:7443/)"
same "a name that is none" "502 000" "$(code http://$proxy https://nowhere.invalid/)"
same "the gateway's own loopback" "403 000" "$(code http://$proxy https://127.0.0.1:22/)"
same "the proxy itself" "403 000" "$(code http://$proxy https://$proxy/)"
fetch --proxy socks5://$proxy http://$server4:7443/ 2>"$work/said"
contains "SOCKS 5: a closed port" "(5)" "$(cat "$work/said")"
same "no request for a proxy" 400 "$(fetch -o /dev/null -w '%{http_code}' http://$proxy/ 2>/dev/null)"
need ip -n "$client" address add 10.10.1.99/24 dev eth0
need ip -n "$client" -6 address add fd00:10:1::99/64 dev eth0 nodad
fetch --interface fd00:10:1::99 --proxy "http://[fd00:10:1::1]:3128" "http://[$server6]/" 2>/dev/null
within "a client that may not" 56 $(($? == 0 ? 99 : $?))
same "it was counted" 1 "$(statistic sluice.explicit.clients_refused)"

idle() { [[ $(statistic sluice.interception.active) == 0 ]]; }
expect "no connection is left" wait_for 10 idle
descriptors() { find "/proc/$daemon/fd" -mindepth 1 | wc -l; }
before=$(descriptors)
for _ in 1 2 3 4 5 6 7 8; do
  for _ in $(seq 25); do fetch -o /dev/null --proxy http://$proxy http://$server4/1k & done 2>/dev/null
  wait $(jobs -rp | grep -vxF -e "$daemon" "${started[@]/#/-e}")
done 2>/dev/null
granted() { [[ $(statistic sluice.explicit.granted) -ge 200 ]]; }
expect "200 connections, 25 at a time" granted
expect "no connection is left" wait_for 10 idle
same "no descriptor is left" "$before" "$(descriptors)"
sluice_down
same "the daemon ends with 0" 0 "$status"
expect "an alert inside TLS names client and server" has_event \
  ".event_type == \"alert\" and .alert.signature_id == 1 and .src_ip == \"$client4\" and .dest_ip == \"$server4\" and .sluice.decrypted == true and .sluice.sni == \"www.origin.test\""
exit $result
