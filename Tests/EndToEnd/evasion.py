"""Attacks cut, reordered and disguised at the level of packets, made by hand, and a server that writes down what came of them.

evasion.py serve FOLDER PORT                        writes each connection's octets to FOLDER/PEER-PORT, datagrams likewise
evasion.py send FOLDER INTERFACE MAC CLIENT HOST PORT WORD BASE
    plays every case, each over a connection of its own from CLIENT, an address that no system answers for, from
    ports of its own that begin at BASE;
    WORD is what the cases say: an attack that rules stop, or something as long that they do not.
    Prints for each "CASE arrived", "CASE other" (the server got octets in its place) or "CASE nothing".

MAC is the next hop's. Frames go out by a packet socket, so nothing corrects them on the way.
- Source: Ptacek and Newsham, "Insertion, Evasion, and Denial of Service"; RFC 9293, RFC 7323, RFC 5722.
"""

import os
import socket
import struct
import sys
import threading
import time

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
DECOY = b"decoy-and-decoy"
# Time for everything that was sent to be answered, sent again by nobody, and written down.
PATIENCE = 3


# ---- The server ----


def serve(folder, port):
    def note(peer, octets):
        with open(f"{folder}/{peer}", "ab") as file:
            file.write(octets)

    def take(connection, peer):
        with connection:
            try:
                while octets := connection.recv(65536):
                    note(peer[1], octets)
            except OSError:
                pass

    def datagrams():
        receiver = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        receiver.bind(("::", port))
        while True:
            octets, peer = receiver.recvfrom(65536)
            note(peer[1], octets)

    threading.Thread(target=datagrams, daemon=True).start()
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=256)
    while True:
        threading.Thread(target=take, args=server.accept(), daemon=True).start()


# ---- Packets ----


def total(octets):
    if len(octets) % 2:
        octets += b"\0"
    value = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while value >> 16:
        value = (value & 0xFFFF) + (value >> 16)
    return ~value & 0xFFFF


class Wire:
    """A packet socket, and the addresses at both ends."""

    def __init__(self, interface, mac, client, host, base):
        self.is_six = ":" in host
        family = socket.AF_INET6 if self.is_six else socket.AF_INET
        self.ethertype = 0x86DD if self.is_six else 0x0800
        self.source, self.target = socket.inet_pton(family, client), socket.inet_pton(family, host)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(self.ethertype))
        self.socket.bind((interface, self.ethertype))
        self.place = (interface, self.ethertype, 0, 0, bytes.fromhex(mac.replace(":", "")))
        # Fragments that never became a packet wait for half a minute: another run must not meet them.
        self.identification = base
        self.answers = {}

    def checksum(self, protocol, segment):
        return total(self.source + self.target + struct.pack("!IHH", len(segment), 0, protocol) + segment)

    def headed(self, protocol, payload, ttl=64, options=b"", fragment=None):
        """An IP packet; `fragment` is offset in octets, whether more follow, identification."""
        if not self.is_six:
            offset, more, identification = fragment or (0, False, 0)
            words = struct.pack(
                "!BBHHHBBH4s4s", 0x40 | (20 + len(options)) // 4, 0, 20 + len(options) + len(payload), identification & 0xFFFF,
                (0x2000 if more else 0) | offset // 8, ttl, protocol, 0, self.source, self.target)
            check = total(words + options)
            return words[:10] + struct.pack("!H", check) + words[12:] + options + payload
        follows = protocol
        if fragment:
            offset, more, identification = fragment
            payload = struct.pack("!BBHI", follows, 0, offset | (1 if more else 0), identification) + payload
            follows = 44
        if options:
            payload, follows = bytes([follows]) + options[1:] + payload, options[0]
        return struct.pack("!IHBB16s16s", 6 << 28, len(payload), follows, ttl, self.source, self.target) + payload

    def send(self, packet):
        self.socket.sendto(packet, self.place)

    def send_fragments(self, protocol, payload, pieces, **how):
        """`pieces` are (from, to, octets or None for what is there); in the order of sending."""
        self.identification += 1
        for begin, end, other in pieces:
            octets = payload[begin:end] if other is None else other
            self.send(self.headed(protocol, octets, fragment=(begin, end < len(payload), self.identification), **how))

    def listen(self):
        """Hands answers to their connections, by port."""
        while True:
            octets = self.socket.recv(65536)
            header = 40 if self.is_six else (octets[0] & 15) * 4
            protocol = octets[6] if self.is_six else octets[9]
            to = octets[24:40] if self.is_six else octets[16:20]
            if protocol != 6 or to != self.source or len(octets) < header + 20:
                continue
            port, sequence, acknowledged, offset, flags = struct.unpack("!HIIBB", octets[header + 2:header + 14])
            options = octets[header + 20:header + (offset >> 4) * 4]
            if port in self.answers:
                self.answers[port](sequence, acknowledged, flags, options)


class Connection:
    """A TCP client that says what it is told to and nothing else."""

    def __init__(self, wire, port, server_port, timestamps=False, first=None, syn_payload=b"", answers=True):
        self.wire, self.port, self.server_port = wire, port, server_port
        self.first = (port * 7919 + 1) & 0xFFFFFFFF if first is None else first
        self.acknowledgement, self.is_open = 0, threading.Event()
        self.has_timestamps, self.clock, self.echo = timestamps, 1_000_000, 0
        wire.answers[port] = self.hear
        options = b"\x02\x04\x05\xb4" + (b"\x04\x02\x08\x0a" + struct.pack("!II", self.clock, 0) if timestamps else b"")
        self.packet(syn_payload, -1, flags=SYN, options=options)
        if not self.is_open.wait(5):
            raise TimeoutError("no connection")
        if answers:
            self.packet(b"", 0)

    def hear(self, sequence, _, flags, options):
        if flags & (SYN | ACK) == SYN | ACK and not self.is_open.is_set():
            self.acknowledgement = (sequence + 1) & 0xFFFFFFFF
            place = options.find(b"\x08\x0a")
            if place >= 0:
                self.echo = struct.unpack("!I", options[place + 2:place + 6])[0]
            self.is_open.set()

    def segment(self, octets, offset, flags=PSH | ACK, acknowledge=0, urgent=0, options=None, broken=False, age=0, window=64240):
        """`offset` counts from the first octet of data; `acknowledge` is what is added to the right number."""
        if options is None:
            options = b""
            if self.has_timestamps:
                self.clock += 1
                options = b"\x01\x01\x08\x0a" + struct.pack("!II", (self.clock - age) & 0xFFFFFFFF, self.echo)
        options += b"\0" * (-len(options) % 4)
        number = (self.acknowledgement + acknowledge) & 0xFFFFFFFF if flags & ACK else 0

        def words(check):
            return struct.pack(
                "!HHIIBBHHH", self.port, self.server_port, (self.first + 1 + offset) & 0xFFFFFFFF, number,
                (5 + len(options) // 4) << 4, flags, window, check, urgent) + options + octets

        check = self.wire.checksum(6, words(0))
        return words(check ^ 0x5555 if broken else check)

    def packet(self, octets, offset, ttl=64, ip_options=b"", **how):
        how.setdefault("flags", PSH | ACK if octets else ACK)
        self.wire.send(self.wire.headed(6, self.segment(octets, offset, **how), ttl=ttl, options=ip_options))

    def fragments(self, octets, offset, pieces, **how):
        segment = self.segment(octets, offset, **how)
        self.wire.send_fragments(6, segment, pieces(segment))


# ---- Cases: each gets a fresh connection, the word, and what stands in its place ----

CASES = {}


def case(function=None, **how):
    def put(function):
        CASES[function.__name__.replace("_", "-")] = (function, how)
        return function

    return put(function) if function else put


@case
def as_it_is(c, word, decoy):
    c.packet(word, 0)


@case
def two_halves(c, word, decoy):
    c.packet(word[:6], 0)
    c.packet(word[6:], 6)


@case
def single_octets(c, word, decoy):
    for place in range(len(word)):
        c.packet(word[place:place + 1], place)


@case
def single_octets_backwards(c, word, decoy):
    for place in reversed(range(len(word))):
        c.packet(word[place:place + 1], place)


@case
def halves_swapped(c, word, decoy):
    c.packet(word[6:], 6)
    c.packet(word[:6], 0)


@case
def every_second_first(c, word, decoy):
    for begin in (1, 0):
        for place in range(begin, len(word), 2):
            c.packet(word[place:place + 1], place)


@case
def each_twice(c, word, decoy):
    for place in range(len(word)):
        c.packet(word[place:place + 1], place)
        c.packet(word[place:place + 1], place)


@case(first=0xFFFFFFF8)
def numbers_wrap(c, word, decoy):
    c.packet(word[:4], 0)
    c.packet(word[4:], 4)


@case(answers=False)
def with_the_end_of_the_handshake(c, word, decoy):
    c.packet(word, 0)


@case(answers=False)
def halves_with_the_end_of_the_handshake(c, word, decoy):
    c.packet(word[:6], 0)
    c.packet(word[6:], 6)


@case(answers=False)
def swapped_halves_with_the_end_of_the_handshake(c, word, decoy):
    c.packet(word[6:], 6)
    c.packet(word[:6], 0)


@case(differs=True)
def waiting_decoy_first(c, word, decoy):
    c.packet(decoy[1:], 1)
    c.packet(word[1:], 1)
    c.packet(word[:1], 0)


@case(differs=True)
def waiting_decoy_last(c, word, decoy):
    c.packet(word[1:], 1)
    c.packet(decoy[1:], 1)
    c.packet(word[:1], 0)


@case(differs=True)
def waiting_decoy_begins_earlier(c, word, decoy):
    c.packet(word[6:], 6)
    c.packet(decoy[3:9], 3)
    c.packet(word[:6], 0)


@case(differs=True)
def waiting_decoy_ends_later(c, word, decoy):
    c.packet(word[3:9], 3)
    c.packet(decoy[6:], 6)
    c.packet(word[:3], 0)


@case(differs=True)
def waiting_decoy_around(c, word, decoy):
    c.packet(word[5:8], 5)
    c.packet(decoy[2:12], 2)
    c.packet(word[:5], 0)
    c.packet(word[8:], 8)


@case(differs=True)
def decoy_then_the_same_place(c, word, decoy):
    c.packet(decoy, 0)
    c.packet(word, 0)


@case(differs=True)
def decoy_then_longer(c, word, decoy):
    c.packet(decoy[:8], 0)
    c.packet(word, 0)


@case(differs=True)
def first_half_then_all_with_another(c, word, decoy):
    c.packet(word[:8], 0)
    c.packet(decoy[:8] + word[8:], 0)


@case(differs=True)
def short_life_decoy(c, word, decoy):
    c.packet(decoy, 0, ttl=1)
    c.packet(word, 0)


@case(ends=True)
def short_life_reset(c, word, decoy):
    c.packet(b"", 0, flags=RST | ACK, ttl=1)
    c.packet(word, 0)


@case(ends=True)
def short_life_end(c, word, decoy):
    c.packet(b"", 0, flags=FIN | ACK, ttl=1)
    c.packet(word, 0)


@case
def broken_checksum_decoy(c, word, decoy):
    c.packet(decoy, 0, broken=True)
    c.packet(word, 0)


@case
def broken_checksum_reset(c, word, decoy):
    c.packet(b"", 0, flags=RST | ACK, broken=True)
    c.packet(word, 0)


@case
def broken_checksum_end(c, word, decoy):
    c.packet(b"", 0, flags=FIN | ACK, broken=True)
    c.packet(word, 0)


@case
def reset_outside_the_window(c, word, decoy):
    c.packet(b"", 2_000_000, flags=RST | ACK)
    c.packet(word, 0)


@case
def reset_not_quite_there(c, word, decoy):
    c.packet(b"", 100, flags=RST)
    c.packet(word, 0)


@case
def decoy_outside_the_window(c, word, decoy):
    c.packet(decoy, 2_000_000)
    c.packet(word, 0)


@case(differs=True)
def decoy_without_acknowledgement(c, word, decoy):
    c.packet(decoy, 0, flags=PSH)
    c.packet(word, 0)


@case(differs=True)
def decoy_without_flags(c, word, decoy):
    c.packet(decoy, 0, flags=0)
    c.packet(word, 0)


@case
def decoy_that_acknowledges_the_future(c, word, decoy):
    c.packet(decoy, 0, acknowledge=1_000_000)
    c.packet(word, 0)


@case(timestamps=True)
def decoy_of_the_past(c, word, decoy):
    c.packet(decoy, 0, age=500_000)
    c.packet(word, 0)


@case(differs=True)
def decoy_with_a_signature(c, word, decoy):
    c.packet(decoy, 0, options=b"\x13\x12" + b"s" * 16)
    c.packet(word, 0)


@case
def second_opening(c, word, decoy):
    c.packet(b"", 500_000, flags=SYN)
    c.packet(word, 0)


@case
def second_opening_in_the_window(c, word, decoy):
    c.packet(decoy, 20, flags=SYN)
    c.packet(word, 0)


@case(syn_payload=DECOY)
def decoy_on_the_opening(c, word, decoy):
    c.packet(word, 0)


@case
def kept_alive_with_another_octet(c, word, decoy):
    c.packet(word[:6], 0)
    c.packet(b"X", 5)
    c.packet(word[6:], 6)


@case
def urgent_octet_between(c, word, decoy):
    c.packet(word[:6] + b"u" + word[6:], 0, flags=PSH | ACK | URG, urgent=7)


@case
def urgent_octet_alone(c, word, decoy):
    c.packet(word[:6], 0)
    c.packet(b"u", 6, flags=PSH | ACK | URG, urgent=1)
    c.packet(word[6:], 7)


@case
def urgent_pointer_far_away(c, word, decoy):
    c.packet(word, 0, flags=PSH | ACK | URG, urgent=500)


def eights(c, octets):
    """Pieces of eight octets. Systems refuse IPv6 packets whose headers reach beyond the first (RFC 7112)."""
    begin = 24 if c.wire.is_six else 8
    cuts = [0, *range(begin, len(octets), 8), len(octets)]
    return [(*pair, None) for pair in zip(cuts, cuts[1:])]


@case
def fragments_of_eight(c, word, decoy):
    c.fragments(word, 0, lambda s: eights(c, s))


@case
def fragments_backwards(c, word, decoy):
    c.fragments(word, 0, lambda s: eights(c, s)[::-1])


@case
def fragments_each_twice(c, word, decoy):
    c.fragments(word, 0, lambda s: [piece for piece in eights(c, s) for _ in (1, 2)])


@case
def fragments_decoy_first(c, word, decoy):
    c.fragments(word, 0, lambda s: [(0, 24, None), (32, len(s), decoy[:len(s) - 32]), (24, len(s), None)])


@case
def fragments_decoy_last(c, word, decoy):
    c.fragments(word, 0, lambda s: [(24, len(s), None), (32, len(s), decoy[:len(s) - 32]), (0, 24, None)])


@case
def fragments_decoy_begins_earlier(c, word, decoy):
    c.fragments(word, 0, lambda s: [(24, len(s), None), (16, 32, s[16:24] + decoy[:8]), (0, 24, None)])


@case
def halves_in_fragments(c, word, decoy):
    c.packet(word[:6], 0)
    c.fragments(word[6:], 6, lambda s: [(24, len(s), None), (0, 24, None)])


@case
def with_options(c, word, decoy):
    # IPv4: no operation; IPv6: destination options with padding.
    options = b"\x3c\x00\x01\x04\0\0\0\0" if c.wire.is_six else b"\x01\x01\x01\x00"
    c.packet(word, 0, ip_options=options)


def datagram(wire, port, server_port, word, pieces):
    def words(check):
        return struct.pack("!HHHH", port, server_port, 8 + len(word), check) + word

    payload = words(wire.checksum(17, words(0)))
    wire.send_fragments(17, payload, pieces(payload))


DATAGRAMS = {
    "datagram-in-fragments": lambda s: [(0, 16, None), (16, len(s), None)],
    "datagram-in-fragments-backwards": lambda s: [(16, len(s), None), (0, 16, None)],
    "datagram-with-a-decoy": lambda s: [(0, 8, None), (16, len(s), DECOY[:len(s) - 16]), (8, len(s), None)],
}


# ---- Playing them ----


def play(folder, interface, mac, client, host, server_port, word, base):
    """Plays each case from a port of its own, the first from `base`.

    No other run may come near it: where a port comes again, the server may hold a connection of it still, and
    answers no second opening.
    """
    wire = Wire(interface, mac, client, host, base)
    threading.Thread(target=wire.listen, daemon=True).start()
    played = []
    for place, (name, (function, how)) in enumerate(CASES.items()):
        port = base + place
        keys = ("timestamps", "first", "syn_payload", "answers")
        connection = Connection(wire, port, server_port, **{key: how[key] for key in keys if key in how})
        # A twin whose decoy said something else would be no twin where the network cannot know which is meant.
        decoy = DECOY[:len(word)] if not how.get("differs") or b"ATTACK" in word else word
        function(connection, word, decoy)
        # What ends the connection for everybody between may break it.
        played.append((name, "-ends" if how.get("ends") else "", port))
    for place, (name, pieces) in enumerate(DATAGRAMS.items()):
        port = base + len(CASES) + place
        datagram(wire, port, server_port, word, pieces)
        played.append((name, "", port))
    time.sleep(PATIENCE)
    for name, how, port in played:
        try:
            got = open(f"{folder}/{port}", "rb").read()
        except FileNotFoundError:
            got = b""
        print(name + how, "arrived" if word in got else "other" if got else "nothing")


if sys.argv[1] == "serve":
    serve(sys.argv[2], int(sys.argv[3]))
else:
    play(*sys.argv[2:7], int(sys.argv[7]), sys.argv[8].encode(), int(sys.argv[9]))
