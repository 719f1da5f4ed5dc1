/* SPDX-License-Identifier: GPL-2.0-or-later */
/* udp.h - UDP sockets that take and give datagrams in batches.
 *
 * libuv's own UDP offers neither the address a datagram was sent to nor the kernel's count of drops, so these are plain
 * sockets that the loop polls. An answer leaves from the address that was asked (IP_PKTINFO): an agent behind NAT or on a host with several
 * addresses would not recognise it otherwise. */
#ifndef RECEIVER_LISTEN_UDP_H
#define RECEIVER_LISTEN_UDP_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/datagram.h"
#include "common/error.h"

#define UDP_BATCH 64

/* Where a datagram came from, and which address of ours it was sent to. */
struct udp_peer {
    struct sockaddr_storage from;
    socklen_t from_len;
    uint8_t control[64]; /* ready-made control message for the answer */
    size_t control_len;
};

struct udp_datagram {
    uint8_t bytes[DATAGRAM_LEN_MAX + 1]; /* one more: a datagram that is too long is seen as such */
    size_t len;
    struct udp_peer peer;
};

struct udp_socket {
    int fd;
    int family;
    uint32_t drops; /* the kernel's count, as last seen */
    char name[80];  /* ADDRESS:PORT as bound */
};

/* Opens and binds a socket on "ADDRESS:PORT" or "[ADDRESS]:PORT"; port 0 takes a free one. IPv6 sockets are v6-only. The kernel buffer
 * is made as large as allowed, up to 16 MiB. Returns 0, or with `error` set ("cannot listen on ADDRESS:PORT: ...") UDP_NO_SUCH_FAMILY if
 * this kernel has no IPv6 or IPv4, else -1. */
#define UDP_NO_SUCH_FAMILY 1
int udp_open(struct udp_socket *udp, const char *address, struct error *error);
void udp_close(struct udp_socket *udp);

/* From now on drops count. Before that nobody took anything out: after an absence all that agents sent in vain meanwhile may come at
 * once, and what is lost of it is part of the absence. */
void udp_begin(struct udp_socket *udp);

/* Receives up to UDP_BATCH waiting datagrams. Returns their number, 0 if none waits. Adds newly dropped ones to `*dropped`. */
size_t udp_receive(struct udp_socket *udp, struct udp_datagram batch[UDP_BATCH], uint64_t *dropped);

/* Sends answers in one go; what the kernel does not take at once is lost, as UDP may lose anything. Returns how many were sent. */
size_t udp_send(struct udp_socket *udp, const struct udp_datagram *const answers[], size_t count);

#endif
