#include "CSluiceLinux.h"

int sluice_receive_batch(
  int descriptor, void *buffers, size_t stride, unsigned count, uint32_t *lengths) {
  struct mmsghdr messages[SLUICE_RECEIVE_BATCH_MAX];
  struct iovec vectors[SLUICE_RECEIVE_BATCH_MAX];
  if (count > SLUICE_RECEIVE_BATCH_MAX) count = SLUICE_RECEIVE_BATCH_MAX;
  for (unsigned i = 0; i < count; i++) {
    vectors[i] = (struct iovec){.iov_base = (char *)buffers + i * stride, .iov_len = stride};
    messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i], .msg_iovlen = 1}};
  }
  // MSG_TRUNC: the full length comes back also for what did not fit.
  int received = recvmmsg(descriptor, messages, count, MSG_DONTWAIT | MSG_TRUNC, NULL);
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
