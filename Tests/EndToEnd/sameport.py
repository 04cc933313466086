"""TLS connections one right after the other from one port, each cut off by a reset: sameport.py ADDRESS PORT CA COUNT.

Prints how many had their answer, and how often the kernel had to ask again for a connection.
"""
import socket
import ssl
import struct
import sys
import time

address, port, authority, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])


def asked_again():
    with open("/proc/self/net/netstat") as lines:
        names, values = [line.split() for line in lines if line.startswith("TcpExt:")]
    return int(values[names.index("TCPSynRetrans")])


context = ssl.create_default_context(cafile=authority)
before, answered = asked_again(), 0
for _ in range(count):
    # Else the server may not have heard yet that the one before is over.
    time.sleep(0.5)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.bind(("", 45001))
        client.settimeout(10)
        client.connect((address, port))
        tls = context.wrap_socket(client, server_hostname="www.origin.test")
        tls.sendall(b"GET / HTTP/1.1\r\nHost: www.origin.test\r\n\r\n")
        answered += tls.recv(65536).startswith(b"HTTP/1.1 200")
        tls.close()
print(f"{answered} answered, {asked_again() - before} asked again")
