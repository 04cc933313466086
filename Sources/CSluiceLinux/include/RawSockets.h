// Sending whole IP packets.
#pragma once
#include <stdint.h>
#include <sys/types.h>

/// Sends a packet from its IP header on through a raw socket (IPPROTO_RAW).
/// `address` has 16 octets in network order, of which IPv4 uses the first four.
/// Octets sent, or -1 with errno.
ssize_t sluice_send_raw(
    int descriptor, int family, const uint8_t *address, const void *packet, size_t count);
/// Sends a datagram to a unix socket; `@` at the start names an abstract one. Octets, or -1 with errno.
ssize_t sluice_notify_socket(const char *path, const void *bytes, size_t count);
/// A listening unix stream socket at `path` with mode 0600, made anew. A descriptor, or -1 with errno.
int sluice_unix_listen(const char *path);
/// Connects to a unix stream socket. A descriptor, or -1 with errno.
int sluice_unix_connect(const char *path);
/// The same without waiting: the call is over when it returns. A non-blocking descriptor, or -1 with errno.
int sluice_unix_dial(const char *path);
/// A packet socket that only sends, out of the interface of this name. A descriptor, or -1 with errno.
int sluice_packet_sender(const char *interface);
