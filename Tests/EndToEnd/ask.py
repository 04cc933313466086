"""Clients for the tests. Prints one line that says what came of it.

ask.py udp HOST PORT TEXT           the answer's length, "nothing", or the error that ICMP brought
ask.py dns HOST NAME                the same for a query of NAME
ask.py tcp HOST PORT PIECE...       sends the pieces one by one, each in a segment of its own
ask.py first HOST PORT TEXT         waits for the server's line, sends TEXT, prints both answers
ask.py hold HOST PORT SECONDS FILE  connects, makes FILE, waits, then says whether the connection still works
"""

import errno
import socket
import sys
import time

kind, host = sys.argv[1:3]


def connect(port):
    connection = socket.create_connection((host, int(port)), timeout=3)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def datagram(port, octets):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.connect((host, port))
        client.send(octets)
        print(len(client.recv(4096)))


try:
    if kind == "udp":
        datagram(int(sys.argv[3]), sys.argv[4].encode())
    elif kind == "dns":
        name = b"".join(bytes([len(part)]) + part.encode() for part in sys.argv[3].split("."))
        datagram(53, b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0" + name + b"\0\x00\x01\x00\x01")
    elif kind == "tcp":
        with connect(sys.argv[3]) as connection:
            got = b""
            for piece in sys.argv[4:]:
                connection.sendall(piece.encode())
                got += connection.recv(4096)
            print(got.decode().replace("\n", " "))
    elif kind == "first":
        with connect(sys.argv[3]) as connection:
            first = connection.recv(4096)
            connection.sendall(sys.argv[4].encode())
            print(first.decode().strip(), connection.recv(4096).decode())
    elif kind == "hold":
        with connect(sys.argv[3]) as connection:
            connection.sendall(b"one")
            connection.recv(4096)
            open(sys.argv[5], "w").close()
            time.sleep(float(sys.argv[4]))
            connection.sendall(b"two")
            print("works" if connection.recv(4096) else "ended")
except TimeoutError:
    print("nothing")
except OSError as error:
    print(errno.errorcode.get(error.errno, error))
