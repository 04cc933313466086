#!/usr/bin/env python3
"""Writes docs/compatibility.md from what conformance cases came to.

    Tests/Conformance/report.py [--check] [RESULTS.json]

RESULTS.json is what the runner of the cases writes; without it the file of what is known to pass (baseline.json) is
taken. Why a case fails stands in causes.json, by hand. --check writes nothing and fails where the page is not
current, or a failing case has no cause. Prints `N passed, N failed`, a case each, as its results say.
"""
import argparse
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs/compatibility.md"
CLASSES = {
    "T1": "IP, TCP, UDP, ICMP, streams; content, pcre, byte_*, flow, flowbits, thresholds",
    "T2": "HTTP/1 buffers and records",
    "T3": "TLS metadata: names, certificates, JA3, JA4",
    "T4": "DNS, mDNS",
    "T5": "HTTP/2, QUIC, DNS over HTTP/2",
    "T6": "SMTP and MIME, FTP, SSH, SIP, POP3, DHCP, NTP, TFTP, WebSocket",
    "T7": "files: names, types, digests, stored content",
    "T8": "evasion over HTTP",
    "T9": "decoding, tunnels, defragmentation, reassembly, anomalies",
    "T10": "inline: drop, reject, pass, replace, exception policies, verdicts",
}
HEAD = """# Compatibility with Suricata 8

How much of what Suricata 8 does with the same capture, rules and settings Sluice does too. Measured with {total} cases of the public
[suricata-verify](https://github.com/OISF/suricata-verify) suite: each is a capture with rules and the records that must come out of it, down to
the fields that the case looks at. Sluice passes {passed} of {total} ({rate:.1f} %).

A rule with a keyword that Sluice doesn't know is refused with its place and reason, never loaded in part: `sluice check --rules FILE` says which.
[keywords.md](keywords.md) lists what rules may use. A suricata.yaml loads as it is; [configuration.md](configuration.md) says what of it has a
meaning.

This page is made by `Tests/Conformance/report.py`.

## By subject

| about | cases | pass | |
| --- | --- | --- | --- |
"""


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def page(cases, causes):
    """The page, and the failing cases that have no cause."""
    passed = [case for case in cases if case["status"] == "pass"]
    out = HEAD.format(total=len(cases), passed=len(passed), rate=100 * len(passed) / max(1, len(cases)))
    for name, about in CLASSES.items():
        mine = [case for case in cases if case["class"] == name]
        good = sum(case["status"] == "pass" for case in mine)
        if mine:
            out += f"| {about} | {len(mine)} | {good} | {100 * good / len(mine):.0f} % |\n"
    failing = {case["id"] for case in cases if case["status"] != "pass"}
    out += "\n## What is missing or different\n\nBy cause, the most frequent first, with the cases that show it.\n"
    explained = set()
    groups = [(entry["cause"], [case for case in entry["cases"] if case in failing]) for entry in causes]
    for cause, ids in sorted(groups, key=lambda group: -len(group[1])):
        if ids:
            explained.update(ids)
            out += f"\n**{cause}** ({len(ids)})\n\n" + wrapped(ids)
    unknown = sorted(failing - explained)
    if unknown:
        out += f"\n**Not looked into yet.** ({len(unknown)})\n\n" + wrapped(unknown)
    return out + alert_counts(read(HERE / "alert-differences.json")), unknown


def alert_counts(known):
    """Where alerts on a capture are more or fewer than Suricata's, and why."""
    out = "\n## Alerts on mixed traffic\n\n" + known["about"] + "\n\n"
    return out + "".join(f"- {entry['sid']}: {entry['reason']}.\n" for entry in known["differences"])


def wrapped(ids):
    lines, line = [], ""
    for name in sorted(ids):
        part = f"`{name}`"
        if line and len(line) + len(part) + 2 > 140:
            lines.append(line + ",")
            line = part
        else:
            line += (", " if line else "") + part
    return "\n".join(lines + [line]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("results", nargs="?", default=HERE / "baseline.json")
    given = parser.parse_args()
    cases = read(given.results)["cases"]
    text, unknown = page(cases, read(HERE / "causes.json")["causes"])
    status = 0
    if given.check:
        if unknown:
            print(f"no cause in causes.json: {', '.join(unknown)}", file=sys.stderr)
            status = 1
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            print("docs/compatibility.md is not current: run Tests/Conformance/report.py", file=sys.stderr)
            status = 1
    else:
        PAGE.write_text(text, encoding="utf-8")
    passed = sum(case["status"] == "pass" for case in cases)
    print(f"{passed} passed, {len(cases) - passed} failed")
    return status


if __name__ == "__main__":
    sys.exit(main())
