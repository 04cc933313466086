// Many small datagrams, sent and counted; compiled by inline.py.
//
//     flood send ADDRESS PORT OCTETS SECONDS FLOWS    as fast as they go, each flow from a port of its own
//     flood receive PORT SECONDS                      counts until that long after the first
//
// Prints packets and seconds.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { batch = 64, flowsMax = 256, octetsMax = 2048 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static int refuse(const char *what) {
  perror(what);
  return 1;
}

static int sendAll(const char *address, int port, int octets, double seconds, int flows) {
  static char text[octetsMax];
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, address, &to.sin_addr) != 1 || octets > octetsMax || flows < 1 || flows > flowsMax) return 2;
  int sockets[flowsMax];
  for (int i = 0; i < flows; i++) {
    sockets[i] = socket(AF_INET, SOCK_DGRAM, 0);
    if (sockets[i] < 0 || connect(sockets[i], (struct sockaddr *)&to, sizeof to) < 0) return refuse("connect");
  }
  struct iovec vector = {text, octets};
  struct mmsghdr messages[batch] = {0};
  for (int i = 0; i < batch; i++) messages[i].msg_hdr = (struct msghdr){.msg_iov = &vector, .msg_iovlen = 1};
  unsigned long sent = 0;
  double begin = now(), end = begin;
  for (int flow = 0; (end = now()) - begin < seconds; flow = (flow + 1) % flows) {
    int count = sendmmsg(sockets[flow], messages, batch, 0);
    if (count > 0) sent += count;
  }
  printf("%lu %f\n", sent, end - begin);
  return 0;
}

static int receiveAll(int port, double seconds) {
  static char text[batch][octetsMax];
  int receiver = socket(AF_INET, SOCK_DGRAM, 0), room = 64 << 20;
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct timeval patience = {0, 200000};
  if (receiver < 0 || bind(receiver, (struct sockaddr *)&here, sizeof here) < 0) return refuse("bind");
  setsockopt(receiver, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  setsockopt(receiver, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  struct iovec vectors[batch];
  struct mmsghdr messages[batch] = {0};
  for (int i = 0; i < batch; i++) {
    vectors[i] = (struct iovec){text[i], octetsMax};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  unsigned long got = 0;
  double first = 0, last = 0, patienceEnd = now() + 10;
  while (first == 0 ? now() < patienceEnd : now() - first < seconds) {
    int count = recvmmsg(receiver, messages, batch, MSG_WAITFORONE, NULL);
    if (count <= 0) continue;
    last = now();
    if (first == 0) first = last;
    got += count;
  }
  printf("%lu %f\n", got, last - first);
  return 0;
}

int main(int count, char **words) {
  if (count == 7 && !strcmp(words[1], "send"))
    return sendAll(words[2], atoi(words[3]), atoi(words[4]), atof(words[5]), atoi(words[6]));
  if (count == 4 && !strcmp(words[1], "receive")) return receiveAll(atoi(words[2]), atof(words[3]));
  fprintf(stderr, "flood send ADDRESS PORT OCTETS SECONDS FLOWS | receive PORT SECONDS\n");
  return 2;
}
