#include "PacketRing.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEP(name, call) \
  do { \
    *step = name; \
    if ((call) < 0) goto failed; \
  } while (0)

int sluice_packet_ring_open(
    struct sluice_packet_ring *ring, const char *interface, int group, const char **step) {
  *ring = (struct sluice_packet_ring){.descriptor = -1, .block_bytes = 1 << 20, .block_count = 32};
  *step = "no such interface";
  unsigned index = if_nametoindex(interface);
  if (index == 0) return -1;
  *step = "socket";
  // Protocol 0: nothing is received before the ring stands.
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  ring->descriptor = fd;
  int version = TPACKET_V3;
  STEP("PACKET_VERSION", setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version));
  struct tpacket_req3 request = {
      .tp_block_size = ring->block_bytes,
      .tp_frame_size = 2048,
      .tp_block_nr = ring->block_count,
      .tp_frame_nr = ring->block_bytes / 2048 * ring->block_count,
      .tp_retire_blk_tov = 20,
  };
  STEP("PACKET_RX_RING", setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request));
  *step = "mmap";
  void *memory = mmap(NULL, (size_t)ring->block_bytes * ring->block_count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) goto failed;
  ring->memory = memory;
  if (group > 0) {
    struct sock_filter nothing = {.code = BPF_RET | BPF_K, .k = 0};
    struct sock_fprog filter = {.len = 1, .filter = &nothing};
    STEP("SO_ATTACH_FILTER", setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter));
    ring->is_closed = 1;
  }
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)index};
  STEP("bind", bind(fd, (struct sockaddr *)&address, sizeof address));
  struct packet_mreq membership = {.mr_ifindex = (int)index, .mr_type = PACKET_MR_PROMISC};
  STEP("promiscuous", setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership));
  if (group > 0) {
    int fanout = group | (PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_DEFRAG) << 16;
    STEP("PACKET_FANOUT", setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &fanout, sizeof fanout));
  }
  return 0;
failed: {
  int code = errno;
  sluice_packet_ring_close(ring);
  errno = code;
  return -1;
}
}

int sluice_packet_ring_begin(struct sluice_packet_ring *ring) {
  int nothing = 0;
  if (!ring->is_closed) return 0;
  if (setsockopt(ring->descriptor, SOL_SOCKET, SO_DETACH_FILTER, &nothing, sizeof nothing)) return -1;
  ring->is_closed = 0;
  return 0;
}

void sluice_packet_ring_close(struct sluice_packet_ring *ring) {
  if (ring->memory) munmap(ring->memory, (size_t)ring->block_bytes * ring->block_count);
  if (ring->descriptor >= 0) close(ring->descriptor);
  ring->memory = NULL;
  ring->descriptor = -1;
}

static struct tpacket_block_desc *block_at(const struct sluice_packet_ring *ring, uint32_t block) {
  return (struct tpacket_block_desc *)(ring->memory + (size_t)block * ring->block_bytes);
}

int sluice_packet_ring_block(const struct sluice_packet_ring *ring, uint32_t block, uint32_t *first) {
  struct tpacket_block_desc *description = block_at(ring, block);
  if (!(__atomic_load_n(&description->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) return -1;
  *first = description->hdr.bh1.offset_to_first_pkt;
  return (int)description->hdr.bh1.num_pkts;
}

void sluice_packet_ring_frame(
    const struct sluice_packet_ring *ring, uint32_t block, uint32_t place, struct sluice_ring_frame *frame) {
  const struct tpacket3_hdr *header = (const struct tpacket3_hdr *)((uint8_t *)block_at(ring, block) + place);
  const struct sockaddr_ll *address =
      (const struct sockaddr_ll *)((const uint8_t *)header + TPACKET_ALIGN(sizeof *header));
  *frame = (struct sluice_ring_frame){
      .offset = place + header->tp_mac,
      .captured = header->tp_snaplen,
      .length = header->tp_len,
      .seconds = header->tp_sec,
      .nanoseconds = header->tp_nsec,
      .vlan = (uint16_t)header->hv1.tp_vlan_tci,
      .vlan_type = header->tp_status & TP_STATUS_VLAN_TPID_VALID ? header->hv1.tp_vlan_tpid : ETH_P_8021Q,
      .has_vlan = (header->tp_status & TP_STATUS_VLAN_VALID) != 0,
      .checksum_not_ready = (header->tp_status & TP_STATUS_CSUMNOTREADY) != 0,
      .packet_type = address->sll_pkttype,
      .next = header->tp_next_offset ? place + header->tp_next_offset : 0,
  };
}

void sluice_packet_ring_done(const struct sluice_packet_ring *ring, uint32_t block) {
  __atomic_store_n(&block_at(ring, block)->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
}

int sluice_packet_ring_counts(int descriptor, uint32_t *received, uint32_t *lost) {
  struct tpacket_stats_v3 stats;
  socklen_t length = sizeof stats;
  if (getsockopt(descriptor, SOL_PACKET, PACKET_STATISTICS, &stats, &length)) return -1;
  *received = stats.tp_packets;
  *lost = stats.tp_drops;
  return 0;
}
