"""Small servers for the tests, on all addresses of both families.

UDP 53    answers each DNS query with one address
UDP 9999  writes down what comes
TCP 7000  writes down what comes and answers each piece with its length
TCP 2222  speaks first, then echoes
TCP 8081  answers a request in pieces, with words that rules look for
TCP 8082  takes an HTTP request whole, writes down its body and answers "taken"
"""

import socket
import sys
import threading
import time

folder = sys.argv[1]
lock = threading.Lock()


def note(name, octets):
    with lock, open(f"{folder}/{name}", "ab") as file:
        file.write(octets)


def udp(port, answer):
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind(("::", port))
    while True:
        octets, peer = server.recvfrom(4096)
        reply = answer(octets)
        if reply:
            server.sendto(reply, peer)


def tcp(port, serve):
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)

    def guarded(connection):
        with connection:
            try:
                serve(connection)
            except OSError:
                pass

    while True:
        connection, _ = server.accept()
        threading.Thread(target=guarded, args=(connection,), daemon=True).start()


def dns(query):
    note("dns", query)
    if len(query) < 17:
        return None
    end = query.index(b"\0", 12) + 5
    header = query[:2] + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
    return header + query[12:end] + b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01"


def record_datagram(octets):
    note("udp", octets + b"\n")


def record(connection):
    while octets := connection.recv(65536):
        note("tcp", octets)
        connection.sendall(b"%d\n" % len(octets))


def speak_first(connection):
    connection.sendall(b"220 speaks first\r\n")
    while octets := connection.recv(65536):
        note("first", octets)
        connection.sendall(octets)


def pieces(connection):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 60\r\n\r\n" + b"a" * 20)
    time.sleep(0.05)
    connection.sendall(b"ATTACK-IN-")
    time.sleep(0.05)
    connection.sendall(b"RESPONSE" + b"b" * 22)


def take(connection):
    octets = b""
    while b"\r\n\r\n" not in octets:
        more = connection.recv(65536)
        if not more:
            return
        octets += more
    head, _, body = octets.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    note("sink", body)
    count = len(body)
    while count < length and (more := connection.recv(65536)):
        note("sink", more)
        count += len(more)
    if count == length:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\ntaken")


for work in (
    lambda: udp(53, dns),
    lambda: udp(9999, record_datagram),
    lambda: tcp(7000, record),
    lambda: tcp(2222, speak_first),
    lambda: tcp(8081, pieces),
    lambda: tcp(8082, take),
):
    threading.Thread(target=work, daemon=True).start()
threading.Event().wait()
