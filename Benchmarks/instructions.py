#!/usr/bin/env python3
"""Counts instructions and allocations of a packet on the data path, after warm-up.

    Benchmarks/instructions.py --sluice BINARY [--rules FILE] [--kind http|bulk] [--count N]

A capture and one twice as long are made with captures.py and evaluated under valgrind's callgrind, which counts
exactly and the same on any machine, loaded or not, where virtual machines offer no hardware counters. Only what
runs inside `PacketPath.process` counts; the difference of the two runs is what packets cost once everything is warm.
Needs valgrind; the binary is stripped of its debugging symbols first, which valgrind cannot read.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ALLOCATORS = ("malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc")


def entry(binary):
    """The mangled name of the function that takes a packet through the path."""
    for line in subprocess.run(["nm", binary], capture_output=True, text=True, check=True).stdout.splitlines():
        name = line.split()[-1]
        if "10PacketPathV7process_4link" in name:
            return name
    sys.exit("the binary has no PacketPath.process")


def callgrind(function, command, work):
    """What the command prints, and what it runs and allocates inside the function; the same each time."""
    out = os.path.join(work, "callgrind.out")
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out, "--toggle-collect=" + function] + command,
        capture_output=True, text=True, env={**os.environ, "SWIFT_DETERMINISTIC_HASHING": "1"})
    collected = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not collected:
        sys.exit("valgrind failed:\n" + done.stderr[-2000:])
    return done.stdout, int(collected[1]), allocations(out)


def with_rules(rules, work):
    """Options that load rules, compiled once."""
    options = ["--set", "detect.sgh-mpm-caching-path=" + os.path.join(work, "cache")]
    for path in rules:
        options += ["--rules", path]
    return options


def count(binary, function, capture, options, work):
    command = [binary, "eval", "--output", work, "--json"] + with_rules(options.rules, work)
    printed, instructions, mallocs = callgrind(function, command + [capture], work)
    packets = re.search(r'"packets":(\d+)', printed)
    if not packets:
        sys.exit("no packets were counted:\n" + printed)
    return int(packets[1]), instructions, mallocs


def allocations(path):
    """Calls of the allocator, from the `calls=` lines below its `cfn=` lines."""
    names, calls, callee = {}, 0, None
    for line in open(path, errors="replace"):
        match = re.match(r"c?fn=\((\d+)\)(?: (.*))?", line)
        if match:
            if match[2]:
                names[match[1]] = match[2].strip()
            callee = names.get(match[1], "") if line.startswith("c") else callee
        elif line.startswith("calls=") and callee in ALLOCATORS:
            calls += int(line[6:].split()[0])
    return calls


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", default=".build/release/sluice")
    parser.add_argument("--rules", action="append", default=[])
    parser.add_argument("--kind", choices=("http", "bulk"), default="http")
    parser.add_argument("--count", type=int, help="flows (http) or segments (bulk) of the shorter capture")
    options = parser.parse_args()
    work = tempfile.mkdtemp(prefix="sluice-instructions.")
    try:
        os.mkdir(os.path.join(work, "cache"), mode=0o700)
        binary = os.path.join(work, "sluice")
        subprocess.run(["strip", "-g", "-o", binary, options.sluice], check=True)
        function = entry(binary)
        size = options.count or {"http": 40, "bulk": 2000}[options.kind]
        results = []
        for factor in (1, 2):
            capture = os.path.join(work, "%d.pcap" % factor)
            subprocess.run([sys.executable, os.path.join(HERE, "captures.py"), options.kind, str(size * factor), capture],
                           check=True)
            results.append(count(binary, function, capture, options, work))
        packets, instructions, mallocs = (results[1][i] - results[0][i] for i in range(3))
        print("%s: %d packets, %.0f instructions and %.3f allocations a packet"
              % (options.kind, packets, instructions / packets, mallocs / packets))
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
