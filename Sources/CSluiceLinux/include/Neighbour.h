// Whose hardware address stands behind an IP address, where nobody can be asked.
#pragma once
#include <stdint.h>

/// A NETLINK_ROUTE socket, or -1 with errno.
int sluice_open_route_socket(void);
/// Notes a neighbour of an interface, as one that is not to be asked (NUD_NOARP). `address` has 16 octets, IPv4 mapped.
/// 0, or -1 with errno; the kernel's own answer is not waited for.
int sluice_set_neighbour(
    int descriptor, int interface, int family, const uint8_t address[_Nonnull 16], const uint8_t hardware[_Nonnull 6]);
