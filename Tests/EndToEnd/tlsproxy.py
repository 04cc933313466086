"""A proxy that is spoken to by TLS: takes CONNECT to anything and connects to 127.0.0.1 instead. tlsproxy.py PORT CERTIFICATE KEY"""

import socket
import ssl
import sys
import threading

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])


def copy(source, sink):
    try:
        while octets := source.recv(65536):
            sink.sendall(octets)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(connection):
    try:
        inside = context.wrap_socket(connection, server_side=True)
        head = b""
        while b"\r\n\r\n" not in head:
            more = inside.recv(4096)
            if not more:
                return
            head += more
        target = head.split(b" ")[1].decode()
        server = socket.create_connection(("127.0.0.1", int(target.rsplit(":", 1)[1])))
        inside.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=copy, args=(server, inside), daemon=True).start()
        copy(inside, server)
    except OSError:
        connection.close()


listener = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
while True:
    accepted, _ = listener.accept()
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
