"""Looks for an EC private key in the memory of processes: memory.py KEY PID...

Prints a line for each process: how often the key's number stands in it, in either order of octets, or its text. Needs root.
"""

import base64
import re
import subprocess
import sys


def number(path):
    """The private number, as OpenSSL tells it."""
    text = subprocess.run(["openssl", "ec", "-in", path, "-noout", "-text"], capture_output=True, text=True, check=True).stdout
    digits = re.search(r"priv:((?:\s+[0-9a-f:]+)+)\s+pub:", text).group(1)
    return bytes.fromhex(re.sub(r"[\s:]", "", digits)).rjust(32, b"\0")[-32:]


def count(process, wanted):
    found = 0
    with open("/proc/%d/maps" % process) as maps, open("/proc/%d/mem" % process, "rb", 0) as memory:
        for line in maps:
            place, rights = line.split()[:2]
            if not rights.startswith("r") or "[v" in line:
                continue
            start, end = (int(part, 16) for part in place.split("-"))
            before = b""
            while start < end:
                size = min(end - start, 1 << 22)
                try:
                    memory.seek(start)
                    part = memory.read(size)
                except OSError:
                    break
                start += size
                part, before = before + part, part[-64:]
                found += sum(part.count(one) for one in wanted)
    return found


key = number(sys.argv[1])
lines = open(sys.argv[1]).read().split("\n")
body = base64.b64decode("".join(line for line in lines if line and not line.startswith("-")))
assert key in body
# Where the number stands in the text: any whole line of it that holds some of its octets.
texts = [line.encode() for line in lines[1:3] if line and not line.startswith("-")][1:]
for process in sys.argv[2:]:
    print(count(int(process), [key, key[::-1]] + texts))
