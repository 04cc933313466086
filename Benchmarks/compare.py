#!/usr/bin/env python3
"""Runs `sluice eval` and Suricata in turn on the same captures with the same rules, and compares.

    Benchmarks/compare.py --suricata-root DIR --rules FILE [--rules FILE] CAPTURE...

DIR is a chroot with Suricata in it (SURICATA_ROOT does as well); root rights are needed to enter it. Without
--rules both run without any. Printed for each capture: CPU seconds of the packets alone and their ratio,
microseconds a packet, CPU seconds and memory of the load, peak memory, and alerts that differ, by sid.

Suricata's configuration ends inspection of a stream after 1 MiB and of an HTTP body after 100 KiB, Sluice's does not:
--limits equal gives Sluice the same limits, --limits none gives neither any, --limits own leaves each what it has.

Both write alerts and nothing else, and verify no checksums. CPU seconds are user and system time of all threads; of several runs the least counts.
Sluice's load is measured on an empty capture and taken away from the whole; it has several threads and varies, so that the packets' time by
the clock counts where that is less: one thread takes them. Suricata's load varies by seconds from one run to the next,
so that what its threads take is read apart from what the first one does, which loads and waits for them.
"""
import argparse
import collections
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

HOME = "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]"
OVERRIDES = """%YAML 1.1
---
outputs:
  - eve-log:
      enabled: yes
      filetype: regular
      filename: eve.json
      types:
        - alert
stats:
  enabled: no
vars:
  address-groups:
    HOME_NET: "@HOME@"
    EXTERNAL_NET: "@EXTERNAL@"
rule-files: []
unix-command:
  enabled: no
"""


# How far each looks into streams and bodies, by what --limits may be.
HTTP = "app-layer.protocols.http.libhtp.default-config."
DEPTH = "stream.reassembly.depth"
LIMITS = {
    "own": {},
    "equal": {DEPTH: "1mb", HTTP + "request-body-limit": "100kb", HTTP + "response-body-limit": "100kb"},
    "none": {DEPTH: "0", HTTP + "request-body-limit": "0", HTTP + "response-body-limit": "0"},
}


def limits(name):
    """Both take settings by the same names."""
    return [word for key, value in LIMITS[name].items() for word in ("--set", key + "=" + value)]


def overrides(home):
    """What both are configured with, beside what is each one's default."""
    return OVERRIDES.replace("@HOME@", home).replace("@EXTERNAL@", "any" if home == "any" else "!$HOME_NET")


# One frame of a kind that is for trials (IEEE 802), since Suricata takes a capture without any for a fault and goes on for long.
EMPTY = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + struct.pack("<IIII", 1, 0, 60, 60) + bytes(12) + b"\x88\xb5" + bytes(46)


def run(command, log):
    with open(log, "w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        sys.exit("failed: %s\n%s" % (" ".join(command), open(log).read()[-2000:]))
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024


def threads(process):
    """CPU seconds of each thread but the first, by number; empty once the process is over."""
    tick, found = os.sysconf("SC_CLK_TCK"), {}
    try:
        for task in os.listdir("/proc/%d/task" % process):
            if int(task) != process:
                with open("/proc/%d/task/%s/stat" % (process, task)) as file:
                    fields = file.read().rpartition(")")[2].split()
                found[task] = (int(fields[11]) + int(fields[12])) / tick
    except OSError:
        pass
    return found


def run_apart(command, log):
    """As `run`, with the CPU seconds of the threads that the first one started before them: Suricata loads in the first
    and works in the others."""
    seen = {}
    with open(log, "w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            seen.update(threads(process.pid))
            time.sleep(0.02)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit("failed: %s\n%s" % (" ".join(command), open(log).read()[-2000:]))
    work = sum(seen.values())
    return work, usage.ru_utime + usage.ru_stime - work, usage.ru_maxrss // 1024


def best(command, log, runs):
    results = [run(command, log) for _ in range(runs)]
    return min(cpu for cpu, _ in results), max(memory for _, memory in results)


def alerts(path):
    count = collections.Counter()
    if not os.path.exists(path):
        return count
    for line in open(path, errors="replace"):
        event = json.loads(line)
        if event.get("event_type") == "alert":
            count[event["alert"]["gid"], event["alert"]["signature_id"]] += 1
    return count


def repeated(path, times, out):
    """Writes a classic capture several times over, each time later than the last."""
    with open(path, "rb") as file:
        data = file.read()
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}.get(data[:4])
    if order is None:
        sys.exit("%s: --repeat takes classic captures with microseconds" % path)
    record = struct.Struct(order + "IIII")
    records, position, last = [], 24, None
    while position + 16 <= len(data):
        fields = record.unpack_from(data, position)
        records.append((fields, position + 16))
        position += 16 + fields[2]
        last = max(last or 0, fields[0])
    span = (last or 0) - records[0][0][0] + 600 if records else 0
    with open(out, "wb", 1 << 20) as file:
        file.write(data[:24])
        for turn in range(times):
            for (seconds, fraction, captured, length), start in records:
                file.write(record.pack(seconds + turn * span, fraction, captured, length))
                file.write(data[start:start + captured])


def packets(path):
    """Packets of a classic pcap file; None for other kinds."""
    with open(path, "rb") as file:
        head = file.read(24)
        order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}.get(head[:4])
        count = 0
        while order:
            record = file.read(16)
            if len(record) < 16:
                return count
            file.seek(struct.unpack(order + "I", record[8:12])[0], 1)
            count += 1
    return None


class Sluice:
    name = "sluice"
    loads_apart = False

    def __init__(self, options, work):
        self.options, self.work = options, os.path.join(work, "sluice")
        os.makedirs(os.path.join(self.work, "cache"), mode=0o700)
        with open(os.path.join(self.work, "sluice.yaml"), "w") as file:
            file.write(overrides(options.home))

    def command(self, capture):
        command = [self.options.sluice, "eval", "--output", self.work, "--json",
                   "--config", os.path.join(self.work, "sluice.yaml"), "--set", "stream.checksum-validation=no",
                   "--set", "detect.sgh-mpm-caching-path=" + os.path.join(self.work, "cache")]
        command += limits(self.options.limits)
        # Of rules that match on one packet the urgent ones are told first.
        classes = os.path.join(self.options.suricata_root or "/", "etc/suricata/classification.config")
        if os.path.exists(classes):
            command += ["--set", "classification-file=" + os.path.abspath(classes)]
        for rules in self.options.rules:
            command += ["--rules", rules]
        return command + [capture]

    def eve(self):
        return os.path.join(self.work, "eve.json")

    def run_seconds(self, log):
        """By the clock: one thread takes the packets, and has no more processor time than that."""
        return float(re.search(r'"run_seconds":([0-9.]+)', open(log).read())[1])


class Suricata:
    name = "suricata"
    loads_apart = True

    def __init__(self, options, root):
        self.options, self.root = options, root
        self.work = tempfile.mkdtemp(prefix="compare.", dir=os.path.join(root, "tmp"))
        self.inside = "/" + os.path.relpath(self.work, root)
        with open(os.path.join(self.work, "overrides.yaml"), "w") as file:
            file.write(overrides(options.home))
        with open(os.path.join(self.work, "all.rules"), "w") as file:
            for rules in options.rules:
                file.write(open(rules, errors="surrogateescape").read().encode("utf-8", "surrogateescape")
                           .decode("utf-8", "replace"))

    def put(self, capture):
        place = os.path.join(self.work, os.path.basename(capture))
        if not os.path.exists(place):
            try:
                os.link(capture, place)
            except OSError:
                shutil.copy(capture, place)
        return self.inside + "/" + os.path.basename(capture)

    def command(self, capture):
        return ["chroot", self.root, "suricata", "-c", "/etc/suricata/suricata.yaml",
                "--include", self.inside + "/overrides.yaml", "-S", self.inside + "/all.rules",
                "-r", self.put(capture), "--runmode", "single", "-l", self.inside, "-k", "none"] + limits(self.options.limits)

    def eve(self):
        return os.path.join(self.work, "eve.json")


def measure_apart(engine, capture, empty, work, runs):
    log = os.path.join(work, engine.name + ".log")
    _, _, load_memory = run_apart(engine.command(empty), log)
    results = []
    for _ in range(runs):
        if os.path.exists(engine.eve()):
            os.remove(engine.eve())
        results.append(run_apart(engine.command(capture), log))
    return {"run": max(min(r[0] for r in results), 0.001), "load": min(r[1] for r in results), "load_memory": load_memory,
            "peak": max(r[2] for r in results), "alerts": alerts(engine.eve())}


def measure(engine, capture, empty, work, runs):
    if engine.loads_apart:
        return measure_apart(engine, capture, empty, work, runs)
    log = os.path.join(work, engine.name + ".log")
    run(engine.command(empty), log)  # fills caches of files and patterns
    load, load_memory = best(engine.command(empty), log, runs)
    if os.path.exists(engine.eve()):
        os.remove(engine.eve())
    spent, peak = [], 0
    for _ in range(runs):
        cpu, memory = run(engine.command(capture), log)
        spent.append(min(cpu - load, engine.run_seconds(log)))
        peak = max(peak, memory)
    return {"run": max(min(spent), 0.001), "load": load, "load_memory": load_memory, "peak": peak,
            "alerts": alerts(engine.eve())}


def report(capture, results, count):
    print(os.path.basename(capture) + (": %d packets" % count if count else ""))
    for name, r in results.items():
        each = ", %.2f us a packet" % (r["run"] / count * 1e6) if count else ""
        print("  %-9s run %.2f CPU s%s; load %.2f CPU s, %d MB; peak %d MB; %d alerts"
              % (name, r["run"], each, r["load"], r["load_memory"], r["peak"], sum(r["alerts"].values())))
    if len(results) < 2:
        return
    ours, theirs = results["sluice"], results["suricata"]
    print("  ratio     %.2f x in the packets, %.2f x in the load" % (theirs["run"] / ours["run"], theirs["load"] / ours["load"]))
    sids = sorted(set(ours["alerts"]) | set(theirs["alerts"]))
    differing = [s for s in sids if ours["alerts"][s] != theirs["alerts"][s]]
    print("  alerts    %d sids, %d differ" % (len(sids), len(differing)))
    for gid, sid in differing:
        print("    %d:%d suricata %d sluice %d" % (gid, sid, theirs["alerts"][gid, sid], ours["alerts"][gid, sid]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", nargs="+")
    parser.add_argument("--sluice", default=".build/release/sluice")
    parser.add_argument("--suricata-root", default=os.environ.get("SURICATA_ROOT"))
    parser.add_argument("--rules", action="append", default=[])
    parser.add_argument("--home", default=HOME, help="HOME_NET of both")
    parser.add_argument("--limits", choices=sorted(LIMITS), default="equal", help="how far both look into streams and bodies")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=1, help="how often a capture is played, one after the other")
    options = parser.parse_args()
    work = tempfile.mkdtemp(prefix="sluice-compare.")
    engines = [Sluice(options, work)]
    if options.suricata_root:
        engines.append(Suricata(options, os.path.abspath(options.suricata_root)))
    empty = os.path.join(work, "empty.pcap")
    with open(empty, "wb") as file:
        file.write(EMPTY)
    try:
        for capture in options.captures:
            if options.repeat > 1:
                longer = os.path.join(work, os.path.basename(capture))
                repeated(capture, options.repeat, longer)
                capture = longer
            results = {e.name: measure(e, capture, empty, work, options.runs) for e in engines}
            report(capture, results, packets(capture))
    finally:
        for directory in [work] + [e.work for e in engines]:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
