#include "Neighbour.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

int sluice_open_route_socket(void) { return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE); }

static void attribute(struct nlmsghdr *message, uint16_t type, const void *value, uint16_t length) {
  struct rtattr *place = (struct rtattr *)((char *)message + NLMSG_ALIGN(message->nlmsg_len));
  place->rta_type = type;
  place->rta_len = (uint16_t)RTA_LENGTH(length);
  memcpy(RTA_DATA(place), value, length);
  message->nlmsg_len = NLMSG_ALIGN(message->nlmsg_len) + RTA_ALIGN(place->rta_len);
}

int sluice_set_neighbour(
    int descriptor, int interface, int family, const uint8_t address[16], const uint8_t hardware[6]) {
  struct {
    struct nlmsghdr header;
    struct ndmsg neighbour;
    char attributes[64];
  } request;
  memset(&request, 0, sizeof request);
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof request.neighbour);
  request.header.nlmsg_type = RTM_NEWNEIGH;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE;
  request.neighbour.ndm_family = (uint8_t)family;
  request.neighbour.ndm_ifindex = interface;
  request.neighbour.ndm_state = NUD_NOARP;
  if (family == AF_INET) {
    attribute(&request.header, NDA_DST, address + 12, 4);
  } else {
    attribute(&request.header, NDA_DST, address, 16);
  }
  attribute(&request.header, NDA_LLADDR, hardware, 6);
  return send(descriptor, &request, request.header.nlmsg_len, 0) < 0 ? -1 : 0;
}
