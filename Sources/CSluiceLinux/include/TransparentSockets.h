// Socket calls whose flags and option names Swift cannot import; wrappers only, no logic.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// A non-blocking, close-on-exec TCP socket of the family; -1 with errno.
int sluice_tcp_socket(int family);
/// A blocking TCP listener; the address as below. A descriptor, or -1 with errno.
int sluice_tcp_listen(int family, const uint8_t address[16], uint16_t port);
/// accept4(2), non-blocking and close-on-exec, without the peer's address.
int sluice_accept(int listener);
/// send(2) that never raises SIGPIPE and never blocks.
ssize_t sluice_send(int descriptor, const void *bytes, size_t count);
/// recv(2) that never blocks.
ssize_t sluice_recv(int descriptor, void *bytes, size_t count);

/// 0, or -1 with errno, each.
int sluice_set_reuse_address(int descriptor);
int sluice_set_reuse_port(int descriptor);
int sluice_set_no_delay(int descriptor);
int sluice_set_v6_only(int descriptor);
int sluice_set_mark(int descriptor, uint32_t mark);
int sluice_set_transparent(int descriptor, int family);
/// The next close(2) sends RST.
int sluice_set_reset_on_close(int descriptor);
int sluice_socket_error(int descriptor);

/// `address` holds 16 bytes in network order (IPv4 mapped as ::ffff:a.b.c.d), the port is in host order.
int sluice_bind(int descriptor, int family, const uint8_t address[16], uint16_t port);
int sluice_connect(int descriptor, int family, const uint8_t address[16], uint16_t port);
int sluice_local_name(int descriptor, uint8_t address[16], uint16_t *port);
int sluice_peer_name(int descriptor, uint8_t address[16], uint16_t *port);

/// Addresses of a name for TCP, in the order of RFC 6724: up to `count` of 16 octets each, as above.
/// How many there are, 0 where the name is not known.
int sluice_resolve(const char *name, uint8_t *addresses, int count);

/// Edge-triggered for both directions and half-close / level-triggered for reading.
int sluice_epoll_add_edge(int epoll, int descriptor, uint64_t token);
int sluice_epoll_add_level(int epoll, int descriptor, uint64_t token);
int sluice_epoll_remove(int epoll, int descriptor);
int sluice_epoll_create(void);
int sluice_eventfd(void);

/// The calling thread stays on this processor; 0 or an error number.
int sluice_pin_thread(int processor);
/// The calling thread, and those it starts, give way to others.
void sluice_lower_thread_priority(void);
int64_t sluice_clock_realtime(void);
int64_t sluice_clock_monotonic(void);
