#!/usr/bin/env python3
"""Makes captures for the benchmarks; the same arguments give the same file.

    Benchmarks/captures.py http FLOWS OUT.pcap    HTTP/1.1 connections of ten exchanges each, bodies of 300 B to 30 kB
    Benchmarks/captures.py bulk SEGMENTS OUT.pcap one connection that carries octets by chance, 1448 a segment
    Benchmarks/captures.py KIND FLOWS OUT.pcap    connections of another protocol: {kinds}
    Benchmarks/captures.py mixed FLOWS OUT.pcap   so many of each of them, and of HTTP/1.1, in turns
"""
import random
import struct
import sys

import conversations


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Capture:
    def __init__(self, path):
        self.file = open(path, "wb")
        self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        self.microseconds = 1_700_000_000_000_000

    def packet(self, source, destination, ports, sequence, acknowledgement, flags, data=b""):
        length = struct.pack(">BBH", 0, 6, 20 + len(data))
        def header(sum):
            return struct.pack(">HHIIBBHHH", *ports, sequence & 0xFFFFFFFF, acknowledgement & 0xFFFFFFFF, 0x50, flags,
                               65535, sum, 0)
        self.frame(source, destination, 6, header(checksum(source + destination + length + header(0) + data)) + data)

    def datagram(self, source, destination, ports, data):
        udp = struct.pack(">HHHH", *ports, 8 + len(data), 0)
        sum = checksum(source + destination + struct.pack(">BBH", 0, 17, len(udp + data)) + udp + data)
        self.frame(source, destination, 17, udp[:6] + struct.pack(">H", sum or 0xFFFF) + data)

    def frame(self, source, destination, protocol, segment):
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(segment), 0, 0, 64, protocol, 0, source, destination)
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
        frame = b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + ip + segment
        self.microseconds += 7
        self.file.write(struct.pack("<IIII", *divmod(self.microseconds, 1_000_000), len(frame), len(frame)) + frame)


ENDS = (bytes([192, 168, 77, 10]), bytes([203, 0, 113, 80]))


class Datagrams:
    """An exchange over UDP."""

    def __init__(self, capture, client_port, server_port):
        self.capture = capture
        self.ports = (client_port, server_port)

    def send(self, side, data):
        self.capture.datagram(ENDS[side], ENDS[1 - side], self.ports if side == 0 else self.ports[::-1], data)


class Connection:
    SYN, ACK, PSH, FIN = 2, 16, 8, 1

    def __init__(self, capture, client_port, server_port):
        self.capture = capture
        self.ends = ENDS
        self.ports = (client_port, server_port)
        self.sequence = [1000, 9000]
        self.send(0, b"", self.SYN, acknowledges=False)
        self.send(1, b"", self.SYN)
        self.send(0)

    def send(self, side, data=b"", flags=0, acknowledges=True):
        """Sends data in segments, each second one acknowledged; an empty one on its own."""
        pieces = [data[i:i + 1448] for i in range(0, len(data), 1448)] or [b""]
        for index, piece in enumerate(pieces):
            bits = flags | (self.ACK if acknowledges else 0) | (self.PSH if piece else 0)
            ports = self.ports if side == 0 else self.ports[::-1]
            self.capture.packet(self.ends[side], self.ends[1 - side], ports, self.sequence[side],
                                self.sequence[1 - side] if acknowledges else 0, bits, piece)
            self.sequence[side] += len(piece) + (1 if flags & (self.SYN | self.FIN) else 0)
            if piece and (index % 2 == 1 or index == len(pieces) - 1):
                self.send(1 - side)

    def close(self):
        self.send(0, b"", self.FIN)
        self.send(1, b"", self.FIN)
        self.send(0)


WORDS = """the of and a to in is you that it he was for on are as with his they I at be this have from or one had by
word but not what all were we when your can said there use an each which she do how their if will up other about out
<div> </div> <p> </p> <a href="/page/"> function return var width height color style class script""".split()


def http(capture, flows, chance, first=0):
    for flow in range(first, first + flows):
        connection = Connection(capture, 20000 + flow % 40000, 80)
        for number in range(10):
            path = "/%s/%s.html?id=%d" % (chance.choice(WORDS[:40]), chance.choice(WORDS[:40]), chance.randrange(10**6))
            connection.send(0, (
                "GET %s HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 "
                "Firefox/128.0\r\nAccept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\n"
                "Cookie: session=%032x\r\n\r\n" % (path, chance.getrandbits(128))).encode())
            size = chance.choice([300, 1200, 3000, 8000, 30000])
            words = " ".join(chance.choices(WORDS, k=size // 4))[:size].encode()
            connection.send(1, (
                "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n"
                "Connection: keep-alive\r\n\r\n" % len(words)).encode() + words)
        connection.close()


def bulk(capture, segments, chance):
    connection = Connection(capture, 40000, 5201)
    block = chance.randbytes(1 << 17)
    at = 0
    for _ in range(0, segments, 2):
        connection.send(0, (block + block)[at:at + 2 * 1448])
        at = (at + 2 * 1448) % len(block)
    connection.close()


def conversation(kind):
    """Makes captures of one kind of conversation, each from a port of its own."""
    def make(capture, flows, chance):
        for flow in range(flows):
            converse(kind, capture, 20000 + flow % 40000, chance)
    return make


def converse(kind, capture, port, chance):
    conversations.KINDS[kind](
        lambda server_port: Connection(capture, port, server_port),
        lambda server_port, client_port=port: Datagrams(capture, client_port, server_port), chance)


def mixed(capture, flows, chance):
    """Each protocol has ports of its own, so that none stands for another."""
    for flow in range(flows):
        http(capture, 1, chance, flow)
        for place, kind in enumerate(conversations.KINDS, 1):
            converse(kind, capture, 20000 + 2000 * place + flow % 2000, chance)


def main():
    kinds = {"http": http, "bulk": bulk, "mixed": mixed}
    kinds.update((kind, conversation(kind)) for kind in conversations.KINDS)
    if len(sys.argv) != 4 or sys.argv[1] not in kinds or not sys.argv[2].isdigit():
        sys.exit(__doc__.format(kinds=", ".join(conversations.KINDS)))
    kinds[sys.argv[1]](Capture(sys.argv[3]), int(sys.argv[2]), random.Random(1))


if __name__ == "__main__":
    main()
