// AF_PACKET with a shared ring (TPACKET_V3): copies of an interface's frames.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct sluice_packet_ring {
  int descriptor;
  uint8_t *_Nullable memory;
  uint32_t block_bytes, block_count;
  /// A filter lets no frame in yet.
  uint8_t is_closed;
};
/// One frame of a block.
struct sluice_ring_frame {
  /// Where it lies in the block, and octets there and on the wire.
  uint32_t offset, captured, length;
  uint32_t seconds, nanoseconds;
  /// Tag control information, where `has_vlan`.
  uint16_t vlan, vlan_type;
  uint8_t has_vlan, checksum_not_ready;
  /// 4: sent by this machine (PACKET_OUTGOING).
  uint8_t packet_type;
  /// From the start of the block to the next frame; 0 for the last.
  uint32_t next;
};

/// Opens a ring on an interface. `group` above 0 shares the frames among the rings of that number, a flow to each.
/// Returns 0, or -1 with errno and the step that failed.
int sluice_packet_ring_open(
    struct sluice_packet_ring *_Nonnull ring, const char *_Nonnull interface, int group,
    const char *_Nullable *_Nonnull step);
/// Lets frames into a ring of a group, once all of them are open.
int sluice_packet_ring_begin(struct sluice_packet_ring *_Nonnull ring);
void sluice_packet_ring_close(struct sluice_packet_ring *_Nonnull ring);
/// Frames in a block that is ready, or -1; `first` is where the first one lies.
int sluice_packet_ring_block(const struct sluice_packet_ring *_Nonnull ring, uint32_t block, uint32_t *_Nonnull first);
/// The frame whose header lies at `place` of a block.
void sluice_packet_ring_frame(
    const struct sluice_packet_ring *_Nonnull ring, uint32_t block, uint32_t place, struct sluice_ring_frame *_Nonnull frame);
/// Gives a block back.
void sluice_packet_ring_done(const struct sluice_packet_ring *_Nonnull ring, uint32_t block);
/// Frames received and lost since the last call.
int sluice_packet_ring_counts(int descriptor, uint32_t *_Nonnull received, uint32_t *_Nonnull lost);
