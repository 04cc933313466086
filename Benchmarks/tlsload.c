// The client of tls.py: opens TLS connections and asks for pages over them, as fast as they come.
//
//   tlsload handshakes ADDRESS NAME PATH CONNECTIONS SECONDS   a connection for each answer, none of them resumed
//   tlsload requests   ADDRESS NAME PATH CONNECTIONS SECONDS   the same connections throughout
//   tlsload visits     ADDRESS PATTERN PATH COUNT ROUNDS       one after the other, a name each (%d is its number)
//   tlsload idle       ADDRESS NAME PATH CONNECTIONS SECONDS   an answer on each; held until standard input ends
//
// Built with -D_GNU_SOURCE. Port 443. One line of JSON for each result. The client checks no certificate: what is measured is not its own work.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES = 1 << 20, HEAD = 2048 };
enum mode { HANDSHAKES, REQUESTS, IDLE };
enum stage { CLOSED, CONNECTING, HANDSHAKE, ASKING, READING, HELD };

typedef struct {
  int socket;
  enum stage stage;
  SSL *ssl;
  double begun, asked;
  long rest;  // of the body; -1 while the head is not there
  int head_length;
  char head[HEAD];
} connection;

static SSL_CTX *context;
static struct sockaddr_in place = {.sin_family = AF_INET};
static const char *name;
static char request[512];
static int request_length, queue;
static enum mode mode;
static double end;
static long answers, errors, octets, handshake_count, answer_count, pending;
static float handshakes[SAMPLES], latencies[SAMPLES];
static char scratch[1 << 17];

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static void open_one(connection *c) {
  c->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c->socket < 0) { perror("socket"); exit(1); }
  int one = 1;
  setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  c->begun = now();
  c->stage = CONNECTING;
  c->ssl = SSL_new(context);
  SSL_set_fd(c->ssl, c->socket);
  SSL_set_tlsext_host_name(c->ssl, name);
  SSL_set_connect_state(c->ssl);
  connect(c->socket, (struct sockaddr *)&place, sizeof place);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
  epoll_ctl(queue, EPOLL_CTL_ADD, c->socket, &event);
}

static void close_one(connection *c, int failed) {
  if (failed) {
    errors++;
    struct linger none = {1, 0};
    setsockopt(c->socket, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  } else {
    SSL_shutdown(c->ssl);
  }
  close(c->socket);
  SSL_free(c->ssl);
  c->stage = CLOSED;
  if (mode == IDLE) { pending--; return; }
  if (now() < end) open_one(c);
}

static int is_waiting(connection *c, int result) {
  int error = SSL_get_error(c->ssl, result);
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

// Takes `count` octets of an answer; returns whether it is complete.
static int take(connection *c, const char *bytes, int count) {
  octets += count;
  if (c->rest < 0) {
    int room = HEAD - 1 - c->head_length, part = count < room ? count : room, before = c->head_length;
    memcpy(c->head + before, bytes, part);
    c->head_length += part;
    c->head[c->head_length] = 0;
    char *head_end = strstr(c->head, "\r\n\r\n");
    if (!head_end) return 0;
    char *length = strcasestr(c->head, "content-length:");
    c->rest = length ? atol(length + 15) : 0;
    count -= (int)(head_end + 4 - c->head) - before;
  }
  c->rest -= count;
  return c->rest <= 0;
}

static void go_on(connection *c) {
  int result;
  switch (c->stage) {
  case CONNECTING: {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->socket, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) { close_one(c, 1); return; }
    c->stage = HANDSHAKE;
  }  // fallthrough
  case HANDSHAKE:
    if ((result = SSL_do_handshake(c->ssl)) != 1) {
      if (!is_waiting(c, result)) close_one(c, 1);
      return;
    }
    if (handshake_count < SAMPLES) handshakes[handshake_count++] = now() - c->begun;
    c->stage = ASKING;  // fallthrough
  case ASKING:
  ask:
    if ((result = SSL_write(c->ssl, request, request_length)) <= 0) {
      if (!is_waiting(c, result)) close_one(c, 1);
      return;
    }
    c->asked = now();
    c->rest = -1;
    c->head_length = 0;
    c->stage = READING;  // fallthrough
  case READING:
    while ((result = SSL_read(c->ssl, scratch, sizeof scratch)) > 0) {
      if (!take(c, scratch, result)) continue;
      answers++;
      if (answer_count < SAMPLES) latencies[answer_count++] = now() - c->asked;
      if (mode == HANDSHAKES) { close_one(c, 0); return; }
      if (mode == IDLE) { c->stage = HELD; pending--; return; }
      goto ask;
    }
    if (!is_waiting(c, result)) close_one(c, 1);
    return;
  case HELD:
    result = SSL_read(c->ssl, scratch, sizeof scratch);
    if (result <= 0 && !is_waiting(c, result)) { pending++; close_one(c, 1); }
    return;
  case CLOSED: return;
  }
}

static int compare(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return x < y ? -1 : x > y;
}

static double part(float *values, long count, double share) {
  if (!count) return 0;
  return values[(long)(share * (count - 1))] * 1e3;
}

static void serve_events(int milliseconds) {
  struct epoll_event events[256];
  int count = epoll_wait(queue, events, 256, milliseconds);
  for (int i = 0; i < count; i++) go_on(events[i].data.ptr);
}

// Opens connections, 50 handshakes at a time, and holds them.
static void hold(connection *all, long count) {
  long next = 0;
  double begun = now(), last = begun;
  long known = 0;
  while (next < count || pending > 0) {
    for (; next < count && pending < 50; next++) { pending++; open_one(&all[next]); }
    serve_events(100);
    if (answers + errors != known) { known = answers + errors; last = now(); }
    if (now() - last > 20) break;
  }
  printf("{\"open\": %ld, \"errors\": %ld, \"seconds\": %.3f}\n", answers, errors, now() - begun);
  fflush(stdout);
  struct pollfd input = {.fd = 0, .events = POLLIN};
  char octet;
  while (!(poll(&input, 1, 0) == 1 && read(0, &octet, 1) <= 0)) serve_events(50);
  long held = 0;
  for (long i = 0; i < count; i++) held += all[i].stage == HELD;
  printf("{\"held\": %ld, \"errors\": %ld}\n", held, errors);
}

static void visit(const char *pattern, int count, int rounds) {
  static float times[4096];
  for (int round = 1; round <= rounds; round++) {
    int done = 0, failed = 0;
    for (int number = 1; number <= count && number <= 4096; number++) {
      char host[256];
      snprintf(host, sizeof host, pattern, number);
      int socket_ = socket(AF_INET, SOCK_STREAM, 0), one = 1;
      setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      struct timeval limit = {10, 0};
      setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      double begun = now();
      SSL *ssl = SSL_new(context);
      SSL_set_fd(ssl, socket_);
      SSL_set_tlsext_host_name(ssl, host);
      if (!connect(socket_, (struct sockaddr *)&place, sizeof place) && SSL_connect(ssl) == 1) {
        times[done++] = now() - begun;
        SSL_shutdown(ssl);
      } else {
        failed++;
      }
      SSL_free(ssl);
      close(socket_);
    }
    qsort(times, done, sizeof *times, compare);
    printf("{\"visit\": %d, \"count\": %d, \"errors\": %d, \"p50\": %.3f, \"p99\": %.3f}\n", round, done, failed,
           part(times, done, 0.5), part(times, done, 0.99));
    fflush(stdout);
  }
}

int main(int count, char **words) {
  if (count != 7) {
    fprintf(stderr, "usage: tlsload handshakes|requests|visits|idle ADDRESS NAME PATH COUNT SECONDS\n");
    return 2;
  }
  struct rlimit files = {200000, 200000};
  setrlimit(RLIMIT_NOFILE, &files);
  place.sin_port = htons(443);
  inet_pton(AF_INET, words[2], &place.sin_addr);
  name = words[3];
  long connections = atol(words[5]);
  context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  if (!strcmp(words[1], "visits")) {
    visit(name, (int)connections, atoi(words[6]));
    return 0;
  }
  mode = !strcmp(words[1], "handshakes") ? HANDSHAKES : !strcmp(words[1], "idle") ? IDLE : REQUESTS;
  if (mode == REQUESTS) SSL_CTX_set_read_ahead(context, 1);
  request_length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: tlsload\r\n%s\r\n",
                            words[4], name, mode == HANDSHAKES ? "Connection: close\r\n" : "");
  queue = epoll_create1(0);
  connection *all = calloc(connections, sizeof *all);
  if (mode == IDLE) {
    hold(all, connections);
    return 0;
  }
  double begun = now();
  end = begun + atof(words[6]);
  for (long i = 0; i < connections; i++) open_one(&all[i]);
  while (now() < end) serve_events(50);
  double seconds = now() - begun;
  qsort(handshakes, handshake_count, sizeof *handshakes, compare);
  qsort(latencies, answer_count, sizeof *latencies, compare);
  printf("{\"answers\": %ld, \"errors\": %ld, \"seconds\": %.3f, \"octets\": %ld, \"handshake_p50\": %.3f, "
         "\"handshake_p99\": %.3f, \"p50\": %.3f, \"p99\": %.3f}\n",
         answers, errors, seconds, octets, part(handshakes, handshake_count, 0.5), part(handshakes, handshake_count, 0.99),
         part(latencies, answer_count, 0.5), part(latencies, answer_count, 0.99));
  return 0;
}
