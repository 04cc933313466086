#!/usr/bin/env bash
# Programs that people use, through the gateway: what they fetch arrives as it was, and they keep what they expect of TLS.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

everything_up
origin=https://$server4
ca=$work/ca.pem
# s_client WORDS...: one request by OpenSSL's own program.
s_client() {
  printf 'GET / HTTP/1.0\r\nHost: www.origin.test\r\n\r\n' |
    in_client timeout 20 openssl s_client -connect "$server4:443" -servername www.origin.test -CAfile "$ca" -ign_eof "$@" 2>&1
}

# ---- curl ----

for how in --http1.1 --http2; do
  urls=$(for _ in $(seq 30); do echo "url=https://www.origin.test/"; done)
  codes=$(echo "$urls" | in_client curl -s --max-time 50 --cacert "$ca" $how --resolve "www.origin.test:443:$server4" \
    -o /dev/null -w '%{http_code} %{http_version} %{num_connects}\n' -K -)
  same "curl $how: thirty requests on one connection" "30 1" \
    "$(grep -c '^200' <<<"$codes") $(awk '{n += $3} END {print n}' <<<"$codes")"
  contains "curl $how speaks what it asked for" "200 ${how#--http}" "${codes/200 2 /200 2}"
done

# ---- Python ----

cat >"$work/python-client.py" <<'PY'
import http.client
import ssl
import sys

context = ssl.create_default_context(cafile=sys.argv[2])
connection = http.client.HTTPSConnection(sys.argv[1], context=context, timeout=20)
for _ in range(10):
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"hello from the origin\n"
connection.request("POST", "/sink", body=b"x" * 300_000)
assert connection.getresponse().read() == b"taken"
PY
expect "Python's http.client: ten requests and a long body on one connection" \
  in_client "$python" "$work/python-client.py" "$server4" "$ca"

# ---- OpenSSL ----

for version in 1_2 1_3; do
  first=$(s_client -tls$version -sess_out "$work/session")
  contains "s_client, TLS $version: the chain verifies" "Verify return code: 0 (ok)" "$first"
  contains "s_client, TLS $version: the page arrives" "hello from the origin" "$first"
  contains "s_client, TLS $version: the second visit is resumed" "Reused, TLSv" "$(s_client -tls$version -sess_in "$work/session")"
done
# A session of the server itself, as from before there was a gateway, with leave to send early data.
mkfifo "$work/silence"
in_server openssl s_server -accept 6001 -cert "$work/origin/server.pem" -key "$work/origin/server.key" -early_data \
  -tls1_3 <"$work/silence" >"$work/early.log" 2>&1 &
started+=($!)
exec 7>"$work/silence"
wait_for 10 listens "$server" 6001 || fail "preparation of early data" "$(cat "$work/early.log")"
sleep 2 | in_server timeout 20 openssl s_client -connect "$server4:6001" -tls1_3 -sess_out "$work/early" >/dev/null 2>&1
printf 'early words' >"$work/words"
early=$({ cat "$work/words"; sleep 2; } | in_client timeout 20 openssl s_client -connect "$server4:6001" -tls1_3 \
  -CAfile "$ca" -sess_in "$work/early" -early_data "$work/words" 2>&1)
exec 7>&-
contains "early data is refused" "Early data was rejected" "$early"
contains "and the connection goes on without" "Verify return code: 0 (ok)" "$early"
same "what was sent again arrives once" "early words" "$(grep -ao "early words" "$work/early.log")"

# ---- git, apt ----

need git init -q "$work/repository"
head -c 3000000 /dev/urandom >"$work/repository/large"
need git -C "$work/repository" add -A
need git -C "$work/repository" -c user.name=t -c user.email=t@example commit -qm one
need git clone -q --bare "$work/repository" "$work/www/repository.git"
need git -C "$work/www/repository.git" update-server-info
expect "git clones" in_client env GIT_SSL_CAINFO="$ca" git clone -q "$origin/repository.git" "$work/cloned"
expect "what it cloned is whole" cmp "$work/repository/large" "$work/cloned/large"

mkdir -p "$work/package/DEBIAN" "$work/package/usr/share/sluice-test" "$work/www/apt" "$work/apt/lists/partial" \
  "$work/apt/cache/archives/partial" "$work/apt/etc" "$work/fetched"
printf 'Package: sluice-test\nVersion: 1\nArchitecture: all\nMaintainer: t <t@example>\nDescription: t\n' \
  >"$work/package/DEBIAN/control"
head -c 500000 /dev/urandom >"$work/package/usr/share/sluice-test/data"
need dpkg-deb -b "$work/package" "$work/www/apt/sluice-test_1_all.deb"
{
  cat "$work/package/DEBIAN/control"
  echo "Filename: ./sluice-test_1_all.deb"
  echo "Size: $(stat -c %s "$work/www/apt/sluice-test_1_all.deb")"
  echo "SHA256: $(sha256sum <"$work/www/apt/sluice-test_1_all.deb" | cut -d' ' -f1)"
} >"$work/www/apt/Packages"
echo "deb [trusted=yes] $origin/apt ./" >"$work/apt/etc/sources.list"
: >"$work/apt/status"
apt() {
  (cd "$work/fetched" && in_client apt-get -qq -o Dir::Etc="$work/apt/etc" -o Dir::State="$work/apt" -o Dir::Cache="$work/apt/cache" \
    -o Dir::State::status="$work/apt/status" -o Dir::Etc::Parts="$work/apt/none" -o APT::Sandbox::User=root \
    -o Acquire::https::CAInfo="$ca" -o Acquire::Retries=0 -o Acquire::Languages=none "$@")
}
expect "apt reads its lists over HTTPS" apt update
expect "apt fetches a package" apt download sluice-test
expect "the package is whole" cmp "$work/www/apt/sluice-test_1_all.deb" "$work/fetched/sluice-test_1_all.deb"

sluice_down
same "the daemon ends with 0" 0 "$status"
expect "all of it was inspected" has_event '.event_type == "http" and .sluice.decrypted and (.http.http_user_agent // "" | test("^git/"))'
expect "apt's too" has_event '.event_type == "http" and .sluice.decrypted and (.http.http_user_agent // "" | test("APT"))'
expect "resumption is recorded" has_event '.event_type == "tls" and .sluice.interception.client.resumed'
exit $result
