// Linux headers and macros that Swift cannot import by itself; wrappers only, no logic.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "RawSockets.h"

// memmem(3) is a GNU extension that Swift's view of string.h leaves out.
void *memmem(const void *haystack, size_t haystackLength, const void *needle, size_t needleLength);
static inline void *sluice_memmem(
    const void *haystack, size_t haystackLength, const void *needle, size_t needleLength) {
  return memmem(haystack, haystackLength, needle, needleLength);
}
#include "CSluiceLinuxQueue.h"
#include "Confinement.h"
#include "Neighbour.h"
#include "PacketRing.h"
#include "RepairedSocket.h"
#include "TransparentSockets.h"
