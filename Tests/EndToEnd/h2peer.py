"""HTTP/2 by hand, frame by frame, for what ordinary clients and servers don't do at will.

h2peer.py serve PORT CERTIFICATE KEY FILE     answers requests, echoes gRPC, accepts WebSockets (RFC 8441); notes paths and DATA
h2peer.py ask NAME PORT AUTHORITY SCENARIO... prints what came of it, a line for each stream
"""

import os
import socket
import ssl
import struct
import sys
import threading
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4


class Table:
    """HPACK (RFC 7541) as far as literals and the dynamic table go; both peers write so."""

    def __init__(self):
        self.entries = []

    @staticmethod
    def number(value, prefix, first):
        most = (1 << prefix) - 1
        if value < most:
            return bytes([first | value])
        out, rest = [first | most], value - most
        while rest >= 128:
            out.append(rest & 127 | 128)
            rest >>= 7
        return bytes(out + [rest])

    def encode(self, fields):
        out = b""
        for field in fields:
            if field in self.entries:
                out += self.number(62 + self.entries.index(field), 7, 0x80)
                continue
            self.entries.insert(0, field)
            out += b"\x40" + b"".join(self.number(len(part), 7, 0) + part.encode() for part in field)
        return out

    def decode(self, block):
        fields, at = [], 0

        def number(prefix):
            nonlocal at
            most = (1 << prefix) - 1
            value = block[at] & most
            at += 1
            if value == most:
                shift = 0
                while True:
                    byte = block[at]
                    at += 1
                    value += (byte & 127) << shift
                    shift += 7
                    if byte < 128:
                        break
            return value

        def text():
            nonlocal at
            count = number(7)
            at += count
            return block[at - count : at].decode()

        while at < len(block):
            byte = block[at]
            if byte & 0x80:
                fields.append(self.entries[number(7) - 62])
                continue
            if byte & 0xE0 == 0x20:
                number(5)
                continue
            keeps = byte & 0xC0 == 0x40
            index = number(6 if keeps else 4)
            name = {0: None, 8: ":status"}[index] or text()
            field = (name, text())
            if keeps:
                self.entries.insert(0, field)
            fields.append(field)
        return dict(fields)


class Connection:
    def __init__(self, stream):
        self.stream, self.out, self.into, self.lock = stream, Table(), Table(), threading.Lock()

    def send(self, kind, flags, stream, payload=b""):
        with self.lock:
            self.stream.sendall(struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload)

    def headers(self, stream, fields, flags=0):
        self.send(HEADERS, END_HEADERS | flags, stream, self.out.encode(fields))

    def exactly(self, count):
        octets = b""
        while len(octets) < count:
            more = self.stream.recv(count - len(octets))
            if not more:
                raise EOFError
            octets += more
        return octets

    def frame(self):
        head = self.exactly(9)
        payload = self.exactly(int.from_bytes(head[:3], "big"))
        return head[3], head[4], int.from_bytes(head[5:], "big"), payload


# ---- The server ----


def serve(port, certificate, key, path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])

    def note(octets):
        with open(path, "ab") as file:
            file.write(octets + b"\n")

    def answer(accepted):
        peer = Connection(context.wrap_socket(accepted, server_side=True))
        peer.send(SETTINGS, 0, 0, struct.pack(">HI", 8, 1))
        if peer.exactly(len(PREFACE)) != PREFACE:
            return
        streams = {}
        while True:
            kind, flags, stream, payload = peer.frame()
            if kind == SETTINGS and not flags & ACK:
                peer.send(SETTINGS, ACK, 0)
            elif kind == HEADERS:
                fields = peer.into.decode(payload)
                note(fields[":path"].encode())
                streams[stream] = fields
                if ":protocol" in fields:
                    peer.headers(stream, [(":status", "200")])
                elif fields[":path"].startswith("/grpc"):
                    peer.headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
                elif flags & END_STREAM:
                    page(peer, stream, fields)
            elif kind == DATA and stream in streams:
                note(payload)
                fields = streams[stream]
                if ":protocol" in fields:
                    text = bytes(byte ^ payload[2 + i % 4] for i, byte in enumerate(payload[6:]))
                    note(text)
                    peer.send(DATA, 0, stream, bytes([0x81, len(text)]) + text)
                elif fields[":path"].startswith("/grpc"):
                    peer.send(DATA, 0, stream, payload)
                    if flags & END_STREAM:
                        peer.headers(stream, [("grpc-status", "0")], END_STREAM)
                elif flags & END_STREAM:
                    page(peer, stream, fields)
            elif kind == RST:
                note(b"reset %d" % stream)

    def page(peer, stream, fields):
        peer.headers(stream, [(":status", "200"), ("x-path", fields[":path"])])
        text = b"page of " + fields[":path"].encode()
        if fields[":path"] == "/bad":
            peer.send(DATA, 0, stream, b"begins ")
            # What comes at once is looked at at once, and then not even the head would arrive.
            time.sleep(0.5)
            text = b"ATTACK-IN-RESPONSE"
        peer.send(DATA, END_STREAM, stream, text)

    def guarded(accepted):
        try:
            answer(accepted)
        except (OSError, EOFError):
            pass

    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    while True:
        accepted, _ = listener.accept()
        threading.Thread(target=guarded, args=(accepted,), daemon=True).start()


# ---- The client ----


class Client(Connection):
    def __init__(self, name, port, authority):
        context = ssl.create_default_context(cafile=authority)
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection((os.environ["ADDRESS"], port), timeout=5)
        super().__init__(context.wrap_socket(plain, server_hostname=name))
        self.name, self.seen, self.body, self.over = name, {}, {}, {}
        self.stream.sendall(PREFACE)
        self.send(SETTINGS, 0, 0)

    def request(self, stream, path, method="GET", more=(), ends=True):
        self.body[stream] = b""
        fields = [(":method", method), (":scheme", "https"), (":authority", self.name), (":path", path), *more]
        self.headers(stream, fields, END_STREAM if ends else 0)

    def data(self, stream, octets, ends=False):
        self.send(DATA, END_STREAM if ends else 0, stream, octets)

    def read(self):
        """One frame; what it says of its stream is kept."""
        kind, flags, stream, payload = self.frame()
        if kind == SETTINGS and not flags & ACK:
            self.send(SETTINGS, ACK, 0)
        elif kind == HEADERS:
            self.seen.setdefault(stream, {}).update(self.into.decode(payload))
        elif kind == DATA:
            self.body[stream] += payload
        elif kind == RST and stream not in self.over:
            self.over[stream] = "reset %d" % int.from_bytes(payload, "big")
        elif kind == GOAWAY:
            raise EOFError
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.over[stream] = "done"
        return kind, stream

    def wait(self, *streams):
        try:
            while not all(stream in self.over for stream in streams):
                self.read()
        except (OSError, EOFError):
            pass

    def tell(self, *streams):
        for stream in streams:
            fields = self.seen.get(stream, {})
            print(stream, fields.get(":status", "-"), self.over.get(stream, "lost"), self.body[stream].decode(), fields.get("grpc-status", ""))


def masked(text):
    key = b"\x01\x02\x03\x04"
    return bytes([0x81, 0x80 | len(text)]) + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(text))


def ask(name, port, authority, scenario, *words):
    client = Client(name, port, authority)
    if scenario == "websocket":
        client.request(1, "/chat", "CONNECT", [(":protocol", "websocket")], ends=False)
        try:
            while 1 not in client.seen:
                client.read()
            for word in words:
                client.data(1, masked(word.encode()))
                before = len(client.body[1])
                while len(client.body[1]) == before and 1 not in client.over:
                    client.read()
        except (OSError, EOFError):
            client.over.setdefault(1, "lost")
        replies, rest = [], client.body[1]
        while rest:
            replies.append(rest[2 : 2 + rest[1]].decode())
            rest = rest[2 + rest[1] :]
        print(client.seen.get(1, {}).get(":status", "-"), client.over.get(1, "open"), *replies)
    elif scenario == "streams":
        # The same fields again and again: later ones stand for the first ones in the table.
        for place, path in enumerate(words):
            client.request(1 + 2 * place, path)
        client.wait(*client.body)
        client.request(101, "/after")
        client.wait(101)
        client.tell(*client.body)
    elif scenario == "upload":
        client.request(1, "/upload", "POST", ends=False)
        client.request(3, "/other", "POST", ends=False)
        for word in words:
            time.sleep(0.2)
            client.data(1, word.encode())
            client.data(3, b"x")
        try:
            client.data(1, b"the end", ends=True)
            client.data(3, b"the end", ends=True)
        except OSError:
            pass
        client.wait(1, 3)
        client.tell(1, 3)
    elif scenario == "grpc":
        client.request(1, "/grpc.Echo/Say", "POST", [("content-type", "application/grpc"), ("te", "trailers")], ends=False)
        for place, word in enumerate(words):
            client.data(1, b"\0" + struct.pack(">I", len(word)) + word.encode(), ends=place == len(words) - 1)
            want = sum(5 + len(one) for one in words[: place + 1])
            while len(client.body[1]) < want:
                client.read()
        client.wait(1)
        client.tell(1)


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]), *sys.argv[3:])
else:
    ask(sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
