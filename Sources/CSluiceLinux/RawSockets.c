#include "RawSockets.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

ssize_t sluice_send_raw(
    int descriptor, int family, const uint8_t *address, const void *packet, size_t count) {
  if (family == AF_INET) {
    struct sockaddr_in name = {.sin_family = AF_INET};
    memcpy(&name.sin_addr, address, 4);
    return sendto(
        descriptor, packet, count, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&name, sizeof name);
  }
  struct sockaddr_in6 name = {.sin6_family = AF_INET6};
  memcpy(&name.sin6_addr, address, 16);
  return sendto(
      descriptor, packet, count, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&name, sizeof name);
}

#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t fill_unix(struct sockaddr_un *name, const char *path) {
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof name->sun_path) {
    errno = ENAMETOOLONG;
    return 0;
  }
  memset(name, 0, sizeof *name);
  name->sun_family = AF_UNIX;
  memcpy(name->sun_path, path, length);
  if (path[0] == '@') name->sun_path[0] = 0;
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (path[0] == '@' ? 0 : 1));
}

ssize_t sluice_notify_socket(const char *path, const void *bytes, size_t count) {
  struct sockaddr_un name;
  socklen_t length = fill_unix(&name, path);
  if (length == 0) return -1;
  int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  ssize_t sent = sendto(descriptor, bytes, count, MSG_NOSIGNAL, (struct sockaddr *)&name, length);
  close(descriptor);
  return sent;
}

int sluice_unix_listen(const char *path) {
  struct sockaddr_un name;
  socklen_t length = fill_unix(&name, path);
  if (length == 0) return -1;
  int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  // The mode holds from the moment the name exists.
  mode_t old = umask(0177);
  int bound = bind(descriptor, (struct sockaddr *)&name, length);
  if (bound != 0 && errno == EADDRINUSE) {
    // A socket nobody listens on is left over from a daemon that died.
    int probe = sluice_unix_connect(path);
    if (probe >= 0) {
      close(probe);
      errno = EADDRINUSE;
    } else {
      unlink(path);
      bound = bind(descriptor, (struct sockaddr *)&name, length);
    }
  }
  umask(old);
  if (bound != 0 || listen(descriptor, 16) != 0) {
    int code = errno;
    close(descriptor);
    errno = code;
    return -1;
  }
  return descriptor;
}

int sluice_unix_connect(const char *path) {
  struct sockaddr_un name;
  socklen_t length = fill_unix(&name, path);
  if (length == 0) return -1;
  int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  if (connect(descriptor, (struct sockaddr *)&name, length) != 0) {
    int code = errno;
    close(descriptor);
    errno = code;
    return -1;
  }
  return descriptor;
}

int sluice_unix_dial(const char *path) {
  struct sockaddr_un name;
  socklen_t length = fill_unix(&name, path);
  if (length == 0) return -1;
  int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return -1;
  if (connect(descriptor, (struct sockaddr *)&name, length) != 0) {
    int code = errno;
    close(descriptor);
    errno = code;
    return -1;
  }
  return descriptor;
}

int sluice_packet_sender(const char *interface) {
  unsigned index = if_nametoindex(interface);
  if (index == 0) return -1;
  // Protocol 0: nothing is received.
  int descriptor = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  struct sockaddr_ll name = {.sll_family = AF_PACKET, .sll_ifindex = (int)index};
  if (bind(descriptor, (struct sockaddr *)&name, sizeof name) != 0) {
    int code = errno;
    close(descriptor);
    errno = code;
    return -1;
  }
  return descriptor;
}
