#!/usr/bin/env bash
# Installs Sluice on Debian, from this source tree. Run it as often as you like.
#
#   sudo ./install.sh               packages, build, binary, configuration, rules, systemd unit
#   sudo ./install.sh lab           the same, then an attack inside TLS, blocked, in three network namespaces
#   sudo ./install.sh test          packages, build, every test; ends with "N passed, N failed"
#   sudo ./install.sh --uninstall   takes all of it away again
#
# SWIFT=/path/to/swift names the compiler when it isn't found by itself.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly binary=/usr/local/bin/sluice
readonly settings=/etc/sluice
readonly state=/var/lib/sluice
readonly logs=/var/log/sluice
readonly unit=/etc/systemd/system/sluice.service
readonly completion=/usr/local/share/bash-completion/completions/sluice
# Whose the CA's key is; the daemon, which is root by name and has no right to files of others, can't read it.
readonly authority=sluice-ca
# What this script put where, with checksums, and the packages that came with it.
readonly record=$state/install

# Libraries to build with and to run with, the kernel's tools, and what the lab and the tests start.
readonly packages=(
  libvectorscan-dev libpcre2-dev libssl-dev libmagic-dev zlib1g-dev libzstd-dev libbrotli-dev libnghttp2-dev
  g++ libc6-dev binutils git libcurl4 libxml2 libsqlite3-0 libncurses6 libedit2 zlib1g tzdata ca-certificates
  iptables nftables iproute2 ethtool procps nginx-light curl openssl python3 jq tcpdump zstd
)
readonly swift_oldest=6.2
readonly build_options=(--static-swift-stdlib --explicit-target-dependency-import-check error)

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
die() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 3
}

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
}

# --- Who and with what

as_root() {
  ((EUID == 0)) && return
  command -v sudo >/dev/null || die "this needs root, and there is no sudo: run it as root"
  exec sudo SWIFT="${SWIFT:-}" "${BASH_SOURCE[0]}" "$@"
}

# sudo hides the PATH of the one who called it, where Swift often is.
swift_candidates() {
  [[ -n ${SWIFT:-} ]] && printf '%s\n' "$SWIFT"
  command -v swift || true
  local home=${HOME:-/root}
  if [[ -n ${SUDO_USER:-} && $SUDO_USER != root ]]; then
    runuser -l "$SUDO_USER" -c 'command -v swift' 2>/dev/null || true
    home=$(getent passwd "$SUDO_USER" | cut -d: -f6)
  fi
  printf '%s\n' "$home/.local/share/swiftly/bin/swift" /root/.local/share/swiftly/bin/swift \
    /opt/swift/usr/bin/swift /opt/swift*/usr/bin/swift /usr/local/swift/usr/bin/swift \
    /usr/share/swift/usr/bin/swift /usr/libexec/swift/bin/swift /usr/local/bin/swift
}

# Swift's own libraries are among the packages: before they are there, that there is a Swift has to do.
look_for_swift() {
  local candidate
  while read -r candidate; do
    [[ -x $candidate ]] && return
  done < <(swift_candidates)
  swift_is_missing
}

find_swift() {
  local candidate version seen=
  while read -r candidate; do
    [[ -x $candidate ]] || continue
    version=$("$candidate" --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p' | head -1) || true
    if [[ -z $version ]]; then
      seen+=" $candidate (does not run: $("$candidate" --version 2>&1 | head -1))"
      continue
    fi
    if [[ $(printf '%s\n' "$swift_oldest" "$version" | sort -V | head -1) == "$swift_oldest" ]]; then
      swift=$candidate
      say "Swift $version: $swift"
      return
    fi
    seen+=" $candidate ($version)"
  done < <(swift_candidates)
  swift_is_missing "$seen"
}

swift_is_missing() {
  die "Swift $swift_oldest or later is missing${1:+; unfit:$1}.
  It is not among Debian's packages: take it from https://www.swift.org/install/linux/ (for Debian or Ubuntu, or with
  swiftly), unpack it to /opt/swift, or say where it is: SWIFT=/path/to/usr/bin/swift sudo -E ./install.sh"
}

is_installed() { [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# While packages are installed, nothing may start a service: a web server for the lab has no business on port 80.
readonly policy=/usr/sbin/policy-rc.d
forbid_services() {
  if [[ -e $policy || -L $policy ]]; then mv "$policy" "$policy.before-sluice"; fi
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
}
allow_services() {
  rm -f "$policy"
  if [[ -e $policy.before-sluice || -L $policy.before-sluice ]]; then mv "$policy.before-sluice" "$policy"; fi
}

install_packages() {
  step "Packages"
  local missing=() package
  for package in "${packages[@]}"; do is_installed "$package" || missing+=("$package"); done
  if ((${#missing[@]} == 0)); then
    say "all there"
    return
  fi
  command -v apt-get >/dev/null || die "this is no Debian: missing are ${missing[*]}"
  say "installing ${missing[*]}"
  local had_nginx=no log
  is_installed nginx-common && had_nginx=yes
  log=$(mktemp)
  forbid_services
  trap allow_services EXIT
  trap 'exit 130' INT TERM
  if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "apt-get failed; its whole output is in $log"
  fi
  rm -f "$log"
  allow_services
  trap - EXIT INT TERM
  if [[ $had_nginx == no ]]; then systemctl disable nginx.service >/dev/null 2>&1 || true; fi
  mkdir -p "$record"
  printf '%s\n' "${missing[@]}" >>"$record/packages"
}

# --- Build

# Git must not mind that the tree belongs to the one who called sudo; what was built shall belong to them too.
in_tree() {
  (
    cd "$here"
    unset SLUICE_ONLY
    export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
    "$@"
  )
}
give_back() {
  [[ -d $here/.build ]] && chown -R --reference="$here" "$here/.build"
  if [[ -e $here/Package.resolved ]]; then chown --reference="$here" "$here/Package.resolved"; fi
}

build() {
  step "Build"
  local log=$here/.build/install.log
  mkdir -p "$here/.build"
  if ! in_tree "$swift" build -c release --product sluice "${build_options[@]}" >"$log" 2>&1; then
    { grep -E 'error:|warning:' "$log" | sort -u | head -30; } >&2 || true
    tail -n 5 "$log" >&2
    give_back
    die "the build failed; its whole output is in $log"
  fi
  built=$(in_tree "$swift" build -c release --product sluice "${build_options[@]}" --show-bin-path)/sluice
  give_back
  say "$built"
}

# --- Install

sum_of() { sha256sum "$1" | cut -d' ' -f1; }
recorded_sum() {
  [[ -f $record/files ]] || return 0
  awk -v path="$1" '$2 == path { sum = $1 } END { print sum }' "$record/files"
}

# place SOURCE TARGET: a file that the operator has changed stays, and the new one is put beside it.
place() {
  local source=$1 target=$2
  if [[ -e $target ]] && ! cmp -s "$source" "$target" && [[ $(sum_of "$target") != "$(recorded_sum "$target")" ]]; then
    install -m 0644 "$source" "$target.new"
    say "$target was changed here and stays; the new one is $target.new"
    return
  fi
  install -D -m 0644 "$source" "$target"
  rm -f "$target.new"
  printf '%s %s\n' "$(sum_of "$target")" "$target" >>"$record/files.new"
}

has_user() { getent passwd "$1" >/dev/null; }

# Where no user can be made the key stays root's, and the daemon warns that it could read it.
make_user() {
  has_user "$authority" && return
  if ! useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin \
    --comment "Sluice, the CA's key" "$authority" 2>/dev/null; then
    say "the user $authority can't be made here: the CA's key will be root's"
    return
  fi
  : >"$record/user"
}

# A key that was made before there was that user, where the configuration has it be the key's.
give_key() {
  if has_user "$authority" && [[ -f $state/ca.key ]] &&
    grep -qE "^ +authority-user: *['\"]?$authority['\"]? *(#.*)?\$" "$settings/sluice.yaml"; then
    chown "$authority:" "$state/ca.key"
    chmod 0600 "$state/ca.key"
  fi
}

default_settings() {
  cat <<'YAML'
# Sluice's configuration. Keys that Suricata has too mean what they mean there; every key is in docs/configuration.md.

vars:
  address-groups:
    HOME_NET: "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12,fc00::/7]"
    EXTERNAL_NET: "!$HOME_NET"

default-rule-path: /etc/sluice/rules
rule-files:
  - "*.rules"
detect:
  sgh-mpm-caching-path: /var/lib/sluice/cache
classification-file: /etc/sluice/rules/classification.config
reference-config-file: /etc/sluice/rules/reference.config

default-log-dir: /var/log/sluice
outputs:
  - eve-log:
      enabled: yes
      filename: eve.json
      types:
        - alert
        - drop
        - anomaly
        - http:
            extended: yes
        - http2
        - dns
        - tls:
            extended: yes
        - smtp
        - ssh
        - files
        - flow
        - stats
        - sluice

capture:
  mode: router
  # Packets pass uninspected while no daemon is there to look at them; "no" drops them.
  fail-open: yes

interception:
  # Clients that don't trust the CA of this installation will refuse every page: hand the certificate out first
  # (sluice ca export), then set this to yes.
  enabled: no
  ports: [443]
  ca-certificate: /var/lib/sluice/ca.pem
  ca-key: /var/lib/sluice/ca.key
YAML
  if has_user "$authority"; then
    printf '%s\n' "  # Who holds the CA's key, in a process of its own." "  authority-user: $authority"
  fi
  cat <<'YAML'
  learning:
    file: /var/lib/sluice/learned/bypasses

control:
  socket: /run/sluice/control.sock
YAML
}

service() {
  cat <<'UNIT'
[Unit]
Description=Sluice, intrusion prevention that sees inside TLS
Documentation=file:/usr/local/share/doc/sluice/README.md
After=network.target
Wants=network.target

[Service]
Type=notify
# A supervisor starts the daemon again within a second when it crashes or hangs; this is for the supervisor itself.
WatchdogSec=60
# Rules are compiled on the way up; without a cache of them that takes its time.
TimeoutStartSec=300
ExecStartPre=/usr/local/bin/sluice setup up --config /etc/sluice/sluice.yaml
ExecStart=/usr/local/bin/sluice run --config /etc/sluice/sluice.yaml
ExecReload=/usr/local/bin/sluice ctl reload
ExecStopPost=/usr/local/bin/sluice setup down --config /etc/sluice/sluice.yaml
Restart=on-failure
RestartSec=1
RuntimeDirectory=sluice
RuntimeDirectoryMode=0750
StateDirectory=sluice
StateDirectoryMode=0711
LogsDirectory=sluice
LogsDirectoryMode=0750
UMask=0027
LimitNOFILE=1048576
LimitMEMLOCK=infinity

# Netfilter, transparent sockets, raw frames, a socket's memory beyond the usual limit, and pinned threads; no more.
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE CAP_SYS_NICE CAP_SETUID CAP_SETGID CAP_SYS_MODULE
NoNewPrivileges=yes
ProtectSystem=full
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET
RestrictNamespaces=yes
RestrictRealtime=no
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service @module @sandbox
SystemCallFilter=~@mount @reboot @swap @obsolete

[Install]
WantedBy=multi-user.target
UNIT
}

has_systemd() { [[ -d /run/systemd/system ]]; }

install_files() {
  step "Files"
  install -d -m 0755 "$settings" "$settings/rules" "$settings/categories"
  # The CA's key lies in it, and is another user's.
  install -d -m 0711 "$state"
  install -d -m 0700 "$state/cache" "$state/learned" "$record"
  make_user
  install -d -m 0750 "$logs"
  : >"$record/files.new"
  # A running daemon keeps its old binary until it is started anew.
  strip --strip-unneeded -o "$binary.new" "$built"
  chmod 0755 "$binary.new"
  mv "$binary.new" "$binary"
  local file work
  work=$(mktemp -d)
  default_settings >"$work/sluice.yaml"
  place "$work/sluice.yaml" "$settings/sluice.yaml"
  give_key
  service >"$work/sluice.service"
  place "$work/sluice.service" "$unit"
  rm -r "$work"
  for file in "$here"/rules/*.rules "$here"/rules/*.config; do
    place "$file" "$settings/rules/$(basename "$file")"
  done
  for file in "$here"/rules/categories/*.list; do
    place "$file" "$settings/categories/$(basename "$file")"
  done
  for file in README.md LICENSE CHANGELOG.md; do
    install -D -m 0644 "$here/$file" "/usr/local/share/doc/sluice/$file"
  done
  "$binary" completion bash >"$record/completion"
  install -D -m 0644 "$record/completion" "$completion"
  rm "$record/completion"
  # The sums of files that stayed as the operator has them are still those of what was installed.
  if [[ -f $record/files ]]; then
    awk 'NR == FNR { new[$2] = 1; next } !($2 in new)' "$record/files.new" "$record/files" >"$record/files.old"
    cat "$record/files.old" >>"$record/files.new"
    rm "$record/files.old"
  fi
  mv "$record/files.new" "$record/files"
  if has_systemd; then systemctl daemon-reload; fi
  say "$binary, $settings/sluice.yaml, $settings/rules, $unit"
}

install_all() {
  install_packages
  find_swift
  build
  install_files
}

next_steps() {
  step "Installed"
  say "Nothing runs yet. Look at $settings/sluice.yaml, then:"
  say "  sluice setup print --config $settings/sluice.yaml     what would be set up in the kernel"
  if has_systemd; then
    say "  systemctl enable --now sluice"
  else
    say "  sluice setup up --config $settings/sluice.yaml && sluice run --config $settings/sluice.yaml"
  fi
  say "To see an attack blocked inside TLS on this machine alone: sudo ./install.sh lab"
}

uninstall() {
  step "Taking Sluice away"
  if has_systemd && [[ -e $unit ]]; then systemctl disable --now sluice.service >/dev/null 2>&1 || true; fi
  if [[ -x $binary ]]; then
    local arguments=(setup down)
    [[ -r $settings/sluice.yaml ]] && arguments+=(--config "$settings/sluice.yaml")
    "$binary" "${arguments[@]}" || say "sluice setup down did not succeed; is anything of SLUICE- left in iptables-save?"
  fi
  if [[ -s $record/packages ]] && command -v apt-mark >/dev/null; then
    local package
    while read -r package; do
      if is_installed "$package"; then apt-mark auto "$package" >/dev/null; fi
    done <"$record/packages"
    say "packages that came with Sluice are now those that 'apt-get autoremove --purge' removes:"
    say "  $(sort -u "$record/packages" | tr '\n' ' ')"
  fi
  if [[ -e $state/ca.key ]]; then say "the CA's key goes too: clients may forget its certificate"; fi
  if [[ -e $record/user ]]; then userdel "$authority" 2>/dev/null || say "the user $authority is still there"; fi
  rm -f "$completion"
  rmdir --ignore-fail-on-non-empty "${completion%/*}" "${completion%/*/*}" 2>/dev/null || true
  rm -rf "$binary" "$settings" "$state" "$logs" "$unit" /run/sluice /usr/local/share/doc/sluice
  rmdir --ignore-fail-on-non-empty /usr/local/share/doc 2>/dev/null || true
  if has_systemd; then systemctl daemon-reload; fi
  say "done; what was built stays in $here/.build"
}

# --- Tests

passed=0
failed=0
count() {
  passed=$((passed + $1))
  failed=$((failed + $2))
}

# tally NAME LOG STATUS: adds the last "N passed, N failed" of a log; a program that didn't get to it has failed once.
tally() {
  local line
  line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$2" | tail -1) || true
  if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
    count "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
    say "$1: $line"
  else
    tail -n 5 "$2"
    say "$1: no summary (status $3)"
    count 0 1
  fi
}

swift_tests() {
  step "Unit tests"
  local log=$here/.build/test.log status=0 total broken
  say "building them"
  if ! in_tree "$swift" build --build-tests >"$log" 2>&1; then
    grep -E 'error:|warning:' "$log" | sort -u | head -30 || true
    say "the tests don't compile; the whole output is in $log"
    count 0 1
    return
  fi
  in_tree "$swift" test --skip-build >"$log" 2>&1 || status=$?
  # A failed expectation and what it found, then which tests failed.
  grep -E '^✘ Test .* recorded an issue' "$log" | cut -c1-400 | head -60 || true
  broken=$(grep -cE '^✘ Test (".*"|[^ ]+\(.*\))( with [0-9]+ test cases?)? failed after' "$log") || true
  total=$(sed -n 's/.*Test run with \([0-9]*\) tests\{0,1\} .*/\1/p' "$log" | tail -1)
  if [[ -z $total ]]; then
    tail -n 15 "$log"
    say "the run ended before its summary (status $status); the whole output is in $log"
    count 0 1
    return
  fi
  local skipped
  skipped=$(grep -c '^➜ Test ' "$log") || true
  if ((status != 0 && broken == 0)); then broken=1; fi
  count $((total - broken - skipped)) "$broken"
  grep -E 'Test run with' "$log" | tail -1
  if ((skipped > 0)); then
    say "$skipped skipped:"
    sed -n 's/^➜ Test .* skipped: *//p' "$log" | sort | uniq -c | sort -rn | head -5
  fi
}

rule_tests() {
  [[ -f $here/Tests/Rules/check.py ]] || return 0
  step "Rules"
  local log=$here/.build/rules.log status=0
  in_tree python3 Tests/Rules/check.py >"$log" 2>&1 || status=$?
  grep -vE '^[0-9]+ passed, ' "$log" | head -40 || true
  tally "rule checks" "$log" "$status"
}

# Each script prints "ok NAME" or "FAIL NAME" for what it looked at, and finds the program in $SLUICE.
end_to_end_tests() {
  local script log status good bad
  for script in "$here"/Tests/EndToEnd/*.sh; do
    [[ -e $script ]] || return 0
    step "End to end: $(basename "$script")"
    log=$here/.build/$(basename "$script").log
    status=0
    in_tree env SLUICE="$built" bash "$script" >"$log" 2>&1 || status=$?
    good=$(grep -c '^ok ' "$log") || true
    bad=$(grep -c '^FAIL ' "$log") || true
    # What failed may stand far from the end.
    grep '^FAIL ' "$log" || true
    if ((bad > 0 || status != 0)); then tail -n 30 "$log"; fi
    if ((status != 0 && bad == 0)); then
      say "ended with status $status"
      bad=1
    fi
    count "$good" "$bad"
    say "$good ok, $bad failed"
  done
}

run_tests() {
  look_for_swift
  install_packages
  find_swift
  build
  swift_tests
  rule_tests
  end_to_end_tests
  give_back
  printf '\n%s passed, %s failed\n' "$passed" "$failed"
  ((failed == 0))
}

main() {
  case ${1:-install} in
  -h | --help | help)
    usage
    return
    ;;
  install | lab | test | --uninstall | uninstall) ;;
  *)
    usage >&2
    exit 2
    ;;
  esac
  as_root "$@"
  case ${1:-install} in
  install)
    look_for_swift
    install_all
    next_steps
    ;;
  lab)
    look_for_swift
    install_all
    step "Lab"
    exec "$binary" lab "${@:2}"
    ;;
  test) run_tests ;;
  --uninstall | uninstall) uninstall ;;
  esac
}

main "$@"
