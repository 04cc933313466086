#!/usr/bin/env python3
"""Counts what each station of the path costs by itself: decode, flow, reassembly, each parser, scan, whole path.

    Benchmarks/stages.py [--rules FILE] [--kind KIND] [--count N | --capture FILE] [--only NAME] [--no-valgrind]

The program `stages` takes a capture through each station so many rounds, and through another time twice as many; the
difference is what rounds cost once everything is warm. Instructions and allocations are counted by valgrind's callgrind
inside the function that holds the stage, exactly and the same on any machine; times are CPU time of the fastest of many
rounds, and only as good as the machine is quiet. Each stage fails where it doesn't see what the whole path sees.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

from instructions import HERE, callgrind, with_rules

ROUNDS = 2


def measured(binary):
    """The mangled name of the function that holds each stage, by the stage's name in it."""
    found = {}
    for line in subprocess.run(["nm", binary], capture_output=True, text=True, check=True).stdout.splitlines():
        symbol = line.split()[-1]
        match = re.search(r"6stages\d+([A-Z][a-z]+)StageC8measured", symbol)
        # Closures in it and thunks of it are none; where the compiler has made a variant of it, that one holds the work.
        if match and not re.search(r"U\d*_|T[AamWR]", symbol[match.end():].split("LL", 1)[-1]):
            found.setdefault(match[1].lower(), []).append(symbol)
    return {stage: max(symbols, key=len) for stage, symbols in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", default=os.path.join(HERE, ".build/release/stages"))
    parser.add_argument("--rules", action="append", default=[])
    parser.add_argument("--kind", default="mixed", help="of captures.py")
    parser.add_argument("--count", type=int, default=8, help="as captures.py takes it")
    parser.add_argument("--capture", help="instead of one that is made")
    parser.add_argument("--only", action="append", help="a stage, or the first word of several")
    parser.add_argument("--no-valgrind", action="store_true", help="times alone")
    options = parser.parse_args()
    work = tempfile.mkdtemp(prefix="sluice-stages.")
    try:
        os.mkdir(os.path.join(work, "cache"), mode=0o700)
        run(options, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def run(options, work):
    capture = options.capture or os.path.join(work, "made.pcap")
    if not options.capture:
        subprocess.run([sys.executable, os.path.join(HERE, "captures.py"), options.kind, str(options.count), capture],
                       check=True)
    # valgrind can't read the debugging symbols that Swift makes.
    binary = os.path.join(work, "stages")
    subprocess.run(["strip", "-g", "-o", binary, options.stages], check=True)
    functions = measured(binary)
    rules = with_rules(options.rules, work)
    timed = subprocess.run([binary] + rules + [capture], text=True, capture_output=True)
    if timed.returncode:
        sys.exit(timed.stderr)
    row = "%-18s %-12s %8s %8s %14s %13s %10s"
    print(row % ("", "unit", "units", "octets", "instructions", "allocations", "ns"))
    for line in timed.stdout.splitlines()[1:]:
        name, unit, units, octets, nanoseconds = re.split(r"\s{2,}", line.strip())
        if options.only and not any(name == only or name.split()[0] == only for only in options.only):
            continue
        counts = ("", "")
        if not options.no_valgrind:
            # Rules take long to load, and only two stages look at them.
            needed = rules if name in ("scan", "path with rules") else []
            short, long = (
                callgrind(functions[name.split()[0]], [binary] + needed + ["--rounds", str(rounds), "--stage", name, capture],
                          work)
                for rounds in (ROUNDS, 2 * ROUNDS))
            whole = int(units) * ROUNDS
            counts = ("%.0f" % ((long[1] - short[1]) / whole), "%.2f" % (round((long[2] - short[2]) / whole, 2) + 0.0))
        print(row % (name, unit, units, octets, *counts, nanoseconds), flush=True)


if __name__ == "__main__":
    main()
