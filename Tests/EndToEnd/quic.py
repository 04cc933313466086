"""QUIC Initials (RFC 9001) for the tests, and who takes them.

quic.py serve FILE            notes each datagram to UDP 443 by its length, a line each
quic.py open ADDRESS [COUNT]  sends the two Initials that make up the hello of q.example, then COUNT more datagrams; prints
                              "refused" where ICMP says that nobody is there, else "silent"
"""

import socket
import sys
import time

# The hello (q.example, h3, TLS 1.3) in two pieces, made with another implementation of AES-GCM; the second piece first.
INITIALS = [
    "c400000001088394c8f03e51570802aabb004059b3f5469c51f59e6fa234c1a74f95e08877c32c101cfeab596635d40ede03ea4a65b41c75e16e"
    "47091f6a7c3c27f813f5e075d00268d731e3ba76a4ddd08b31691433aa505bf8f9038e82ecc256a9077395259daf41c37d6392",
    "c600000001088394c8f03e51570802aabb004053ab606b3cabfc2f86c2ceb2de9fa4327ce62563678a8ba3f7600884e02455e55e04f239dbc4fb"
    "4f54b787813d2434518ff8471909c6c992dc16447218b60db9c61a0fc89476ff61c845ad9c02d147c51b53bdff",
]

if sys.argv[1] == "serve":
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind(("::", 443))
    while True:
        octets, _ = server.recvfrom(4096)
        with open(sys.argv[2], "a") as file:
            file.write(f"{len(octets)}\n")
else:
    family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
    client = socket.socket(family, socket.SOCK_DGRAM)
    client.connect((sys.argv[2], 443))
    client.settimeout(1)
    more = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    try:
        for text in INITIALS + [INITIALS[0]] * more:
            client.send(bytes.fromhex(text))
            time.sleep(0.1)
        client.recv(2000)
        print("answered")
    except ConnectionRefusedError:
        print("refused")
    except TimeoutError:
        print("silent")
