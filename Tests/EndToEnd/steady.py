"""Requests all the time over connections that stay open, to see whether anything is lost.

steady.py HOST PORT SECONDS CONNECTIONS [PATH]

Each connection asks again as soon as it has its answer, and waits for it as long as the sender's retransmissions may
take. Prints how many answers there were, how many failures, and the 50th, the 99th percentile and the most of the
time that an answer took, in milliseconds.
"""

import select
import socket
import sys
import time

host, port, seconds, count = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
path = sys.argv[5] if len(sys.argv) > 5 else "/1k"
request = f"GET {path} HTTP/1.1\r\nHost: www.origin.test\r\n\r\n".encode()
PATIENCE = 30


class Client:
    def __init__(self):
        self.socket = socket.create_connection((host, port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ask()

    def ask(self):
        self.got, self.wanted, self.begin = b"", None, time.monotonic()
        self.socket.sendall(request)

    def hear(self):
        """Whether the answer is complete."""
        octets = self.socket.recv(65536)
        if not octets:
            raise ConnectionError("closed")
        self.got += octets
        if self.wanted is None and b"\r\n\r\n" in self.got:
            head = self.got[:self.got.index(b"\r\n\r\n") + 4]
            if not head.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(head[:20])
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            self.wanted = len(head) + int(length[15:])
        return self.wanted is not None and len(self.got) >= self.wanted


times, failures = [], 0
clients = {}
end = time.monotonic() + seconds
for _ in range(count):
    client = Client()
    clients[client.socket] = client
while clients:
    readable, _, _ = select.select(list(clients), [], [], 0.5)
    now = time.monotonic()
    for one in readable:
        client = clients[one]
        try:
            if client.hear():
                times.append(now - client.begin)
                if now < end:
                    client.ask()
                else:
                    del clients[one]
        except OSError:
            failures += 1
            del clients[one]
    for one in [one for one, client in clients.items() if now - client.begin > PATIENCE]:
        failures += 1
        del clients[one]
times.sort()


def at(part):
    return f"{times[min(len(times) - 1, int(len(times) * part))] * 1000:.1f}" if times else "-"


print(len(times), failures, at(0.5), at(0.99), at(1))
