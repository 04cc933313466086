// A socket that takes the place of one end of a TCP connection under way (TCP_REPAIR).
#pragma once
#include <stddef.h>
#include <stdint.h>

struct sluice_repair {
  int32_t family;
  uint8_t own_address[16], peer_address[16];
  uint16_t own_port, peer_port;
  uint32_t mark;
  /// The oldest octet of ours that the peer has not acknowledged, and those from there on.
  uint32_t send_sequence;
  /// The next octet of the peer's.
  uint32_t receive_sequence;
  /// What the peer's SYN said; a shift below 0 stands for none.
  uint16_t maximum_segment_size;
  int8_t peer_shift, own_shift;
  uint8_t sack, timestamps;
  /// The last timestamp of the end whose place it takes.
  uint32_t timestamp;
  /// Octets that the peer takes now, and that we have offered from `receive_sequence` on.
  uint32_t send_window, receive_window;
};

/// Makes the socket, connected and without a packet sent. `unsent` are octets that were sent and not acknowledged.
/// Returns the descriptor, or -1 with errno and the step that failed in `step`.
int sluice_repair_socket(
    const struct sluice_repair *_Nonnull repair, const void *_Nullable unacknowledged, size_t count,
    const char *_Nullable *_Nonnull step);
/// Closes a repaired socket without a word to the peer.
void sluice_drop_repaired(int descriptor);
/// Whether this process may repair sockets (CAP_NET_ADMIN): 0, or -1 with errno.
int sluice_probe_repair(void);
