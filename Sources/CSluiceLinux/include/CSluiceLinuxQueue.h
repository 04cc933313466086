// NFQUEUE over raw netlink: the kernel's own headers, and the calls that Swift can't spell.
#pragma once
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/// The most datagrams that `sluice_receive_batch` takes at once.
#define SLUICE_RECEIVE_BATCH_MAX 64

/// Receives up to `count` datagrams, waiting for the first where `waits` (see `sluice_limit_wait`); the one at index i goes to `buffers + i * stride`.
/// `lengths[i]` is its full length, which is more than `stride` when it was cut.
/// Returns how many there were, or -1 with errno.
int sluice_receive_batch(
  int descriptor, void *_Nonnull buffers, size_t stride, unsigned count,
  uint32_t *_Nonnull lengths, int waits);

/// SO_RCVTIMEO; 0 waits for ever. Returns -1 with errno.
int sluice_limit_wait(int descriptor, int milliseconds);

/// Of the messages of connection tracking only those of connections whose mark has a bit of `mask` are received from
/// here on. Returns -1 with errno.
int sluice_hear_marked_connections(int descriptor, uint32_t mask);

/// Opens and binds a NETLINK_NETFILTER socket. Returns -1 with errno.
int sluice_open_netfilter_socket(void);

/// Joins a multicast group of the netfilter subsystems (NFNLGRP_...). Returns -1 with errno.
int sluice_join_netfilter_group(int descriptor, int group);

/// SO_RCVBUFFORCE and SO_SNDBUFFORCE. Returns -1 with errno.
int sluice_force_receive_buffer(int descriptor, int octets);
int sluice_force_send_buffer(int descriptor, int octets);

/// NETLINK_NO_ENOBUFS. Returns -1 with errno.
int sluice_ignore_lost_netlink_messages(int descriptor);

/// The port identifier of a netlink socket, 0 when it has none.
uint32_t sluice_netlink_port(int descriptor);

/// Moves the calling thread into a new, empty network namespace. Returns -1 with errno.
int sluice_enter_new_network_namespace(void);
