"""Servers that speak TLS after something else, for the tests; see upgrade.py for the client.

upgrades.py CERTIFICATE KEY

TCP 2525  SMTP with STARTTLS
TCP 3128  HTTP proxy: answers CONNECT and is the server itself
TCP 1080  SOCKS5 proxy: the same
TCP 5432  PostgreSQL's request for TLS
TCP 6443  TLS at once

Inside TLS each answers an HTTP request with as many octets as its path asks for (/1000).
"""

import socket
import ssl
import sys
import threading

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])


def line(connection):
    octets = b""
    while not octets.endswith(b"\r\n"):
        octet = connection.recv(1)
        if not octet:
            return b""
        octets += octet
    return octets


def smtp(connection):
    connection.sendall(b"220 mail.origin.test ESMTP\r\n")
    while command := line(connection):
        if command.startswith(b"EHLO"):
            connection.sendall(b"250-mail.origin.test\r\n250 STARTTLS\r\n")
        elif command.startswith(b"STARTTLS"):
            connection.sendall(b"220 go ahead\r\n")
            return True
        else:
            connection.sendall(b"500 what\r\n")
    return False


def proxy(connection):
    if not line(connection).startswith(b"CONNECT "):
        return False
    while line(connection) not in (b"\r\n", b""):
        pass
    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    return True


def socks(connection):
    connection.recv(3)
    connection.sendall(b"\x05\x00")
    connection.recv(300)
    connection.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
    return True


def postgres(connection):
    if connection.recv(8) != b"\x00\x00\x00\x08\x04\xd2\x16\x2f":
        return False
    connection.sendall(b"S")
    return True


def at_once(_):
    return True


def serve(connection, prepare):
    with connection:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not prepare(connection):
                return
            with context.wrap_socket(connection, server_side=True) as inside:
                request = b""
                while b"\r\n\r\n" not in request:
                    more = inside.recv(65536)
                    if not more:
                        return
                    request += more
                count = int(request.split(b" ")[1].strip(b"/") or b"0")
                body = bytes(index * 7 & 255 for index in range(256)) * (count // 256 + 1)
                inside.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % count + body[:count])
                inside.recv(1)
        except OSError:
            pass


def listen(port, prepare):
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(connection, prepare), daemon=True).start()


for port, prepare in ((2525, smtp), (3128, proxy), (1080, socks), (5432, postgres), (6443, at_once)):
    threading.Thread(target=listen, args=(port, prepare), daemon=True).start()
threading.Event().wait()
