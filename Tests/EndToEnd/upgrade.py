"""TLS clients for the tests: begin in another protocol, then go over to TLS, and check every octet.

upgrade.py KIND HOST PORT CA-FILE [COUNT [PARALLEL [OCTETS [PIECE]]]]

KIND is smtp, connect, socks, postgres, tls. PIECE cuts the first flight into pieces of so many octets.
Prints how many were right and whose certificate they saw: "1000 right, 0 wrong, Sluice".
"""

import socket
import ssl
import sys
import threading

kind, host, port, ca = sys.argv[1:5]
count, parallel, octets, piece = (int(word) for word in (sys.argv[5:] + ["1", "1", "1000", "0"][len(sys.argv) - 5:]))
context = ssl.create_default_context(cafile=ca)
context.check_hostname = False
lock = threading.Lock()
left = count
results = {"right": 0, "wrong": 0}
issuers = set()
errors = set()


def prepare(plain):
    reader = plain.makefile("rb", buffering=0)
    if kind == "smtp":
        reader.readline()
        plain.sendall(b"EHLO client\r\n")
        while reader.readline()[3:4] == b"-":
            pass
        plain.sendall(b"STARTTLS\r\n")
        reader.readline()
    elif kind == "connect":
        plain.sendall(b"CONNECT www.origin.test:443 HTTP/1.1\r\nHost: www.origin.test:443\r\n\r\n")
        while reader.readline() not in (b"\r\n", b""):
            pass
    elif kind == "socks":
        plain.sendall(b"\x05\x01\x00")
        plain.recv(2)
        plain.sendall(b"\x05\x01\x00\x03\x0fwww.origin.test\x01\xbb")
        plain.recv(10)
    elif kind == "postgres":
        plain.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
        plain.recv(1)


def shake(plain):
    """A handshake whose first flight is sent in pieces."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="www.origin.test")
    first = True
    while True:
        try:
            tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            done = False
        flight = outgoing.read()
        step = piece if first and piece else max(1, len(flight))
        for start in range(0, len(flight), step):
            plain.sendall(flight[start:start + step])
        first = False
        if done:
            return tls, incoming, outgoing
        more = plain.recv(65536)
        if not more:
            raise OSError("closed in the handshake")
        incoming.write(more)


def one():
    with socket.create_connection((host, int(port)), timeout=30) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        prepare(plain)
        tls, incoming, outgoing = shake(plain)
        issuer = dict(pair[0] for pair in tls.getpeercert()["issuer"])
        with lock:
            issuers.add("Sluice" if "Sluice" in str(issuer) else "origin")
        tls.write(b"GET /%d HTTP/1.1\r\nHost: www.origin.test\r\n\r\n" % octets)
        plain.sendall(outgoing.read())
        answer = b""
        wanted = None
        while wanted is None or len(answer) < wanted:
            try:
                answer += tls.read(65536)
            except ssl.SSLWantReadError:
                more = plain.recv(65536)
                if not more:
                    raise OSError("closed in the answer")
                incoming.write(more)
            if wanted is None and b"\r\n\r\n" in answer:
                wanted = answer.index(b"\r\n\r\n") + 4 + octets
        body = answer[wanted - octets:]
        return body == (bytes(index * 7 & 255 for index in range(256)) * (octets // 256 + 1))[:octets]


def work():
    global left
    while True:
        with lock:
            if left == 0:
                return
            left -= 1
        try:
            right = one()
        except (OSError, ValueError, KeyError) as error:
            right = False
            with lock:
                errors.add(str(error))
        with lock:
            results["right" if right else "wrong"] += 1


threads = [threading.Thread(target=work) for _ in range(parallel)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(f"{results['right']} right, {results['wrong']} wrong, {' '.join(sorted(issuers))}{' ' if errors else ''}"
      + "; ".join(sorted(errors))[:300])
