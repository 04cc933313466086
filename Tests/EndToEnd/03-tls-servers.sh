#!/usr/bin/env bash
# Servers with every fault that certificates and handshakes have, and some with none: what a browser refuses is refused,
# with its reason in the event; what it takes works. Makes the table of docs/tls.md (TABLE=write puts it there).
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

pki=$work/pki
rows=$work/rows
: >"$rows"
port=6000

# ---- Certificates ----

# authority NAME [ISSUER]: a folder with a key, a certificate and a database.
authority() {
  local folder=$pki/$1
  mkdir -p "$folder"
  : >"$folder/index"
  echo 1000 >"$folder/serial"
  echo 01 >"$folder/crlnumber"
  cat >"$folder/config" <<CONF
[ca]
default_ca = own
[own]
database = $folder/index
serial = $folder/serial
crlnumber = $folder/crlnumber
new_certs_dir = $folder
certificate = $folder/ca.pem
private_key = $folder/ca.key
default_md = sha256
default_crl_days = 30
policy = any
unique_subject = no
[any]
commonName = optional
organizationName = optional
[req]
distinguished_name = none
[none]
[issuer]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign,digitalSignature
subjectKeyIdentifier = hash
CONF
  need openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$folder/ca.key"
  if [[ ${2:-} ]]; then
    need openssl req -new -key "$folder/ca.key" -subj "/O=Origin/CN=$1" -config "$folder/config" -out "$folder/ca.csr"
    need openssl ca -batch -notext -config "$pki/$2/config" -extfile "$folder/config" -extensions issuer -days 100 \
      -in "$folder/ca.csr" -out "$folder/ca.pem"
  else
    need openssl req -x509 -new -key "$folder/ca.key" -subj "/O=Origin/CN=$1" -config "$folder/config" \
      -extensions issuer -days 200 -out "$folder/ca.pem"
  fi
}

# leaf NAME ISSUER EXTENSIONS [openssl ca options]: of a P-256 key, or what KEY says.
leaf() {
  local name=$1 issuer=$2 extensions=$3
  shift 3
  # shellcheck disable=SC2086
  need openssl genpkey ${KEY:--algorithm EC -pkeyopt ec_paramgen_curve:P-256} -out "$pki/$name.key"
  need openssl req -new -key "$pki/$name.key" -subj "/CN=$name.origin.test" -config "$pki/$issuer/config" -out "$pki/$name.csr"
  printf '%b' "$extensions" >"$pki/$name.extensions"
  need openssl ca -batch -notext -config "$pki/$issuer/config" -extfile "$pki/$name.extensions" -days 20 "$@" \
    -in "$pki/$name.csr" -out "$pki/$name.pem"
}
san() { printf 'subjectAltName=DNS:%s.origin.test\\n' "$1"; }

# staple NAME ISSUER: a response of the issuer about it, as its database stands.
staple() {
  need openssl ocsp -index "$pki/$2/index" -CA "$pki/$2/ca.pem" -rsigner "$pki/$2/ca.pem" -rkey "$pki/$2/ca.key" \
    -issuer "$pki/$2/ca.pem" -cert "$pki/$1.pem" -noverify -ndays 2 -respout "$pki/$1.staple"
}

# ---- Servers and checks ----

# serve NAME [s_server options]: on the next port, with its certificate and the intermediate's.
serve() {
  local name=$1
  shift
  port=$((port + 1))
  in_server openssl s_server -accept $port -www -cert "$pki/${CERT:-$name}.pem" -key "$pki/${CERT:-$name}.key" \
    -cert_chain "$pki/${CHAIN:-chain}.pem" "$@" >"$pki/$name.log" 2>&1 &
  started+=($!)
  wait_for 10 listens "$server" $port || fail "preparation of $name" "$(tail -3 "$pki/$name.log")"
}
raw() {
  port=$((port + 1))
  in_server "$python" "$here/badpeer.py" $port "$1" &
  started+=($!)
  wait_for 10 listens "$server" $port || fail "preparation of $1" "it does not listen"
}

row() { printf '| %s | %s | %s |\n' "$1" "$2" "$3" >>"$rows"; }
get() {
  local name=$1
  shift
  fetch --cacert "$work/ca.pem" --resolve "$name.origin.test:$port:$server4" -o /dev/null -w '%{http_code}' \
    "https://$name.origin.test:$port/" "$@"
}

# takes NAME WORDS [curl options]: the page comes.
takes() {
  local name=$1 words=$2
  shift 2
  same "taken: $words" 200 "$(get "$name" "$@" 2>"$work/said")"
  row "$words" "${BROWSER:-takes it}" "inspected"
}
# refuses NAME DEFECT WORDS: nothing comes, and the event names the defect.
refuses() {
  get "$1" >/dev/null 2>&1
  within "refused: $3" 92 $(($? == 0 ? 99 : $?))
  expect "its reason: $2" wait_for 5 has_event \
    ".event_type == \"sluice\" and .dest_port == $port and .sluice.step == \"upstream_untrusted\" and .sluice.defect == \"$2\" and .sluice.reaction == \"block\""
  row "$3" "refuses it" "blocked: \`$2\`"
}
# breaks NAME FAULT WORDS: the handshake fails, and the event names the fault.
breaks() {
  get "$1" >/dev/null 2>&1
  within "refused: $3" 92 $(($? == 0 ? 99 : $?))
  expect "its fault: $2" wait_for 5 has_event \
    ".event_type == \"sluice\" and .dest_port == $port and .sluice.step == \"upstream_handshake_failed\" and .sluice.fault == \"$2\""
  row "$3" "refuses it" "handshake fails: \`$2\`"
}

network_up
origin_certificates
mkdir -p "$pki"
authority root
authority issuer root
authority stranger
authority lost root
cat "$pki/issuer/ca.pem" >"$pki/chain.pem"
cat "$pki/stranger/ca.pem" >"$pki/foreign.pem"
for _ in $(seq 300); do cat "$pki/issuer/ca.pem"; done >"$pki/huge.pem"
leaf listed issuer "$(san listed)"
need openssl ca -config "$pki/issuer/config" -revoke "$pki/listed.pem" -crl_reason keyCompromise
need openssl ca -config "$pki/issuer/config" -gencrl -out "$pki/issuer.crl"

write_rules
write_config 'policy:
  - {action: inspect, sni: shown.origin.test, bad-certificate: pass-defect}'
sed -i "s|^  extra-trust:.*|  extra-trust: [$pki/root/ca.pem]\n  revocation-lists: [$pki/issuer.crl]|" "$work/sluice.yaml"
ca_init
need setup up
sluice_up

# ---- Certificates ----

leaf good issuer "$(san good)"
serve good
takes good "nothing wrong, TLS 1.3"
takes good "nothing wrong, TLS 1.2" --tls-max 1.2
KEY="-algorithm RSA -pkeyopt rsa_keygen_bits:2048" leaf rsa issuer "$(san rsa)"
serve rsa
takes rsa "RSA key of 2,048 bits"
takes rsa "a client that offers no ECDSA" --tls-max 1.2 --ciphers ECDHE-RSA-AES128-GCM-SHA256
KEY="-algorithm EC -pkeyopt ec_paramgen_curve:P-384" leaf p384 issuer "$(san p384)"
serve p384
takes p384 "P-384 key"
leaf address issuer "subjectAltName=IP:$server4\n"
serve address
same "taken: no SNI, a certificate for the address" 200 \
  "$(fetch --cacert "$work/ca.pem" -o /dev/null -w '%{http_code}' "https://$server4:$port/")"
row "no SNI, a certificate for the address" "takes it" "inspected"

leaf expired issuer "$(san expired)" -startdate 20200101000000Z -enddate 20210101000000Z
serve expired
refuses expired expired "expired"
leaf future issuer "$(san future)" -startdate 20400101000000Z -enddate 20410101000000Z
serve future
refuses future not-yet-valid "not yet valid"
CERT=good serve elsewhere
refuses elsewhere name-mismatch "for another name"
leaf nameless issuer "keyUsage=digitalSignature\n"
serve nameless
refuses nameless no-name "a common name alone"
need openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$pki/self.key" -out "$pki/self.pem" \
  -days 30 -subj "/CN=self.origin.test" -addext "subjectAltName=DNS:self.origin.test"
serve self
refuses self self-signed "self-signed"
leaf strange stranger "$(san strange)"
CHAIN=foreign serve strange
refuses strange untrusted-root "an untrusted root"
leaf alone stranger "$(san alone)"
serve alone
refuses alone unknown-issuer "an unknown issuer"
leaf partial lost "$(san partial)authorityInfoAccess=caIssuers;URI:http://$server4/lost.der\n"
serve partial
refuses partial incomplete-chain "an incomplete chain"
leaf sha1 issuer "$(san sha1)" -md sha1
serve sha1 -cipher ALL:@SECLEVEL=0
refuses sha1 weak-signature "signed with SHA-1"
KEY="-algorithm RSA -pkeyopt rsa_keygen_bits:1024" leaf small issuer "$(san small)"
serve small -cipher ALL:@SECLEVEL=0
refuses small weak-key "RSA key of 1,024 bits"
leaf mail issuer "$(san mail)extendedKeyUsage=emailProtection\n"
serve mail
refuses mail wrong-use "for something else than servers"
serve listed
refuses listed revoked "revoked by a list"
leaf stapled issuer "$(san stapled)"
staple stapled issuer
serve stapled -status_file "$pki/stapled.staple"
takes stapled "a good OCSP staple"
leaf withdrawn issuer "$(san withdrawn)"
need openssl ca -config "$pki/issuer/config" -revoke "$pki/withdrawn.pem" -crl_reason keyCompromise
staple withdrawn issuer
serve withdrawn -status_file "$pki/withdrawn.staple"
refuses withdrawn revoked "revoked by an OCSP staple"
leaf must issuer "$(san must)tlsfeature=status_request\n"
serve must
refuses must no-staple "must-staple without a staple"
staple must issuer
serve must -status_file "$pki/must.staple"
takes must "must-staple with a staple"
names=$(for i in $(seq 10000); do printf ',DNS:n%d.origin.test' "$i"; done)
leaf many issuer "subjectAltName=DNS:many.origin.test$names\n"
serve many
BROWSER="some refuse its size" takes many "10,000 names"
CHAIN=huge CERT=good serve good
BROWSER="some refuse its size" takes good "a chain of 300 certificates"

# ---- Handshakes ----

CERT=rsa serve rsa -tls1 -cipher ALL:@SECLEVEL=0
breaks rsa alert "TLS 1.0 alone"
CERT=rsa serve rsa -tls1_1 -cipher ALL:@SECLEVEL=0
breaks rsa alert "TLS 1.1 alone"
raw ssl3
breaks good version "SSL 3.0 alone"
raw ssl2
breaks good version "SSL 2.0 alone"
# The group of 1,024 bits that many servers had (RFC 2409 section 6.2).
cat >"$pki/dh.config" <<CONF
asn1 = SEQUENCE:group
[group]
p = INTEGER:0xFFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF
g = INTEGER:2
CONF
need openssl asn1parse -genconf "$pki/dh.config" -noout -out "$pki/dh.der"
need openssl dhparam -inform DER -in "$pki/dh.der" -out "$pki/dh.pem"
CERT=rsa serve rsa -tls1_2 -dhparam "$pki/dh.pem" -cipher DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0
breaks rsa weak-parameters "DH of 1,024 bits, where DHE is all there is"
CERT=rsa serve rsa -tls1_2 -cipher NULL-SHA256:@SECLEVEL=0
breaks rsa alert "no encryption (NULL)"
raw rc4
breaks good cipher "RC4"
raw 3des
breaks good cipher "3DES"
raw close
breaks good closed "closes at the hello"
raw reset
breaks good reset "resets at the hello"
raw garbage
breaks good version "no TLS at all"

# ---- Client certificates ----

serve_client() { CERT=good serve good -CAfile "$pki/root/ca.pem" "$@"; }
serve_client -verify 2
takes good "a client certificate is asked for and can be done without"
for version in 1.2 1.3; do
  need in_gateway "$sluice" policy forget all --config "$work/sluice.yaml"
  serve_client -Verify 2 -verify_return_error "-tls${version/./_}"
  cat "$pki/rsa.pem" "$pki/chain.pem" >"$pki/client.pem"
  same "a client certificate is needed, TLS $version: the very connection becomes a tunnel" 200 \
    "$(get good --cacert "$pki/root/ca.pem" --cert "$pki/client.pem" --key "$pki/rsa.key" 2>"$work/said")"
  row "a client certificate is needed, TLS $version" "takes it" "tunnelled, and learned"
done
contains "what was learned is listed" "good.origin.test tunnelled until=" \
  "$(in_gateway "$sluice" policy learned --config "$work/sluice.yaml")"
expect "and forgotten" in_gateway "$sluice" policy forget all --config "$work/sluice.yaml"
same "nothing is left of it" "" "$(in_gateway "$sluice" policy learned --config "$work/sluice.yaml")"

# Anybody on the way can ask; only who has shown to be the server is heard.
for version in 1.2 1.3; do
  serve self -Verify 2 -verify_return_error "-tls${version/./_}"
  refuses self self-signed "self-signed, and a client certificate is needed, TLS $version"
done
same "nothing is learned of it" "" "$(in_gateway "$sluice" policy learned --config "$work/sluice.yaml")"

# ---- Reactions ----

CERT=shown leaf shown issuer "$(san shown)" -startdate 20200101000000Z -enddate 20210101000000Z
serve shown
get shown >/dev/null 2>&1
same "a defect that is shown: the client refuses it itself" 60 $?
same "and goes on if it wants to" 200 "$(get shown -k)"
expect "the event says so" has_event \
  '.event_type == "sluice" and .sluice.defect == "expired" and .sluice.reaction == "pass-defect" and .sluice.sni == "shown.origin.test" and (.sluice.upstream_subject | contains("shown"))'
row "expired, \`bad-certificate: pass-defect\`" "warns" "the same defect, by an issuer that nobody trusts"

expect "a record for each opened connection bears both legs" has_event \
  '.event_type == "tls" and .tls.sni == "rsa.origin.test" and (.tls.issuerdn | contains("issuer")) and .sluice.interception.client.version == "TLS 1.2" and .sluice.interception.server.version == "TLS 1.2" and (.sluice.interception.ja4 | length) == 36 and .sluice.interception.server.handshake_us > 0'
expect "it tells of the staple" has_event '.event_type == "tls" and .tls.sni == "stapled.origin.test" and .sluice.interception.server.ocsp_staple == "good"'
for kind in expired name_mismatch revoked weak_key no_staple; do
  refuse "the counter of $kind counts" test "$(statistic sluice.interception.defects.$kind)" = 0
done

# Another list, without a pause.
need openssl ca -config "$pki/issuer/config" -revoke "$pki/p384.pem"
need openssl ca -config "$pki/issuer/config" -gencrl -out "$pki/issuer.crl"
expect "a reload takes the new list" ctl reload
serve p384
refuses p384 revoked "revoked by a list that came with a reload"
cp "$pki/issuer.crl" "$work/kept.crl"
echo nothing >"$pki/issuer.crl"
refuse "a list that can't be read is refused" ctl reload
get p384 >/dev/null 2>&1
within "and the old one counts" 92 $(($? == 0 ? 99 : $?))
cp "$work/kept.crl" "$pki/issuer.crl"

sluice_down
same "the daemon ends with 0" 0 "$status"

# ---- Other settings ----

sed -i 's|^  drain-timeout:.*|  block-page: yes\n  min-version: 1.0|' "$work/sluice.yaml"
sluice_up
serve expired
page=$(fetch --cacert "$work/ca.pem" --http1.1 --resolve "expired.origin.test:$port:$server4" "https://expired.origin.test:$port/")
contains "with block-page the client reads why" "its certificate is bad (expired" "$page"
expect "and the event tells" wait_for 5 has_event '.event_type == "sluice" and .sluice.reaction == "block-page"'
CERT=rsa serve rsa -tls1 -cipher ALL:@SECLEVEL=0
same "with min-version 1.0 a server of TLS 1.0 is spoken to" 200 "$(get rsa)"
row "TLS 1.0 alone, \`min-version: 1.0\`" "refuses it" "inspected"
sluice_down

# ---- The page ----

table() {
  echo "| server | a browser | Sluice |"
  echo "| --- | --- | --- |"
  grep -v reload "$rows"
}
table >"$work/table"
if [[ ${TABLE:-} == write ]]; then
  "$python" - "$repository/docs/tls.md" "$work/table" <<'PY'
import sys

page = open(sys.argv[1]).read()
head, rest = page.split("<!-- servers -->\n", 1)
tail = rest.split("<!-- end -->\n", 1)[1]
open(sys.argv[1], "w").write(head + "<!-- servers -->\n" + open(sys.argv[2]).read() + "<!-- end -->\n" + tail)
PY
fi
expect "docs/tls.md says the same" diff <(sed -n '/^<!-- servers -->$/,/^<!-- end -->$/{/^<!--/d;p}' "$repository/docs/tls.md") "$work/table"
exit $result
