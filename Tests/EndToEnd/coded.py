"""Writes pages whose content is coded: coded.py FOLDER.

Each comes twice: "attack" with words that rules look for across a boundary of DATA frames (8,192 octets with
nginx), "benign" without them. Brotli and Zstandard in their uncompressed forms, which any decoder reads.
"""

import gzip
import sys


def brotli(plain):
    # RFC 7932 section 9: a window of 16 bits; for each part: not last, four nibbles of length, uncompressed.
    out = b""
    rest = plain
    while rest:
        part, rest = rest[:65536], rest[65536:]
        bits = 0
        place = 0
        if not out:
            place = 1
        bits |= (len(part) - 1) << (place + 3)
        bits |= 1 << (place + 19)
        out += bits.to_bytes(3, "little") + part
    return out + b"\x03"


def zstd(plain):
    # RFC 8878 section 3.1.1: one segment, its size in four octets, one raw block.
    size = len(plain)
    return b"\x28\xb5\x2f\xfd\xa0" + size.to_bytes(4, "little") + (1 | size << 3).to_bytes(3, "little") + plain


folder = sys.argv[1]
word = b"ATTACK-IN-RESPONSE"
for name, middle in (("attack", word), ("benign", word.lower())):
    plain = b"a" * (8192 - 7) + middle + b"b" * 9000 + b"THE-END\n"
    for ending, octets in (("", plain), (".gz", gzip.compress(plain)), (".br", brotli(plain)), (".zst", zstd(plain))):
        with open(f"{folder}/{name}{ending}", "wb") as file:
            file.write(octets)
