#!/usr/bin/env bash
# What install.sh puts where, and the daemon as the unit has it: without the right to the CA's key. In a mount namespace
# with folders of its own, so that nothing of this machine changes.
# shellcheck source=Tests/EndToEnd/gateway.bash
source "$(dirname "$0")/gateway.bash"

if [[ ${1:-} != inside ]]; then
  rm -rf "$work"
  exec unshare --mount --propagation private "$BASH" "$0" inside
fi
trap clean_up EXIT
# The tree may lie below a folder that is about to be another.
mkdir -p "$work/tree"
need cp -r "$repository"/{rules,README.md,LICENSE,CHANGELOG.md,install.sh} "$sluice" "$work/tree"
for folder in /etc /var/lib /var/log /usr/local; do
  # Copies of what the tests need of them; the compiler is not.
  mkdir -p "$work/machine$folder"
  case $folder in
  /etc) need cp -a /etc/. "$work/machine/etc" ;;
  /usr/local) need mkdir -p "$work/machine/usr/local/bin" ;;
  esac
  need mount --bind "$work/machine$folder" "$folder"
done
# The functions of install.sh without its last line, which runs it.
sed '$d' "$work/tree/install.sh" >"$work/install.sh"
sed -i "s|^here=.*|here=$work/tree|" "$work/install.sh"
cat >"$work/part.sh" <<PART
source "$work/install.sh"
has_systemd() { return 1; }
without_user() {
  useradd() { return 1; }
  install_files
}
built=$work/tree/$(basename "$sluice")
"\$@"
PART
# A shell of its own, in which a command that fails ends it as in install.sh.
install_here() { bash "$work/part.sh" "$@"; }
owner() { stat -c '%U %a' "$1"; }

expect "files are installed" install_here install_files
expect "there is a user for the CA's key" id sluice-ca
same "the state folder can be passed through" "root 711" "$(owner /var/lib/sluice)"
for folder in cache install learned; do
  same "the folder $folder in it is root's alone" "root 700" "$(owner /var/lib/sluice/$folder)"
done
settings=/etc/sluice/sluice.yaml
expect "the configuration is good" /usr/local/bin/sluice check --config $settings
need /usr/local/bin/sluice ca init --config $settings
same "a new key is that user's" "sluice-ca 600" "$(owner /var/lib/sluice/ca.key)"
same "the certificate is for everybody" "root 644" "$(owner /var/lib/sluice/ca.pem)"
chown root: /var/lib/sluice/ca.key
expect "files are installed again" install_here install_files
same "a key that was root's is that user's now" "sluice-ca 600" "$(owner /var/lib/sluice/ca.key)"

# ---- The daemon as the unit has it ----

need ip netns add "$gateway"
need ip -n "$gateway" link set lo up
kept=+net_admin,+net_raw,+net_bind_service,+sys_nice,+setuid,+setgid,+sys_module
run_unit() {
  : >"$work/sluice.log"
  # No rules are needed for this; explicit needs no queues.
  ip netns exec "$gateway" setpriv --bounding-set "-all,$kept" --inh-caps=-all \
    /usr/local/bin/sluice run --config $settings --set interception.enabled=yes --set capture.mode=explicit \
    --set interception.explicit.listen=127.0.0.1:3128 --set "control.socket=$work/control.sock" "$@" >"$work/sluice.log" 2>&1 &
  daemon=$!
  wait_for 60 is_running && kill -0 "$daemon" 2>/dev/null
}
worker() { pgrep -P "$daemon"; }
holder() { pgrep -P "$(pgrep -P "$(worker)")"; }
if run_unit; then ok "the daemon starts"; else fail "the daemon starts" "$(tail -5 "$work/sluice.log")"; fi
same "the key's process is that user" "$(id -u sluice-ca)" "$(awk '$1 == "Uid:" {print $2}' "/proc/$(holder)/status")"
refuse "nothing is warned of" grep -q "could still read" "$work/sluice.log"
# Who has what the daemon has: root by name, without rights.
refuse "the daemon's rights do not reach the key" setpriv --bounding-set "-all,$kept" --inh-caps=-all cat /var/lib/sluice/ca.key
same "the daemon sees nothing in its place" "" \
  "$(setpriv --bounding-set "-all,$kept" --inh-caps=-all cat "/proc/$(worker)/root/var/lib/sluice/ca.key" 2>/dev/null)"
sluice_down
same "the daemon ends with 0" 0 "$status"
chown root: /var/lib/sluice/ca.key
if run_unit; then ok "with a key that is root's it starts too"; else fail "with a key that is root's it starts too" "$(tail -5 "$work/sluice.log")"; fi
expect "and warns" grep -q "could still read" "$work/sluice.log"
sluice_down

# ---- Where no user can be made ----

expect "it is taken away" install_here uninstall
refuse "its user too" id sluice-ca
expect "without useradd files are installed all the same" install_here without_user
refuse "the configuration names no user then" grep -q authority-user $settings
need /usr/local/bin/sluice ca init --config $settings
same "the key is root's" "root 600" "$(owner /var/lib/sluice/ca.key)"
expect "it is taken away again" install_here uninstall
exit $result
