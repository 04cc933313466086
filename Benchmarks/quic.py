"""Seals Initial packets of QUIC version 1, so that making captures needs no library.

Source: RFC 9001 section 5 (keys, header protection), FIPS 197 (AES-128), NIST SP 800-38D (GCM).
"""
import hashlib
import hmac
import struct

SALT = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
PACKET_BYTES = 1200


def doubled(value):
    """Times x in the field of AES."""
    return value << 1 ^ (0x11B if value & 0x80 else 0)


def substitution():
    """The S-box: each octet's inverse in the field, then an affine map (FIPS 197 section 5.1.1)."""
    box, power, inverse = [0x63] * 256, 1, 1
    while True:
        power ^= doubled(power)  # times 3, which generates the field
        for shift in (1, 2, 4):  # divided by 3
            inverse = (inverse ^ inverse << shift) & 0xFF
        inverse ^= 0x09 if inverse & 0x80 else 0
        turned = inverse * 0x101
        box[power] = (inverse ^ turned >> 4 ^ turned >> 5 ^ turned >> 6 ^ turned >> 7) & 0xFF ^ 0x63
        if power == 1:
            return box


BOX = substitution()


def round_keys(key):
    words, constant = [key[at:at + 4] for at in range(0, 16, 4)], 1
    while len(words) < 44:
        word = words[-1]
        if len(words) % 4 == 0:
            word = bytes(BOX[octet] for octet in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = doubled(constant)
        words.append(bytes(a ^ b for a, b in zip(words[-4], word)))
    return [b"".join(words[at:at + 4]) for at in range(0, 44, 4)]


def block(keys, data):
    state = bytes(a ^ b for a, b in zip(data, keys[0]))
    for number in range(1, 11):
        state = bytes(BOX[state[at * 5 % 16]] for at in range(16))  # substitute, shift rows
        if number < 10:
            mixed = b""
            for at in range(0, 16, 4):
                column = state[at:at + 4]
                every = column[0] ^ column[1] ^ column[2] ^ column[3]
                mixed += bytes(column[i] ^ every ^ doubled(column[i] ^ column[(i + 1) % 4]) for i in range(4))
            state = mixed
        state = bytes(a ^ b for a, b in zip(state, keys[number]))
    return state


def gcm(keys, nonce, associated, plain):
    """What is sealed, its tag behind it."""
    def key_stream(counter):
        return block(keys, nonce + struct.pack(">I", counter))
    sealed = b"".join(
        bytes(a ^ b for a, b in zip(plain[at:at + 16], key_stream(2 + at // 16))) for at in range(0, len(plain), 16))
    hash_key, total = int.from_bytes(block(keys, bytes(16)), "big"), 0
    padded = b"".join(part + bytes(-len(part) % 16) for part in (associated, sealed))
    for at in range(0, len(padded) + 16, 16):
        piece = padded[at:at + 16] or struct.pack(">QQ", 8 * len(associated), 8 * len(sealed))
        factor, product = total ^ int.from_bytes(piece, "big"), 0
        for bit in range(127, -1, -1):
            product = product >> 1 ^ (0xE1 << 120 if product & 1 else 0)
            product ^= hash_key if factor >> (127 - bit) & 1 else 0
        total = product
    return sealed + bytes(a ^ b for a, b in zip(total.to_bytes(16, "big"), key_stream(1)))


def expanded(secret, label, size):
    label = b"tls13 " + label
    info = struct.pack(">H", size) + bytes([len(label)]) + label + b"\0\1"
    return hmac.new(secret, info, hashlib.sha256).digest()[:size]


def initial(first_destination, destination, source, handshake, is_server):
    """An Initial packet with one handshake message.

    `first_destination` is the connection identifier that the client chose for the server: keys come of it.
    """
    secret = hmac.new(SALT, first_destination, hashlib.sha256).digest()
    secret = expanded(secret, b"server in" if is_server else b"client in", 32)
    keys, head_keys = (round_keys(expanded(secret, label, 16)) for label in (b"quic key", b"quic hp"))
    frames = b"\6\0" + struct.pack(">H", 0x4000 | len(handshake)) + handshake
    head = b"\xc1\0\0\0\1" + bytes([len(destination)]) + destination + bytes([len(source)]) + source + b"\0"
    frames += bytes(max(0, PACKET_BYTES - len(head) - 4 - 16 - len(frames)))
    head += struct.pack(">HH", 0x4000 | len(frames) + 18, 0)
    # Packet number 0: the nonce is the IV itself.
    sealed = gcm(keys, expanded(secret, b"quic iv", 12), head, frames)
    # Two octets of packet number are sent: the sample begins four behind its start.
    mask = block(head_keys, sealed[2:18])
    head = bytes([head[0] ^ mask[0] & 0x0F]) + head[1:-2] + bytes([mask[1], mask[2]])
    return head + sealed
