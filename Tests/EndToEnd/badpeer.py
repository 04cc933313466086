"""A server whose answer to a ClientHello no library gives any more: badpeer.py PORT KIND."""

import socket
import struct
import sys
import threading


def server_hello(version, suite):
    """A ServerHello in a record of that version (RFC 5246 section 7.4.1.3)."""
    body = struct.pack(">H", version) + bytes(32) + b"\0" + struct.pack(">H", suite) + b"\0"
    message = b"\x02" + len(body).to_bytes(3, "big") + body
    return b"\x16" + struct.pack(">HH", version, len(message)) + message


# SSL 2.0: two octets of length with the high bit, message 4 (SERVER-HELLO), version 0.2, all else empty.
SSL2 = b"\x80\x0b\x04\x00\x01\x00\x02\x00\x00\x00\x00\x00\x00"

ANSWERS = {
    "ssl2": SSL2,
    "ssl3": server_hello(0x0300, 0x002F),
    "rc4": server_hello(0x0303, 0x0005),
    "3des": server_hello(0x0303, 0x000A),
    "garbage": b"HTTP/1.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
}


def serve(peer, kind):
    peer.settimeout(20)
    try:
        peer.recv(65536)
        if kind == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif kind == "drip":
            hello = server_hello(0x0303, 0xC02F)
            for octet in hello:
                peer.sendall(bytes([octet]))
                threading.Event().wait(2)
        elif kind == "mute":
            peer.recv(1)
        elif kind != "close":
            peer.sendall(ANSWERS[kind])
            peer.recv(65536)
    except OSError:
        pass
    peer.close()


def main():
    listener = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=serve, args=(peer, sys.argv[2]), daemon=True).start()


main()
