"""Connections that have had an answer and stay open: idle.py HOST PORT COUNT PATH FILE.

Makes FILE when all have had theirs, and ends when FILE is gone.
"""

import os
import socket
import sys
import time

host, port, count, path, file = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
connections = []
for _ in range(count):
    connection = socket.create_connection((host, port), timeout=30)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: www.origin.test\r\n\r\n".encode())
    got = b""
    while b"\r\n\r\n" not in got:
        got += connection.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    rest = int(length[15:]) - len(body)
    while rest > 0:
        rest -= len(connection.recv(65536))
    connections.append(connection)
open(file, "w").close()
while os.path.exists(file):
    time.sleep(0.1)
