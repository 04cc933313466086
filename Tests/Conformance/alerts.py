#!/usr/bin/env python3
"""Compares the alerts of `sluice eval` on a capture, sid by sid, with those that Suricata gave for it.

    Tests/Conformance/alerts.py --rules FILE --expected FILE [--home LIST|any] [--config FILE] [--least SHARE] [--details] CAPTURE

--expected is JSON with an object `sids`: how many alerts there were for each `gid:sid`. --home is HOME_NET as rules
have it (RFC 1918 addresses unless given), EXTERNAL_NET is what isn't HOME_NET, or any as well; checksums are not verified. --config is
the suricata.yaml that Suricata ran with. A capture or rule file may be compressed with xz. The program is $SLUICE, else the release build of this tree.

Differences that are known stand with their reasons in alert-differences.json beside this script; any other is
marked "unexplained". The exit status is 0 where at least --least of the sids (0.99) have the same number of
alerts or a difference that is known and as large as it was, and nothing is unexplained.
"""
import argparse
import collections
import json
import lzma
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
PRIVATE = "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]"


def unpacked(path, folder):
    if not path.endswith(".xz"):
        return path
    out = os.path.join(folder, pathlib.Path(path).stem)
    with lzma.open(path) as source, open(out, "wb") as target:
        while block := source.read(1 << 20):
            target.write(block)
    return out


def alerts(capture, rules, home, config, folder):
    """The number of alerts by gid:sid, and of packets that they were for."""
    program = os.environ.get("SLUICE") or str(TREE / ".build/release/sluice")
    command = [program, "eval", "--mode", "ids", "--output", folder, "--rules", rules]
    if config:
        # Without the rule files that it names.
        command += ["--config", config, "--set", "rule-files.0=/dev/null"]
    external = "any" if home == "any" else "!$HOME_NET"
    for name in ("address-groups.HOME_NET=" + home, "address-groups.EXTERNAL_NET=" + external):
        command += ["--set", "vars." + name]
    command += ["--set", "stream.checksum-validation=no", capture]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1):
        sys.exit("failed: %s\n%s" % (" ".join(command), done.stderr[-2000:]))
    counts, packets = collections.Counter(), collections.defaultdict(list)
    with open(os.path.join(folder, "eve.json"), encoding="utf-8", errors="replace") as file:
        for line in file:
            if '"event_type":"alert"' not in line:
                continue
            event = json.loads(line)
            key = "%d:%d" % (event["alert"]["gid"], event["alert"]["signature_id"])
            counts[key] += 1
            packets[key].append(event.get("pcap_cnt"))
    return counts, packets


def known_differences(name):
    with open(HERE / "alert-differences.json", encoding="utf-8") as file:
        return {entry["sid"]: entry for entry in json.load(file)["differences"] if name in entry["home"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", required=True)
    parser.add_argument("--expected", required=True)
    parser.add_argument("--home", default=PRIVATE)
    parser.add_argument("--config")
    parser.add_argument("--least", type=float, default=0.99)
    parser.add_argument("--details", action="store_true", help="packets of sids that differ")
    parser.add_argument("capture")
    given = parser.parse_args()
    with open(given.expected, encoding="utf-8") as file:
        expected = json.load(file)["sids"]
    with tempfile.TemporaryDirectory() as folder:
        ours, packets = alerts(
            unpacked(given.capture, folder), unpacked(given.rules, folder), given.home, given.config, folder)

    known = known_differences("any" if given.home == "any" else "private")
    same = [sid for sid in expected if ours.get(sid, 0) == expected[sid]]
    explained, unexplained = 0, 0
    for sid in sorted(set(expected) | set(ours), key=lambda name: [int(part) for part in name.split(":")]):
        here, there = ours.get(sid, 0), expected.get(sid, 0)
        if here == there:
            continue
        entry = known.get(sid)
        if entry and entry["ours"] == here:
            explained += sid in expected
            reason = entry["reason"]
        else:
            unexplained += 1
            reason = "unexplained"
        print(f"{sid:>12}  ours {here:>4}  suricata {there:>4}  {reason}")
        if given.details:
            print("              packets", packets.get(sid))
    total = len(expected)
    print(f"{total} sids, {len(same)} with the same number of alerts, {len(set(ours) - set(expected))} only here;"
          f" {sum(ours.values())} alerts here, {sum(expected.values())} there; {unexplained} differences unexplained")
    return 0 if unexplained == 0 and len(same) + explained >= given.least * total else 1


if __name__ == "__main__":
    sys.exit(main())
