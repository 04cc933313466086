#include "RepairedSocket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "TransparentSockets.h"

// linux/tcp.h, which cannot be included beside netinet/tcp.h.
enum { SLUICE_TCP_REPAIR = 19, SLUICE_TCP_REPAIR_QUEUE = 20, SLUICE_TCP_QUEUE_SEQ = 21, SLUICE_TCP_REPAIR_OPTIONS = 22 };
enum { SLUICE_TCP_TIMESTAMP = 24, SLUICE_TCP_REPAIR_WINDOW = 29 };
enum { SLUICE_RECEIVE_QUEUE = 1, SLUICE_SEND_QUEUE = 2, SLUICE_REPAIR_OFF_SILENT = -1 };
struct sluice_repair_window { uint32_t snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup; };
struct sluice_repair_option { uint32_t code, value; };

static int number(int fd, int name, int value) { return setsockopt(fd, IPPROTO_TCP, name, &value, sizeof value); }

static int options(int fd, const struct sluice_repair *r) {
  struct sluice_repair_option list[4];
  unsigned count = 0;
  list[count++] = (struct sluice_repair_option){TCPOPT_MAXSEG, r->maximum_segment_size};
  // Always: connect() in repair mode leaves a shift of its own behind.
  int scales = r->peer_shift >= 0 && r->own_shift >= 0;
  list[count++] = (struct sluice_repair_option){
      TCPOPT_WINDOW, scales ? (uint32_t)r->peer_shift | (uint32_t)r->own_shift << 16 : 0};
  if (r->sack) list[count++] = (struct sluice_repair_option){TCPOPT_SACK_PERMITTED, 0};
  if (r->timestamps) list[count++] = (struct sluice_repair_option){TCPOPT_TIMESTAMP, 0};
  return setsockopt(fd, IPPROTO_TCP, SLUICE_TCP_REPAIR_OPTIONS, list, count * sizeof list[0]);
}

static int fill_send_queue(int fd, const char *octets, size_t count) {
  if (count == 0) return 0;
  int big = (int)count * 2 + 65536;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof big);
  if (number(fd, SLUICE_TCP_REPAIR_QUEUE, SLUICE_SEND_QUEUE)) return -1;
  while (count > 0) {
    ssize_t sent = send(fd, octets, count, MSG_NOSIGNAL);
    if (sent < 0) return -1;
    octets += sent;
    count -= (size_t)sent;
  }
  return 0;
}

#define STEP(name, call) \
  do { \
    *step = name; \
    if ((call) < 0) goto failed; \
  } while (0)

int sluice_repair_socket(
    const struct sluice_repair *r, const void *unacknowledged, size_t count, const char **step) {
  *step = "socket";
  int fd = sluice_tcp_socket(r->family);
  if (fd < 0) return -1;
  int on = 1;
  STEP("SO_REUSEADDR", sluice_set_reuse_address(fd));
  STEP("SO_MARK", sluice_set_mark(fd, r->mark));
  STEP("IP_TRANSPARENT", sluice_set_transparent(fd, r->family));
  STEP("TCP_REPAIR", setsockopt(fd, IPPROTO_TCP, SLUICE_TCP_REPAIR, &on, sizeof on));
  STEP("bind", sluice_bind(fd, r->family, r->own_address, r->own_port));
  STEP("send queue", number(fd, SLUICE_TCP_REPAIR_QUEUE, SLUICE_SEND_QUEUE));
  STEP("send sequence", setsockopt(fd, IPPROTO_TCP, SLUICE_TCP_QUEUE_SEQ, &r->send_sequence, 4));
  STEP("receive queue", number(fd, SLUICE_TCP_REPAIR_QUEUE, SLUICE_RECEIVE_QUEUE));
  STEP("receive sequence", setsockopt(fd, IPPROTO_TCP, SLUICE_TCP_QUEUE_SEQ, &r->receive_sequence, 4));
  STEP("connect", sluice_connect(fd, r->family, r->peer_address, r->peer_port));
  STEP("options", options(fd, r));
  if (r->timestamps) {
    // Bit 0 would switch to microseconds (kernel 6.7).
    uint32_t value = (r->timestamp + 1) & ~1u;
    STEP("timestamp", setsockopt(fd, IPPROTO_TCP, SLUICE_TCP_TIMESTAMP, &value, sizeof value));
  }
  STEP("octets not acknowledged", fill_send_queue(fd, unacknowledged, count));
  struct sluice_repair_window window = {
      .snd_wl1 = r->receive_sequence,
      .snd_wnd = r->send_window,
      .max_window = r->send_window > 65535 ? r->send_window : 65535,
      .rcv_wnd = r->receive_window,
      .rcv_wup = r->receive_sequence,
  };
  STEP("window", setsockopt(fd, IPPROTO_TCP, SLUICE_TCP_REPAIR_WINDOW, &window, sizeof window));
  STEP("end of repair", number(fd, SLUICE_TCP_REPAIR, SLUICE_REPAIR_OFF_SILENT));
  sluice_set_reuse_address(fd);
  sluice_set_no_delay(fd);
  return fd;
failed: {
  int code = errno;
  // In repair mode close() tells nobody.
  close(fd);
  errno = code;
  return -1;
}
}

void sluice_drop_repaired(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, SLUICE_TCP_REPAIR, &on, sizeof on);
  close(fd);
}

int sluice_probe_repair(void) {
  int fd = sluice_tcp_socket(AF_INET);
  if (fd < 0) return -1;
  int on = 1;
  int result = setsockopt(fd, IPPROTO_TCP, SLUICE_TCP_REPAIR, &on, sizeof on);
  int code = errno;
  close(fd);
  errno = code;
  return result;
}
