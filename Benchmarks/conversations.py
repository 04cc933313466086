"""What is said in the captures of captures.py, protocol by protocol.

Each function makes one connection of its protocol: `connect(port)` opens one over TCP, `datagrams(port)` begins an
exchange over UDP; both have `send(side, octets)`, 0 for the client. `chance` alone decides what differs.
"""
import base64
import struct

from quic import initial

NAMES = ("www", "mail", "static", "api", "login", "cdn", "news", "shop", "img", "docs")
DOMAINS = (b"example.com", b"example.net", b"example.org")


def prefixed(size, data):
    """`data` behind its length in `size` octets, big-endian."""
    return len(data).to_bytes(size, "big") + data


def name(chance):
    return chance.choice(NAMES).encode() + b"%d." % chance.randrange(1000) + chance.choice(DOMAINS)


# --- Datagrams


def dns(connect, datagrams, chance):
    """Ten questions: an alias and two addresses each, as resolvers answer."""
    flow = datagrams(53)
    for _ in range(10):
        asked = name(chance)
        question = b"".join(prefixed(1, label) for label in asked.split(b".")) + b"\0" + struct.pack(">HH", 1, 1)
        number = chance.getrandbits(16)
        flow.send(0, struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + question)
        alias = prefixed(1, b"edge%d" % chance.randrange(100)) + prefixed(1, b"cdn") + b"\xc0\x0c"
        at = 0xC000 | 12 + len(question) + 12
        answers = struct.pack(">HHHIH", 0xC00C, 5, 1, 300, len(alias)) + alias
        for _ in range(2):
            answers += struct.pack(">HHHIH4s", at, 1, 1, 60, 4, chance.randbytes(4))
        flow.send(1, struct.pack(">HHHHHH", number, 0x8180, 1, 3, 0, 0) + question + answers)


def sip(connect, datagrams, chance):
    """A call: invited, answered, ended."""
    flow = datagrams(5060)
    call = "%016x" % chance.getrandbits(64)
    body = ("v=0\r\no=alice 2890844526 2890844526 IN IP4 192.168.77.10\r\ns=-\r\nc=IN IP4 192.168.77.10\r\nt=0 0\r\n"
            "m=audio 49172 RTP/AVP 0 8 97\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=sendrecv\r\n")

    def say(side, first, method, content=""):
        flow.send(side, (
            "%s\r\nVia: SIP/2.0/UDP 192.168.77.10:5060;branch=z9hG4bK%s\r\nMax-Forwards: 70\r\nFrom: Alice "
            "<sip:alice@example.com>;tag=9fxced76sl\r\nTo: Bob <sip:bob@example.net>\r\nCall-ID: %s@192.168.77.10\r\n"
            "CSeq: 1 %s\r\nContact: <sip:alice@192.168.77.10>\r\nUser-Agent: Softphone 1.0\r\n%sContent-Length: %d\r\n\r\n%s"
            % (first, call, call, method, "Content-Type: application/sdp\r\n" if content else "", len(content), content)
        ).encode())
    say(0, "INVITE sip:bob@example.net SIP/2.0", "INVITE", body)
    say(1, "SIP/2.0 100 Trying", "INVITE")
    say(1, "SIP/2.0 180 Ringing", "INVITE")
    say(1, "SIP/2.0 200 OK", "INVITE", body)
    say(0, "ACK sip:bob@example.net SIP/2.0", "ACK")
    say(0, "BYE sip:bob@example.net SIP/2.0", "BYE")
    say(1, "SIP/2.0 200 OK", "BYE")


def dhcp(connect, datagrams, chance):
    """Discover, offer, request, acknowledgement."""
    flow = datagrams(67, client_port=68)
    number = chance.randbytes(4)
    for kind in (1, 2, 3, 5):
        reply = kind in (2, 5)
        head = struct.pack(">BBBB4sHH4s4s4s4s16s192s4s", 2 if reply else 1, 1, 6, 0, number, 0, 0, bytes(4),
                           bytes([192, 168, 77, 99]) if reply else bytes(4), bytes(4), bytes(4), b"\2\0\0\0\0\1", b"",
                           b"\x63\x82\x53\x63")
        options = b"\x35\1" + bytes([kind]) + b"\x0c" + prefixed(1, b"laptop") + b"\x37" + prefixed(1, b"\1\3\6\x0f")
        if reply:
            options += b"\x36\4\xc0\xa8\x4d\1\x33\4\0\0\x0e\x10\1\4\xff\xff\xff\0\3\4\xc0\xa8\x4d\1\6\4\xc0\xa8\x4d\1"
        flow.send(1 if reply else 0, head + options + b"\xff")


def ntp(connect, datagrams, chance):
    flow = datagrams(123)
    flow.send(0, b"\x23\0\6\xec" + bytes(36) + chance.randbytes(8))
    flow.send(1, b"\x24\2\6\xe7\0\0\1\0\0\0\2\0" + chance.randbytes(36))


def tftp(connect, datagrams, chance):
    datagrams(69).send(0, b"\0\1firmware-%d.bin\0octet\0" % chance.randrange(1000))


def quic(connect, datagrams, chance):
    """The first datagram of each side; what is said then nobody on the way can read."""
    flow = datagrams(443)
    destination, source = b"\x83\x94\xc8\xf0\x3e\x51\x57\x08", b"\xc1\xd2\xe3\xf4"
    hello = client_hello(chance, b"www.example.com", b"h3", b"\0\x39" + prefixed(2, b"\1\4\x80\0\xea\x60\4\4\x80\x10\0\0"))
    flow.send(0, initial(destination, destination, source, hello, False))
    flow.send(1, initial(destination, source, destination, server_hello(chance), True))
    for side in (0, 1, 1, 1):
        flow.send(side, b"\x43" + chance.randbytes(1200))


# --- TLS


def extension(kind, body):
    return struct.pack(">H", kind) + prefixed(2, body)


def client_hello(chance, server, protocol, more=b""):
    suites = bytes.fromhex("130113021303c02bc02fc02cc030cca9cca8c013c014009c009d002f0035")
    extensions = extension(0, prefixed(2, b"\0" + prefixed(2, server))) + extension(23, b"")
    extensions += extension(10, prefixed(2, bytes.fromhex("001d00170018"))) + extension(11, b"\1\0")
    extensions += extension(16, prefixed(2, prefixed(1, protocol)))
    extensions += extension(13, prefixed(2, bytes.fromhex("040308040401050308050501080606010201")))
    extensions += extension(43, b"\4\3\4\3\3") + extension(51, prefixed(2, b"\0\x1d" + prefixed(2, chance.randbytes(32))))
    body = b"\3\3" + chance.randbytes(32) + prefixed(1, chance.randbytes(32)) + prefixed(2, suites) + b"\1\0"
    return b"\1" + prefixed(3, body + prefixed(2, extensions + more))


def server_hello(chance, suite=b"\x13\1", extensions=None):
    if extensions is None:
        extensions = extension(43, b"\3\4") + extension(51, b"\0\x1d" + prefixed(2, chance.randbytes(32)))
    return b"\2" + prefixed(3, b"\3\3" + chance.randbytes(32) + prefixed(1, chance.randbytes(32)) + suite + b"\0"
                            + prefixed(2, extensions))


def der(tag, *parts):
    body = b"".join(parts)
    size = bytes([len(body)]) if len(body) < 128 else b"\x82" + struct.pack(">H", len(body))
    return bytes([tag]) + size + body


def certificate(chance, server):
    """A certificate by its shape: nothing on the way verifies what signed it."""
    def named(text):
        return der(0x30, der(0x31, der(0x30, der(6, b"\x55\4\3"), der(0x0C, text))))
    algorithm = der(0x30, der(6, bytes.fromhex("2a864886f70d01010b")), der(5))
    key = der(0x30, der(0x30, der(6, bytes.fromhex("2a864886f70d010101")), der(5)),
              der(3, b"\0", der(0x30, der(2, b"\0" + chance.randbytes(256)), der(2, b"\1\0\1"))))
    alternative = der(0x30, der(6, b"\x55\x1d\x11"), der(4, der(0x30, der(0x82, server), der(0x82, b"*." + server))))
    signed = der(0x30, der(0xA0, der(2, b"\2")), der(2, b"\x01" + chance.randbytes(15)), algorithm, named(b"Example CA"),
                 der(0x30, der(0x17, b"250101000000Z"), der(0x17, b"350101000000Z")), named(server), key,
                 der(0xA3, der(0x30, alternative)))
    return der(0x30, signed, algorithm, der(3, b"\0" + chance.randbytes(256)))


def tls(connect, datagrams, chance):
    """TLS 1.2 with two certificates, 16 kB of ciphertext."""
    connection = connect(443)

    def record(kind, data):
        return bytes([kind]) + b"\3\3" + prefixed(2, data)
    server = name(chance)
    connection.send(0, record(22, client_hello(chance, server, b"h2")))
    chain = prefixed(3, certificate(chance, server)) + prefixed(3, certificate(chance, b"ca.example.com"))
    exchange = b"\3\0\x1d" + prefixed(1, chance.randbytes(32)) + b"\x08\4" + prefixed(2, chance.randbytes(256))
    chosen = extension(16, prefixed(2, prefixed(1, b"h2"))) + extension(23, b"")
    connection.send(1, record(22, server_hello(chance, b"\xc0\x2f", chosen)) + record(22, b"\x0b" + prefixed(3, prefixed(3, chain)))
                    + record(22, b"\x0c" + prefixed(3, exchange)) + record(22, b"\x0e\0\0\0"))
    connection.send(0, record(22, b"\x10" + prefixed(3, prefixed(1, chance.randbytes(32)))) + record(20, b"\1")
                    + record(22, chance.randbytes(40)))
    connection.send(1, record(20, b"\1") + record(22, chance.randbytes(40)))
    connection.send(0, record(23, chance.randbytes(500)))
    connection.send(1, record(23, chance.randbytes(8000)) + record(23, chance.randbytes(8000)))
    connection.close()


def ssh(connect, datagrams, chance):
    connection = connect(22)

    def packet(body):
        padding = 8 - (len(body) + 5) % 8 + 4
        return struct.pack(">IB", len(body) + padding + 1, padding) + body + chance.randbytes(padding)
    lists = (b"curve25519-sha256,ecdh-sha2-nistp256", b"ssh-ed25519,rsa-sha2-512", b"chacha20-poly1305@openssh.com,aes256-gcm@openssh.com",
             b"aes256-gcm@openssh.com", b"hmac-sha2-256-etm@openssh.com", b"hmac-sha2-256", b"none", b"none", b"", b"")
    for side, banner in enumerate((b"SSH-2.0-OpenSSH_9.7\r\n", b"SSH-2.0-OpenSSH_9.6p1 Debian-3\r\n")):
        connection.send(side, banner)
    for side in (0, 1):
        offer = b"\x14" + chance.randbytes(16) + b"".join(prefixed(4, one) for one in lists) + bytes(5)
        connection.send(side, packet(offer))
    connection.send(0, packet(b"\x1e" + prefixed(4, chance.randbytes(32))))
    connection.send(1, packet(b"\x1f" + chance.randbytes(200)) + packet(b"\x15"))
    connection.send(0, packet(b"\x15"))
    for side in (0, 1, 0, 1):
        connection.send(side, chance.randbytes(600))
    connection.close()


# --- Web


def http2(connect, datagrams, chance):
    """Ten exchanges on one connection, without TLS around it."""
    connection = connect(8080)

    def frame(kind, flags, stream, data):
        return struct.pack(">I", len(data))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + data

    def field(title, value):
        return b"\0" + prefixed(1, title) + prefixed(1, value)
    connection.send(0, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"\0\3\0\0\0\x64"))
    connection.send(1, frame(4, 0, 0, b"\0\3\0\0\0\x64") + frame(4, 1, 0, b""))
    connection.send(0, frame(4, 1, 0, b""))
    for number in range(10):
        # 2: GET, 6: http, 8: 200, of the static table (RFC 7541 appendix A).
        head = b"\x82\x86" + field(b":path", b"/page/%d.html" % chance.randrange(10**6)) + field(b":authority", name(chance))
        head += field(b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0")
        connection.send(0, frame(1, 5, 2 * number + 1, head + field(b"cookie", b"session=%032x" % chance.getrandbits(128))))
        answer = b"\x88" + field(b"content-type", b"text/html; charset=utf-8") + field(b"server", b"nginx")
        body = chance.choice((b"<div>text</div> ", b"return value; ")) * chance.choice((20, 80, 400))
        connection.send(1, frame(1, 4, 2 * number + 1, answer) + frame(0, 1, 2 * number + 1, body))
    connection.close()


def websocket(connect, datagrams, chance):
    connection = connect(80)
    connection.send(0, b"GET /chat HTTP/1.1\r\nHost: www.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
    connection.send(1, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
    for number in range(20):
        text = b'{"number": %d, "text": "%s"}' % (number, b"so much to say " * chance.choice((1, 4, 20)))
        key = chance.randbytes(4)
        length = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + struct.pack(">H", len(text))
        connection.send(0, b"\x81" + length + key + bytes(octet ^ key[at % 4] for at, octet in enumerate(text)))
        length = bytes([len(text)]) if len(text) < 126 else b"\x7e" + struct.pack(">H", len(text))
        connection.send(1, b"\x81" + length + text)
    connection.close()


# --- Mail, files, terminals


def dialogue(connection, lines):
    """Lines of client (`C`) and server (`S`) in turn."""
    for side, text in lines:
        connection.send(0 if side == "C" else 1, text if isinstance(text, bytes) else text.encode() + b"\r\n")


def message(chance):
    """A mail with a text and an attachment of 6 kB."""
    attachment = base64.encodebytes(chance.randbytes(6000)).replace(b"\n", b"\r\n")
    return (b"From: Alice <alice@example.com>\r\nTo: bob@example.net\r\nSubject: Report %d\r\nMIME-Version: 1.0\r\n"
            b"Message-ID: <%016x@example.com>\r\nContent-Type: multipart/mixed; boundary=\"edge\"\r\n\r\n--edge\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\n\r\nHere it is: http://www.example.com/report/%d\r\n\r\n--edge\r\n"
            b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
            b"Content-Disposition: attachment; filename=\"report.bin\"\r\n\r\n%s--edge--\r\n.\r\n"
            % (chance.randrange(1000), chance.getrandbits(64), chance.randrange(1000), attachment))


def smtp(connect, datagrams, chance):
    connection = connect(25)
    dialogue(connection, [
        ("S", "220 mail.example.net ESMTP"), ("C", "EHLO client.example.com"),
        ("S", "250-mail.example.net\r\n250-SIZE 52428800\r\n250 8BITMIME"),
        ("C", "MAIL FROM:<alice@example.com>"), ("S", "250 2.1.0 Ok"), ("C", "RCPT TO:<bob@example.net>"),
        ("S", "250 2.1.5 Ok"), ("C", "DATA"), ("S", "354 End data with <CR><LF>.<CR><LF>"), ("C", message(chance)),
        ("S", "250 2.0.0 Ok: queued"), ("C", "QUIT"), ("S", "221 2.0.0 Bye")])
    connection.close()


def pop3(connect, datagrams, chance):
    connection = connect(110)
    mail = message(chance)
    dialogue(connection, [
        ("S", "+OK POP3 ready"), ("C", "USER bob"), ("S", "+OK"), ("C", "PASS secret"), ("S", "+OK logged in"),
        ("C", "STAT"), ("S", "+OK 1 %d" % len(mail)), ("C", "RETR 1"), ("S", b"+OK %d octets\r\n" % len(mail) + mail),
        ("C", "DELE 1"), ("S", "+OK"), ("C", "QUIT"), ("S", "+OK bye")])
    connection.close()


def ftp(connect, datagrams, chance):
    """The control connection; its data connection stays unused."""
    connection = connect(21)
    dialogue(connection, [
        ("S", "220 FTP ready"), ("C", "USER bob"), ("S", "331 Password"), ("C", "PASS secret"), ("S", "230 Logged in"),
        ("C", "SYST"), ("S", "215 UNIX Type: L8"), ("C", "FEAT"), ("S", "211-Features:\r\n EPSV\r\n SIZE\r\n211 End"),
        ("C", "PWD"), ("S", '257 "/" is current directory'), ("C", "TYPE I"), ("S", "200 Type set to I"),
        ("C", "CWD /files/%d" % chance.randrange(100)), ("S", "250 Done"), ("C", "SIZE file.bin"), ("S", "213 %d" % chance.randrange(10**6)),
        ("C", "EPSV"), ("S", "229 Extended Passive Mode (|||%d|)" % chance.randrange(30000, 60000)),
        ("C", "QUIT"), ("S", "221 Bye")])
    connection.close()


def telnet(connect, datagrams, chance):
    connection = connect(23)
    connection.send(1, b"\xff\xfd\x18\xff\xfd\x20\xff\xfb\x01")
    connection.send(0, b"\xff\xfb\x18\xff\xfc\x20\xff\xfd\x01")
    dialogue(connection, [("S", b"router login: "), ("C", "admin"), ("S", b"Password: "), ("C", "secret"),
                          ("S", b"router# "), ("C", "show interfaces"), ("S", b"eth0 is up, 1000 Mb/s\r\n" * 20)])
    connection.close()


KINDS = {kind.__name__: kind for kind in (dns, tls, quic, http2, websocket, smtp, ftp, ssh, pop3, sip, dhcp, ntp, tftp, telnet)}
