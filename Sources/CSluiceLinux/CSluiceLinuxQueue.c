#include "CSluiceLinux.h"

#include <linux/filter.h>
#include <sys/time.h>

int sluice_receive_batch(
  int descriptor, void *buffers, size_t stride, unsigned count, uint32_t *lengths, int waits) {
  struct mmsghdr messages[SLUICE_RECEIVE_BATCH_MAX];
  struct iovec vectors[SLUICE_RECEIVE_BATCH_MAX];
  if (count > SLUICE_RECEIVE_BATCH_MAX) count = SLUICE_RECEIVE_BATCH_MAX;
  for (unsigned i = 0; i < count; i++) {
    vectors[i] = (struct iovec){.iov_base = (char *)buffers + i * stride, .iov_len = stride};
    messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i], .msg_iovlen = 1}};
  }
  // MSG_TRUNC: the full length comes back also for what did not fit.
  int received = recvmmsg(descriptor, messages, count, (waits ? MSG_WAITFORONE : MSG_DONTWAIT) | MSG_TRUNC, NULL);
  for (int i = 0; i < received; i++) lengths[i] = messages[i].msg_len;
  return received;
}

int sluice_open_netfilter_socket(void) {
  int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (descriptor < 0) return -1;
  struct sockaddr_nl address = {.nl_family = AF_NETLINK};
  if (bind(descriptor, (struct sockaddr *)&address, sizeof address) < 0) {
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
  }
  return descriptor;
}

int sluice_join_netfilter_group(int descriptor, int group) {
  return setsockopt(descriptor, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group);
}

int sluice_limit_wait(int descriptor, int milliseconds) {
  struct timeval limit = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};
  return setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

int sluice_hear_marked_connections(int descriptor, uint32_t mask) {
  struct sock_filter steps[] = {
    // The place of the attribute CTA_MARK behind nlmsghdr and nfgenmsg, 0 where there is none.
    BPF_STMT(BPF_LD | BPF_IMM, NLMSG_HDRLEN + sizeof(struct nfgenmsg)),
    BPF_STMT(BPF_LDX | BPF_IMM, CTA_MARK),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_NLATTR)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
    BPF_STMT(BPF_MISC | BPF_TAX, 0),
    BPF_STMT(BPF_LD | BPF_W | BPF_IND, NLA_HDRLEN),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, mask, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, 0),
    BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
  };
  struct sock_fprog filter = {.len = sizeof steps / sizeof steps[0], .filter = steps};
  return setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

int sluice_force_receive_buffer(int descriptor, int octets) {
  return setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &octets, sizeof octets);
}

int sluice_force_send_buffer(int descriptor, int octets) {
  return setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &octets, sizeof octets);
}

int sluice_ignore_lost_netlink_messages(int descriptor) {
  int one = 1;
  return setsockopt(descriptor, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof one);
}

uint32_t sluice_netlink_port(int descriptor) {
  struct sockaddr_nl address = {0};
  socklen_t length = sizeof address;
  if (getsockname(descriptor, (struct sockaddr *)&address, &length) < 0) return 0;
  return address.nl_pid;
}

int sluice_enter_new_network_namespace(void) { return unshare(CLONE_NEWNET); }
