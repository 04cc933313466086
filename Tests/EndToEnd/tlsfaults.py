"""Faults of TLS connections that no ordinary program has: tlsfaults.py KIND WORDS...

cutter PORT TO      a server that passes on to 127.0.0.1:TO and resets both sides after so many octets of an answer as the
                    client's port says: (port - 20000) octets
stall PORT          a TLS server that reads nothing after the handshake: stall PORT CERTIFICATE KEY
names PORT DIR KEY  a server with a certificate for each name, DIR/NAME.pem; it answers with the name
halves HOST PORT N  N connections, each with the first half of a ClientHello; prints a line once they stand and ends with its input
drip HOST PORT      a ClientHello an octet at a time, a second apart; prints how the other side ended it
tiny HOST PORT CA N a request in records of one octet each, N octets of body
upload HOST PORT CA N N connections that upload without end until they are stopped; prints what was taken once nothing moves
"""

import os
import select
import socket
import ssl
import struct
import sys
import threading
import time

RESET = struct.pack("ii", 1, 0)


def hello(name="www.origin.test"):
    """A ClientHello of this machine's library, as it would be sent."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    session = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def cutter(port, to):
    listener = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)

    def serve(peer, name):
        left = name[1] - 20000
        with socket.create_connection(("127.0.0.1", int(to))) as server, peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            try:
                while True:
                    ready, _, _ = select.select([peer, server] if left > 0 else [peer], [], [], 5)
                    if peer in ready:
                        piece = peer.recv(65536)
                        if not piece or left <= 0:
                            return
                        server.sendall(piece)
                    if server in ready:
                        piece = server.recv(min(left, 65536))
                        if not piece:
                            return
                        peer.sendall(piece)
                        left -= len(piece)
                        if left <= 0:
                            time.sleep(0.05)
                            return
                    if not ready:
                        return
            except OSError:
                pass

    while True:
        peer, name = listener.accept()
        threading.Thread(target=serve, args=(peer, name), daemon=True).start()


def stall(port, certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
    kept = []
    while True:
        peer, _ = listener.accept()
        try:
            kept.append(context.wrap_socket(peer, server_side=True))
        except OSError:
            pass


def names(port, folder, key):
    def choose(connection, name, _):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(folder, os.path.basename(name) + ".pem"), key)
        connection.context = context
        connection.wanted = name

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = choose
    listener = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)

    def serve(peer):
        try:
            with context.wrap_socket(peer, server_side=True) as connection:
                connection.settimeout(20)
                connection.recv(65536)
                body = connection.wanted.encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
        except OSError:
            pass

    while True:
        peer, _ = listener.accept()
        threading.Thread(target=serve, args=(peer,), daemon=True).start()


def halves(host, port, count):
    half = hello()[:100]
    kept = []
    for _ in range(int(count)):
        connection = socket.create_connection((host, int(port)), timeout=20)
        connection.sendall(half)
        kept.append(connection)
    print(len(kept), flush=True)
    sys.stdin.read()


def drip(host, port):
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        try:
            for octet in hello():
                connection.sendall(bytes([octet]))
                connection.settimeout(1)
                try:
                    connection.recv(1)
                    break
                except TimeoutError:
                    pass
        except OSError:
            pass
    print("ended", flush=True)


def secure(host, port, ca):
    context = ssl.create_default_context(cafile=ca)
    return context.wrap_socket(socket.create_connection((host, int(port)), timeout=20), server_hostname="www.origin.test")


def tiny(host, port, ca, count):
    with secure(host, port, ca) as connection:
        connection.sendall(f"POST /sink HTTP/1.1\r\nHost: www.origin.test\r\nContent-Length: {count}\r\nConnection: close\r\n\r\n".encode())
        for _ in range(int(count)):
            connection.send(b"y")
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    print(answer.split(b"\r\n\r\n", 1)[1].decode(), flush=True)


def upload(host, port, ca, count):
    taken = [0] * int(count)

    def run(place):
        connection = secure(host, port, ca)
        connection.settimeout(5)
        try:
            while taken[place] < 200_000_000:
                taken[place] += connection.send(b"z" * 65536)
        except OSError:
            pass
        kept.append(connection)

    kept = []
    threads = [threading.Thread(target=run, args=(place,)) for place in range(int(count))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(taken), flush=True)
    sys.stdin.read()


globals()[sys.argv[1]](*sys.argv[2:])
