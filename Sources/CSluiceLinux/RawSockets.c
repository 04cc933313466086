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
