// Sending whole IP packets.
#pragma once
#include <stdint.h>
#include <sys/types.h>

/// Sends a packet from its IP header on through a raw socket (IPPROTO_RAW).
/// `address` has 16 octets in network order, of which IPv4 uses the first four.
/// Octets sent, or -1 with errno.
ssize_t sluice_send_raw(
    int descriptor, int family, const uint8_t *address, const void *packet, size_t count);
