"""Sends one TCP acknowledgement that belongs to no connection: SOURCE PORT DESTINATION PORT."""

import socket
import struct
import sys

source, source_port, destination, destination_port = sys.argv[1:]
family = socket.AF_INET6 if ":" in source else socket.AF_INET


def checksum(octets):
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def segment(check):
    acknowledge = 0x10
    return struct.pack(
        "!HHIIBBHHH", int(source_port), int(destination_port), 1000, 2000, 5 << 4, acknowledge, 1000, check, 0
    )


# The pseudo header of IPv4 and that of IPv6 add up alike: the fields between are zeros and the same numbers.
addresses = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
pseudo = addresses + struct.pack("!HH", socket.IPPROTO_TCP, len(segment(0)))
with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
    raw.bind((source, 0))
    raw.sendto(segment(checksum(pseudo + segment(0))), (destination, 0))
