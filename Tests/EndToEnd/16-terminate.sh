#!/usr/bin/env bash
# Sites of our own: TLS ends here with their certificates; requests go on to backends over TCP and unix sockets, in the
# clear and by TLS, inspected on the way. Real clients (curl, openssl), real backends (nginx, python).
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

network_up
origin_certificates
write_rules
nginx_up

# A second authority and name for the sites, and certificates of clients.
cd "$work/origin" || exit 1
make_leaf() { # make_leaf FILE SUBJECT [EXTENSIONS]
  need openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2"
  printf '%s\n' "${3:-}" >"$1.extensions"
  need openssl x509 -req -in "$1.csr" -CA root.pem -CAkey root.key -days 20 -extfile "$1.extensions" -out "$1.pem"
}
make_leaf shop "/CN=shop.test" "subjectAltName=DNS:shop.test"
make_leaf wild "/CN=wild.test" "subjectAltName=DNS:*.wild.test,DNS:wild.test"
make_leaf renewed "/CN=renewed" "subjectAltName=DNS:shop.test"
make_leaf person "/CN=A Person/O=Clients"
need openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout stranger.key -out stranger.pem \
  -days 20 -subj "/CN=Stranger"
cp shop.pem current.pem
cp shop.key current.key
cd - >/dev/null || exit 1

# A backend on a unix socket of the gateway that tells back what it was told.
cat >"$work/told.py" <<'PY'
import http.server, os, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def address_string(self): return "unix"
    def log_message(self, *_): pass
    def do_GET(self):
        body = (self.requestline + "\n" + str(self.headers)).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        with open(sys.argv[2], "ab") as file: file.write(data)
        self.do_GET()
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 512
    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("unix", 0)
path = sys.argv[1]
if os.path.exists(path): os.unlink(path)
Server(path, Handler).serve_forever()
PY
told_up() {
  # Without a shell between, so that it can be killed.
  ip netns exec "$gateway" "$python" "$work/told.py" "$work/told.sock" "$work/told.bodies" &
  told=$!
  started+=("$told")
  wait_for 10 test -S "$work/told.sock"
}
told_up

MODE=terminate TLS=no write_config
base=$(cat "$work/sluice.yaml")
terminate_config() {
  { printf '%s\n' "$base" | sed "/^interception:/,\$d"; cat; echo "control: {socket: $work/control.sock}"; } >"$work/sluice.yaml"
}
# the_sites [MORE-OF-THE-SHOP]
the_sites() {
  terminate_config <<YAML
interception:
  enabled: no
  block-page: ${PAGE:-no}
  connect-timeout: 3
  terminate:
    - listen: ["10.10.1.1:443", "[fd00:10:1::1]:443"]
      connections: ${CONNECTIONS:-10000}
      at-limit: ${AT_LIMIT:-wait}
      sites:
        - names: shop.test
          certificate: $work/origin/current.pem
          key: $work/origin/current.key
          backends: "unix:$work/told.sock"
          check: /health
          check-interval: 1
          ${1:-}
        - certificate: $work/origin/wild.pem
          key: $work/origin/wild.key
          default: yes
          forwarded: no
          alpn: [h2, http/1.1]
          backends: $server4:443
          backend-tls: yes
          backend-name: www.origin.test
          backend-trust: $work/origin/root.pem
    - listen: 10.10.1.1:80
      tls: no
      backends: ["$server4:443"]
      backend-tls: yes
      backend-name: www.origin.test
      backend-trust: $work/origin/root.pem
    - listen: 10.10.1.1:8444
      accept-proxy: 10.10.1.0/24
      certificate: $work/origin/shop.pem
      key: $work/origin/shop.key
      backends: "unix:$work/told.sock"
YAML
}
the_sites
sluice_up
shop() { fetch --cacert "$work/origin/root.pem" --resolve shop.test:443:10.10.1.1 "$@"; }
wild() { fetch --cacert "$work/origin/root.pem" --resolve a.wild.test:443:10.10.1.1 "$@"; }

# ---- What passes ----
page=$(shop https://shop.test/page -H "X-Forwarded-For: 6.6.6.6" -H "X_Real_IP: 6.6.6.6")
contains "TLS to a plain backend at a unix socket" "GET /page HTTP/1.1" "$page"
contains "it is told the client" "X-Forwarded-For: $client4" "$page"
contains "and how it came" "X-Forwarded-Proto: https" "$page"
contains "and by which TLS" "X-TLS-Version: TLSv1.3" "$page"
refuse "what the client says of itself is taken out" grep -q 6.6.6.6 <<<"$page"
contains "IPv6" "X-Forwarded-For: fd00:0010:0001:0000:0000:0000:0000:0002" \
  "$(fetch --cacert "$work/origin/root.pem" --resolve "shop.test:443:[fd00:10:1::1]" https://shop.test/)"
contains "TLS 1.2" "X-TLS-Version: TLSv1.2" "$(shop --tls-max 1.2 https://shop.test/)"
same "a wildcard: TLS to a TLS backend, HTTP/2" "hello from the origin 2" "$(wild https://a.wild.test/ -w '%{http_version}' | tr '\n' ' ')"
same "HTTP/1.1 as well" "hello from the origin 1.1" "$(wild --http1.1 https://a.wild.test/ -w '%{http_version}' | tr '\n' ' ')"
same "a plain client reaches a TLS backend" "hello from the origin" "$(fetch http://10.10.1.1/ -H 'Host: www.origin.test')"
before=$(statistic sluice.interception.backends_reused)
same "the next one does by the connection that is there" "hello from the origin" "$(fetch http://10.10.1.1/ -H 'Host: www.origin.test')"
same "which is counted" $((before + 1)) "$(statistic sluice.interception.backends_reused)"
subject() { in_client openssl s_client -connect 10.10.1.1:443 "$@" </dev/null 2>/dev/null | sed -n 's/^subject=//p'; }
same "openssl without a name is shown the default" "CN = wild.test" "$(subject -noservername)"
same "openssl with the name" "CN = shop.test" "$(subject -servername shop.test)"
reused() { in_client openssl s_client -connect 10.10.1.1:443 -servername shop.test "$@" 2>/dev/null; }
for version in tls1_2 tls1_3; do
  (sleep 0.3; echo) | reused -$version -sess_out "$work/session" >/dev/null
  contains "a session is resumed ($version)" "Reused" "$( (sleep 0.3; echo) | reused -$version -sess_in "$work/session")"
done
head -c 20000000 /dev/urandom >"$work/large"
cp "$work/large" "$work/www/large"
same "20 MB to a client" "$(sha256sum <"$work/large")" "$(SECONDS_MAX=60 wild https://a.wild.test/large | sha256sum)"
SECONDS_MAX=60 shop https://shop.test/ -H Expect: --data-binary "@$work/large" -o /dev/null
same "20 MB to a backend" "$(sha256sum <"$work/large")" "$(sha256sum <"$work/told.bodies")"
urls=()
for number in $(seq 400); do urls+=(https://shop.test/$number -o /dev/null); done
same "400 requests, 40 connections at a time" "400 200" \
  "$(SECONDS_MAX=60 shop --parallel --parallel-max 40 -w '%{http_code}\n' "${urls[@]}" 2>/dev/null | sort | uniq -c | xargs)"

# ---- Attacks ----
: >"$work/told.bodies"
blocked() { local name=$1; shift; "$@" >/dev/null 2>&1; within "$name" 92 $(($? == 0 ? 99 : $?)); }
blocked "an attack to a plain backend is blocked" shop https://shop.test/attack-drop
blocked "one in a body" shop https://shop.test/ -H Expect: -d "xx ATTACK-IN-BODY xx"
same "its last octets did not arrive" 0 "$(grep -c BODY "$work/told.bodies")"
contains "its benign twin passes" "POST / " "$(shop https://shop.test/ -H Expect: -d "xx attack-in-body xx")"
blocked "one to a TLS backend by HTTP/2" wild https://a.wild.test/attack-drop
blocked "one of a plain client to a TLS backend" fetch http://10.10.1.1/attack-drop -H 'Host: www.origin.test'
refuse "none reached the server" grep -q attack-drop "$work/nginx/access.log"
told_event() {
  has_event ".event_type == \"alert\" and .alert.signature_id == 1 and .alert.action == \"blocked\" and .src_ip == \"$client4\" and .dest_ip == \"10.10.1.1\" and .dest_port == $1"
}
expect "the event names the client and the site's address" wait_for 5 told_event 443
expect "that of the plain listener too" wait_for 5 told_event 80
smuggled() { printf 'POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX'; sleep 1; }
contains "a request of two lengths is refused" "400 Bad Request" \
  "$(smuggled | in_client openssl s_client -quiet -connect 10.10.1.1:443 -servername shop.test 2>/dev/null)"
contains "the event says why" "both Content-Length and Transfer-Encoding" "$(eve | jq -c 'select(.sluice.step == "blocked")' | tail -1)"

# ---- The PROXY protocol ----
page=$(fetch --haproxy-protocol --cacert "$work/origin/root.pem" --resolve shop.test:8444:10.10.1.1 https://shop.test:8444/notice)
contains "a PROXY header is taken" "X-Forwarded-For: $client4" "$page"
page=$(fetch --haproxy-protocol --haproxy-clientip 198.51.100.77 --cacert "$work/origin/root.pem" \
  --resolve shop.test:8444:10.10.1.1 https://shop.test:8444/notice 2>/dev/null)
if [[ $page ]]; then contains "what it says counts" "X-Forwarded-For: 198.51.100.77" "$page"; else skip "what it says counts" "this curl is too old"; fi
refuse "without one there is nothing to be had" fetch -k https://10.10.1.1:8444/

# ---- Reload ----
cp "$work/origin/renewed.pem" "$work/origin/current.pem"
cp "$work/origin/renewed.key" "$work/origin/current.key"
expect "a reload" ctl reload
same "shows the new certificate" "CN = renewed" "$(subject -servername shop.test)"
cp "$work/origin/shop.key" "$work/origin/current.key"
refuse "a reload with a key that does not fit" ctl reload
contains "it says so" "is not that of" "$(cat "$work/said")"
same "the old one stays" "CN = renewed" "$(subject -servername shop.test)"
cp "$work/origin/renewed.key" "$work/origin/current.key"
the_sites "client-certificate: required
          client-ca: $work/origin/root.pem"
expect "a reload that asks for client certificates" ctl reload
refuse "without one" shop https://shop.test/
refuse "with a stranger's" shop --cert "$work/origin/stranger.pem" --key "$work/origin/stranger.key" https://shop.test/
page=$(shop --cert "$work/origin/person.pem" --key "$work/origin/person.key" https://shop.test/)
contains "with one of the authority" "X-TLS-Client-Verified: yes" "$page"
contains "the backend is told whose" "X-TLS-Client-Subject: O=Clients,CN=A Person" "$page"
the_sites
sed -i 's/10.10.1.1:80/10.10.1.1:81/' "$work/sluice.yaml"
refuse "a reload that would listen elsewhere" ctl reload
contains "is told to need a restart" "needs a restart" "$(cat "$work/said")"
the_sites
expect "back as it was" ctl reload

# ---- Backends that fail ----
kill -KILL "$told"
wait "$told" 2>/dev/null
code() { shop -o /dev/null -w '%{http_code}' https://shop.test/ 2>/dev/null; }
same "no backend: 503" 503 "$(code)"
unwell() { grep -q "backend unix:$work/told.sock is unwell" "$work/sluice.log"; }
expect "it is told" wait_for 10 unwell
told_up
well() { [[ $(code) == 200 ]]; }
expect "it is back" wait_for 10 well
counted() { [[ $(statistic sluice.interception.without_backend) -ge 1 ]]; }
expect "it was counted" wait_for 5 counted
idle() { [[ $(statistic sluice.interception.active) == 0 ]]; }
expect "no connection is left" wait_for 10 idle
sluice_down
same "the daemon ends with 0" 0 "$status"

# ---- Limits, and a page ----
CONNECTIONS=2 AT_LIMIT=refuse PAGE=yes the_sites
sluice_up
hold() { sleep 5 | in_client openssl s_client -connect 10.10.1.1:443 -servername shop.test >/dev/null 2>&1 & }
hold
hold
full() { [[ $(statistic sluice.interception.active) == 2 ]]; }
expect "two clients" wait_for 5 full
refuse "a third is refused" shop https://shop.test/
same "it was counted" 1 "$(statistic sluice.interception.listener_refused)"
expect "they leave" wait_for 10 idle
contains "then there is room" "GET / " "$(shop https://shop.test/)"
same "a page tells of a block" 403 "$(shop -o /dev/null -w '%{http_code}' https://shop.test/attack-drop)"
sluice_down

# ---- What is wrong is said ----
wrong() { # wrong NAME PART SED-COMMAND
  the_sites
  sed -i "$3" "$work/sluice.yaml"
  refuse "$1" in_gateway "$sluice" run --config "$work/sluice.yaml"
  contains "$1 is said" "$2" "$(cat "$work/said")"
}
wrong "no backend" "entry 1, site 1: backends is missing" '/told.sock/s/backends: .*/backends: []/'
wrong "an unknown field" "there is no field colour" 's/check-interval: 1/colour: blue/'
wrong "h2 with fields" "h2 needs forwarded: no" '/forwarded: no/d'
wrong "no name for the backend" "backend-name is missing" '/backend-name/d'
wrong "no certificate" "certificate is missing" '/certificate: .*current/d'
wrong "a file that is not there" "cannot read $work/nothing.pem" "s#certificate: .*current.pem#certificate: $work/nothing.pem#"
wrong "two on one port" "two entries listen on 10.10.1.1 port 443" 's/10.10.1.1:80$/10.10.1.1:443/'
wrong "a PROXY version" "must be no, v1 or v2" 's/check-interval: 1/send-proxy: v3/'
exit $result
