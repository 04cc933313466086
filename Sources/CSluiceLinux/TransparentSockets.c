#include "TransparentSockets.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif

static int set(int fd, int level, int name, int value) { return setsockopt(fd, level, name, &value, sizeof value); }

int sluice_tcp_socket(int family) { return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }
int sluice_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); }
ssize_t sluice_send(int fd, const void *bytes, size_t count) { return send(fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT); }
ssize_t sluice_recv(int fd, void *bytes, size_t count) { return recv(fd, bytes, count, MSG_DONTWAIT); }

int sluice_set_reuse_address(int fd) { return set(fd, SOL_SOCKET, SO_REUSEADDR, 1); }
int sluice_set_reuse_port(int fd) { return set(fd, SOL_SOCKET, SO_REUSEPORT, 1); }
int sluice_set_no_delay(int fd) { return set(fd, IPPROTO_TCP, TCP_NODELAY, 1); }
int sluice_set_v6_only(int fd) { return set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1); }
int sluice_set_mark(int fd, uint32_t mark) { return setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark); }
int sluice_set_transparent(int fd, int family) {
  return family == AF_INET6 ? set(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1) : set(fd, IPPROTO_IP, IP_TRANSPARENT, 1);
}
int sluice_set_reset_on_close(int fd) {
  struct linger now = {.l_onoff = 1, .l_linger = 0};
  return setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}
int sluice_socket_error(int fd) {
  int code = 0;
  socklen_t size = sizeof code;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) ? errno : code;
}

static socklen_t fill(struct sockaddr_storage *to, int family, const uint8_t address[16], uint16_t port) {
  memset(to, 0, sizeof *to);
  if (family == AF_INET6) {
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    memcpy(&six->sin6_addr, address, 16);
    return sizeof *six;
  }
  struct sockaddr_in *four = (struct sockaddr_in *)to;
  four->sin_family = AF_INET;
  four->sin_port = htons(port);
  memcpy(&four->sin_addr, address + 12, 4);
  return sizeof *four;
}
static int name(int result, const struct sockaddr_storage *from, uint8_t address[16], uint16_t *port) {
  if (result) return -1;
  if (from->ss_family == AF_INET6) {
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
    memcpy(address, &six->sin6_addr, 16);
    *port = ntohs(six->sin6_port);
    return 0;
  }
  const struct sockaddr_in *four = (const struct sockaddr_in *)from;
  memset(address, 0, 10);
  address[10] = address[11] = 0xff;
  memcpy(address + 12, &four->sin_addr, 4);
  *port = ntohs(four->sin_port);
  return 0;
}
int sluice_bind(int fd, int family, const uint8_t address[16], uint16_t port) {
  struct sockaddr_storage to;
  socklen_t size = fill(&to, family, address, port);
  return bind(fd, (struct sockaddr *)&to, size);
}
int sluice_connect(int fd, int family, const uint8_t address[16], uint16_t port) {
  struct sockaddr_storage to;
  socklen_t size = fill(&to, family, address, port);
  return connect(fd, (struct sockaddr *)&to, size);
}
int sluice_local_name(int fd, uint8_t address[16], uint16_t *port) {
  struct sockaddr_storage from;
  socklen_t size = sizeof from;
  return name(getsockname(fd, (struct sockaddr *)&from, &size), &from, address, port);
}
int sluice_peer_name(int fd, uint8_t address[16], uint16_t *port) {
  struct sockaddr_storage from;
  socklen_t size = sizeof from;
  return name(getpeername(fd, (struct sockaddr *)&from, &size), &from, address, port);
}

int sluice_resolve(const char *host, uint8_t *addresses, int count) {
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  struct addrinfo *all = NULL;
  if (getaddrinfo(host, NULL, &hints, &all) != 0) return 0;
  int found = 0;
  uint16_t port;
  for (struct addrinfo *one = all; one && found < count; one = one->ai_next) {
    if (one->ai_family != AF_INET && one->ai_family != AF_INET6) continue;
    name(0, (const struct sockaddr_storage *)one->ai_addr, addresses + 16 * found, &port);
    found += 1;
  }
  freeaddrinfo(all);
  return found;
}

static int add(int epoll, int fd, uint64_t token, uint32_t events) {
  struct epoll_event event = {.events = events, .data.u64 = token};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}
int sluice_epoll_add_edge(int epoll, int fd, uint64_t token) {
  return add(epoll, fd, token, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}
int sluice_epoll_add_level(int epoll, int fd, uint64_t token) { return add(epoll, fd, token, EPOLLIN); }
int sluice_epoll_remove(int epoll, int fd) { return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL); }
int sluice_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }
int sluice_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

int sluice_pin_thread(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  return pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}
static int64_t clock_now(clockid_t which) {
  struct timespec now;
  clock_gettime(which, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
int64_t sluice_clock_realtime(void) { return clock_now(CLOCK_REALTIME); }
int64_t sluice_clock_monotonic(void) { return clock_now(CLOCK_MONOTONIC); }

void sluice_lower_thread_priority(void) { setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10); }

int sluice_tcp_listen(int family, const uint8_t address[16], uint16_t port) {
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (sluice_set_reuse_address(fd) || sluice_bind(fd, family, address, port) || listen(fd, 16)) {
    int code = errno;
    close(fd);
    errno = code;
    return -1;
  }
  return fd;
}
