# Sourced by the tests of this folder: three network namespaces in a row (client, gateway, server), real
# servers and clients in them, and the program under test on the gateway. SLUICE names the program.
#
# Each check prints "ok NAME" or "FAIL NAME: why". What a test makes bears the number of its process and is gone
# at its end, however it ends.
# shellcheck shell=bash disable=SC2034
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
sluice=${SLUICE:-$repository/.build/release/sluice}
python=$(python3 -c 'import sys; print(sys.executable)')
prefix=e2e$$
client=$prefix-client
gateway=$prefix-gateway
server=$prefix-server
client4=10.10.1.2 client6=fd00:10:1::2
server4=203.0.113.2 server6=2001:db8:203::2
work=$(mktemp -d "/tmp/sluice-$prefix.XXXXXX")
chmod 755 "$work"
result=0
daemon=
started=()

# ---- Checks ----

ok() { echo "ok $1"; }
fail() {
  echo "FAIL $1: ${2:-}"
  result=1
}
skip() { echo "skip $1: $2"; }
# expect NAME COMMAND...: the command has to succeed.
expect() {
  local name=$1
  shift
  if "$@" >"$work/said" 2>&1; then ok "$name"; else fail "$name" "$(head -c 400 "$work/said" | tr '\n' ' ')"; fi
}
# refuse NAME COMMAND...: the command has to fail.
refuse() {
  local name=$1
  shift
  if "$@" >"$work/said" 2>&1; then fail "$name" "it succeeded: $(head -c 400 "$work/said")"; else ok "$name"; fi
}
# same NAME WANTED GOT
same() { if [[ $2 == "$3" ]]; then ok "$1"; else fail "$1" "wanted '$2', got '$3'"; fi; }
# contains NAME PART TEXT
contains() { if [[ $3 == *"$2"* ]]; then ok "$1"; else fail "$1" "no '$2' in '${3:0:400}'"; fi; }
# within NAME LIMIT VALUE
within() { if (($3 <= $2)); then ok "$1"; else fail "$1" "$3 is more than $2"; fi; }
# wait_for SECONDS COMMAND...: asks until the answer is yes.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 0.05
  done
}
need() {
  if ! "$@" >"$work/said" 2>&1; then
    echo "FAIL preparation: $*: $(head -c 600 "$work/said")"
    exit 1
  fi
}

# ---- Clean up ----

clean_up() {
  local space process
  for space in "$client" "$gateway" "$server"; do
    for process in $(ip netns pids "$space" 2>/dev/null); do kill -KILL "$process" 2>/dev/null; done
  done
  for process in "${started[@]}"; do kill -KILL "$process" 2>/dev/null; done
  wait 2>/dev/null
  for space in "$client" "$gateway" "$server"; do ip netns delete "$space" 2>/dev/null; done
  rm -rf "/etc/netns/$gateway"
  if [[ ${KEEP:-} ]]; then echo "kept $work"; else rm -rf "$work"; fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM

((EUID == 0)) || {
  echo "FAIL preparation: needs root"
  exit 1
}
[[ -x $sluice ]] || {
  echo "FAIL preparation: $sluice is not there"
  exit 1
}

# ---- Network ----

in_client() { ip netns exec "$client" "$@"; }
in_gateway() { ip netns exec "$gateway" "$@"; }
in_server() { ip netns exec "$server" "$@"; }

network_up() {
  local space
  for space in "$client" "$gateway" "$server"; do
    need ip netns add "$space"
    need ip -n "$space" link set lo up
    need ip netns exec "$space" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
  done
  need ip link add eth0 netns "$client" type veth peer name client0 netns "$gateway"
  need ip link add eth0 netns "$server" type veth peer name server0 netns "$gateway"
  need ip -n "$client" address add $client4/24 dev eth0
  need ip -n "$client" address add $client6/64 dev eth0 nodad
  need ip -n "$server" address add $server4/24 dev eth0
  need ip -n "$server" address add $server6/64 dev eth0 nodad
  need ip -n "$gateway" address add 10.10.1.1/24 dev client0
  need ip -n "$gateway" address add fd00:10:1::1/64 dev client0 nodad
  need ip -n "$gateway" address add 203.0.113.1/24 dev server0
  need ip -n "$gateway" address add 2001:db8:203::1/64 dev server0 nodad
  need ip -n "$client" link set eth0 up
  need ip -n "$server" link set eth0 up
  need ip -n "$gateway" link set client0 up
  need ip -n "$gateway" link set server0 up
  need ip -n "$client" route add default via 10.10.1.1
  need ip -n "$client" -6 route add default via fd00:10:1::1
  need ip -n "$server" route add default via 203.0.113.1
  need ip -n "$server" -6 route add default via 2001:db8:203::1
  need in_gateway sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

# ---- Servers ----

# The origin's own authority, and certificates of it; "selfsigned" is nobody's.
origin_certificates() {
  mkdir -p "$work/origin"
  cd "$work/origin" || exit 1
  need openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.pem \
    -days 30 -subj "/CN=Origin Test Root"
  need openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr \
    -subj "/CN=www.origin.test"
  printf 'subjectAltName=DNS:www.origin.test,DNS:tunnel.origin.test,DNS:block.origin.test,IP:%s,IP:%s\n' \
    $server4 $server6 >extensions
  need openssl x509 -req -in server.csr -CA root.pem -CAkey root.key -days 20 -extfile extensions -out server.pem
  need openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout selfsigned.key \
    -out selfsigned.pem -days 30 -subj "/CN=www.origin.test" -addext "subjectAltName=DNS:www.origin.test"
  cd - >/dev/null || exit 1
}

# nginx: 80 and 8080 plain, 8090 plain HTTP/2, 443 TLS with HTTP/2 (files coded as their names end), 9443 TLS with the certificate that nobody signed.
nginx_up() {
  mkdir -p "$work/www" "$work/nginx"
  chmod 777 "$work/nginx"
  echo "hello from the origin" >"$work/www/index.html"
  head -c 1024 /dev/urandom | base64 -w0 | head -c 1024 >"$work/www/1k"
  cat >"$work/nginx/nginx.conf" <<CONF
daemon off; master_process off; worker_processes 1;
pid $work/nginx/pid; error_log $work/nginx/error.log;
events { worker_connections 4096; }
http {
  log_format seen '\$remote_addr \$server_port \$ssl_protocol "\$request" \$status';
  access_log $work/nginx/access.log seen;
  client_body_temp_path $work/nginx/body; proxy_temp_path $work/nginx/proxy;
  fastcgi_temp_path $work/nginx/fastcgi; uwsgi_temp_path $work/nginx/uwsgi; scgi_temp_path $work/nginx/scgi;
  root $work/www; keepalive_requests 1000000; sendfile on;
  ssl_protocols TLSv1.2 TLSv1.3;
  server { listen 80; listen [::]:80; listen 8080; listen [::]:8080; }
  server { listen 8090 http2; listen [::]:8090 http2; }
  server {
    listen 443 ssl http2; listen [::]:443 ssl http2;
    ssl_certificate $work/origin/server.pem; ssl_certificate_key $work/origin/server.key;
    location ~ \.gz$ { add_header Content-Encoding gzip; }
    location ~ \.br$ { add_header Content-Encoding br; }
    location ~ \.zst$ { add_header Content-Encoding zstd; }
    location /sink {
      client_max_body_size 0; proxy_request_buffering off; proxy_http_version 1.1; proxy_pass http://127.0.0.1:8082;
    }
  }
  server {
    listen 9443 ssl; listen [::]:9443 ssl;
    ssl_certificate $work/origin/selfsigned.pem; ssl_certificate_key $work/origin/selfsigned.key;
  }
}
CONF
  in_server nginx -c "$work/nginx/nginx.conf" >"$work/nginx/out" 2>&1 &
  started+=($!)
  wait_for 10 listens "$server" 443 || {
    echo "FAIL preparation: nginx: $(cat "$work/nginx/out" "$work/nginx/error.log")"
    exit 1
  }
}
# The small servers of servers.py.
servers_up() {
  mkdir -p "$work/seen"
  in_server "$python" "$here/servers.py" "$work/seen" &
  started+=($!)
  wait_for 10 listens "$server" 8082 || {
    echo "FAIL preparation: servers.py"
    exit 1
  }
}
ask() { in_client "$python" "$here/ask.py" "$@"; }
seen() { cat "$work/seen/$1" 2>/dev/null; }
listens() { [[ -n $(ip netns exec "$1" ss -Hltn "sport = :$2") ]]; }
seen_by_server() { cat "$work/nginx/access.log"; }

# ---- The program ----

# Rules of the tests: easy to provoke, hard to meet by accident.
write_rules() {
  cat >"$work/test.rules" <<'RULES'
drop http any any -> any any (msg:"E2E dropped URI"; flow:established,to_server; http.uri; content:"/attack-drop"; sid:1; rev:1;)
reject http any any -> any any (msg:"E2E rejected URI"; flow:established,to_server; http.uri; content:"/attack-reject"; sid:2; rev:1;)
alert dns any any -> any any (msg:"E2E DNS name"; dns.query; content:"evil.example"; nocase; sid:3; rev:1;)
drop http any any -> any any (msg:"E2E dropped body"; flow:established,to_server; http.request_body; content:"ATTACK-IN-BODY"; sid:4; rev:1;)
drop tcp any any -> any any (msg:"E2E dropped bytes"; flow:established,to_server; content:"ATTACK-ON-TCP"; sid:5; rev:1;)
alert http any any -> any any (msg:"E2E noticed URI"; flow:established,to_server; http.uri; content:"/notice"; sid:6; rev:1;)
alert tcp any any -> any 7000 (msg:"E2E replaced bytes"; flow:established,to_server; content:"bad word"; replace:"fine one"; sid:9; rev:1;)
reject udp any any -> any 9999 (msg:"E2E rejected UDP"; content:"ATTACK-ON-UDP"; sid:7; rev:1;)
drop http any any -> any any (msg:"E2E dropped response"; flow:established,to_client; file.data; content:"ATTACK-IN-RESPONSE"; sid:8; rev:1;)
alert tcp any any -> any any (msg:"E2E no flags, no life left"; flags:0; ttl:<2; sid:10; rev:1;)
RULES
}

# write_config [LINES]: the settings of the tests, and what stands in $1 behind them (top level of YAML).
write_config() {
  mkdir -p "$work/log"
  cat >"$work/sluice.yaml" <<YAML
vars:
  address-groups: {HOME_NET: "[10.10.1.0/24,fd00:10:1::/64]", EXTERNAL_NET: "!\$HOME_NET"}
rule-files: [$work/test.rules]
default-log-dir: $work/log
stats: {interval: 1}
outputs:
  - eve-log:
      enabled: yes
      types: [alert, drop, {http: {extended: yes}}, http2, dns, {tls: {extended: yes}}, flow, stats, sluice]
capture: {mode: ${MODE:-router}${CAPTURE:-}, first-queue: ${QUEUE:-0}, queues: ${QUEUES:-1}, fail-open: ${FAIL_OPEN:-yes}}
interception:
  enabled: ${TLS:-yes}
  ports: [443, 9443, 8080, 2222]
  listen-port: 8443
  drain-timeout: 3
  ca-certificate: $work/ca.pem
  ca-key: $work/ca.key
  extra-trust: ["$work/origin/root.pem"]
control: {socket: $work/control.sock}
${1:-}
YAML
}

ca_init() { need in_gateway "$sluice" ca init --config "$work/sluice.yaml"; }
setup() { in_gateway "$sluice" setup "$@" --config "$work/sluice.yaml"; }
ctl() { in_gateway "$sluice" ctl "$@" --config "$work/sluice.yaml"; }
statistic() { ctl stats | sed -n "s/^$1 //p"; }
eve() { cat "$work/log/eve.json" 2>/dev/null; }
# has_event JQ-CONDITION: whether a record fits.
has_event() { eve | jq -e -n "[inputs | select($1)] | length > 0" >/dev/null 2>&1; }
count_events() { eve | jq -n "[inputs | select($1)] | length" 2>/dev/null; }

# Starts the daemon; its number is in $daemon, what it says in $work/sluice.log.
sluice_up() {
  : >"$work/sluice.log"
  # `ip netns exec` becomes the program, so that its number is the daemon's.
  ip netns exec "$gateway" "$sluice" run --config "$work/sluice.yaml" "$@" >>"$work/sluice.log" 2>&1 &
  daemon=$!
  wait_for 60 is_running && kill -0 "$daemon" 2>/dev/null || {
    echo "FAIL preparation: the daemon did not come up: $(tail -5 "$work/sluice.log")"
    exit 1
  }
}
is_running() {
  kill -0 "$daemon" 2>/dev/null || return 0
  grep -q 'running:' "$work/sluice.log" && [[ -S $work/control.sock ]]
}
# The process that does the work; $daemon starts it again when it crashes.
worker() { pgrep -P "$daemon"; }
nobody_is_left() { [[ -z $(ip netns pids "$gateway") ]]; }
# The daemon is killed, and so is what it started.
sluice_kill() {
  kill -KILL "$daemon"
  wait "$daemon" 2>/dev/null
  wait_for 10 nobody_is_left
}
# Asks the daemon to end; its exit status is in $status.
sluice_down() {
  kill -"${1:-TERM}" "$daemon" 2>/dev/null
  wait "$daemon"
  status=$?
}

# One request from the client; prints the body. fetch URL [curl options].
fetch() { in_client curl -sS --max-time "${SECONDS_MAX:-10}" "$@"; }
fetch_tls() {
  fetch --cacert "$work/ca.pem" --resolve "www.origin.test:443:$server4" --resolve "www.origin.test:9443:$server4" \
    --resolve "tunnel.origin.test:443:$server4" --resolve "block.origin.test:443:$server4" "$@"
}
fetch_tls6() { fetch --cacert "$work/ca.pem" --resolve "www.origin.test:443:[$server6]" "$@"; }

# A whole gateway with servers behind it.
everything_up() {
  network_up
  origin_certificates
  write_rules
  write_config "${1:-}"
  ca_init
  nginx_up
  servers_up
  need setup up
  sluice_up
}
