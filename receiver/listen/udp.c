/* SPDX-License-Identifier: GPL-2.0-or-later */
/* udp.c - see udp.h. */
#include "receiver/listen/udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/settings.h"

#define RECEIVE_BUFFER_BYTES (16 * 1024 * 1024)

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value);
}

static int prepare(int fd, int family)
{
    /* FORCE goes beyond net.core.rmem_max and needs a right; without it the limit applies. */
    if (set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES) != 0)
        (void)set_option(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER_BYTES);
    if (set_option(fd, SOL_SOCKET, SO_RXQ_OVFL, 1) != 0)
        return -1;
    if (family == AF_INET6)
        return set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) || set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    return set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
}

static void name_socket(struct udp_socket *udp)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    char host[INET6_ADDRSTRLEN + 16] = "?", port[8] = "?";
    if (getsockname(udp->fd, (struct sockaddr *)&bound, &len) == 0)
        (void)getnameinfo((struct sockaddr *)&bound, len, host, sizeof host, port, sizeof port,
                          NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(udp->name, sizeof udp->name, bound.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static int bind_to(struct udp_socket *udp, const struct addrinfo *info)
{
    udp->family = info->ai_family;
    udp->fd = socket(info->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (udp->fd < 0)
        return -1;
    if (prepare(udp->fd, info->ai_family) == 0 && bind(udp->fd, info->ai_addr, info->ai_addrlen) == 0)
        return 0;
    int saved = errno;
    udp_close(udp);
    errno = saved;
    return -1;
}

int udp_open(struct udp_socket *udp, const char *address, struct error *error)
{
    char host[256], port[8];
    memset(udp, 0, sizeof *udp);
    udp->fd = -1;
    if (address_split(host, sizeof host, port, sizeof port, address, SETTINGS_DEFAULT_PORT) != 0)
        return error_set(error, "cannot listen on \"%s\": not an ADDRESS:PORT", address);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *info = NULL;
    int rc = getaddrinfo(host, port, &hints, &info);
    if (rc != 0)
        return error_set(error, "cannot listen on %s: %s; write a numeric address", address, gai_strerror(rc));
    rc = bind_to(udp, info);
    int saved = errno;
    freeaddrinfo(info);
    if (rc != 0) {
        (void)error_set(error, "cannot listen on %s: %s%s", address, strerror(saved),
                        saved == EADDRINUSE ? "; another program has the port: stop it or choose another with `listen`"
                                            : "");
        return saved == EAFNOSUPPORT ? UDP_NO_SUCH_FAMILY : -1;
    }
    name_socket(udp);
    return 0;
}

void udp_close(struct udp_socket *udp)
{
    if (udp->fd >= 0)
        close(udp->fd);
    udp->fd = -1;
}

/* Turns what the kernel tells of our address into the control message that makes the answer leave from there. */
static void take_control(struct udp_socket *udp, struct msghdr *header, struct udp_peer *peer, uint64_t *dropped)
{
    peer->control_len = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
            uint32_t drops;
            memcpy(&drops, CMSG_DATA(c), sizeof drops);
            if ((int32_t)(drops - udp->drops) > 0) { /* not of a datagram that waited since before udp_begin */
                *dropped += drops - udp->drops;
                udp->drops = drops;
            }
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            info = (struct in_pktinfo){.ipi_spec_dst = info.ipi_spec_dst};
            struct cmsghdr answer = {
                .cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
            memcpy(peer->control, &answer, sizeof answer);
            memcpy(peer->control + CMSG_LEN(0), &info, sizeof info);
            peer->control_len = CMSG_SPACE(sizeof info);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
                info.ipi6_ifindex = 0; /* the route decides, except where an address means nothing without its link */
            struct cmsghdr answer = {
                .cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO};
            memcpy(peer->control, &answer, sizeof answer);
            memcpy(peer->control + CMSG_LEN(0), &info, sizeof info);
            peer->control_len = CMSG_SPACE(sizeof info);
        }
    }
}

void udp_begin(struct udp_socket *udp)
{
    uint32_t information[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof information;
    if (getsockopt(udp->fd, SOL_SOCKET, SO_MEMINFO, information, &len) == 0)
        udp->drops = information[SK_MEMINFO_DROPS];
}

size_t udp_receive(struct udp_socket *udp, struct udp_datagram batch[UDP_BATCH], uint64_t *dropped)
{
    struct mmsghdr headers[UDP_BATCH];
    struct iovec parts[UDP_BATCH];
    _Alignas(struct cmsghdr) uint8_t control[UDP_BATCH][128];
    memset(headers, 0, sizeof headers);
    for (size_t i = 0; i < UDP_BATCH; i++) {
        parts[i] = (struct iovec){batch[i].bytes, sizeof batch[i].bytes};
        headers[i].msg_hdr = (struct msghdr){.msg_name = &batch[i].peer.from,
                                             .msg_namelen = sizeof batch[i].peer.from,
                                             .msg_iov = &parts[i],
                                             .msg_iovlen = 1,
                                             .msg_control = control[i],
                                             .msg_controllen = sizeof control[i]};
    }
    int count = recvmmsg(udp->fd, headers, UDP_BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        batch[i].len = headers[i].msg_len;
        batch[i].peer.from_len = headers[i].msg_hdr.msg_namelen;
        take_control(udp, &headers[i].msg_hdr, &batch[i].peer, dropped);
    }
    return count > 0 ? (size_t)count : 0;
}

size_t udp_send(struct udp_socket *udp, const struct udp_datagram *const answers[], size_t count)
{
    struct mmsghdr headers[UDP_BATCH];
    struct iovec parts[UDP_BATCH];
    if (count > UDP_BATCH)
        count = UDP_BATCH;
    memset(headers, 0, sizeof headers);
    for (size_t i = 0; i < count; i++) {
        /* sendmmsg wants pointers to what it does not change. */
        union {
            const void *in;
            void *out;
        } bytes = {answers[i]->bytes}, name = {&answers[i]->peer.from}, control = {answers[i]->peer.control};
        parts[i] = (struct iovec){bytes.out, answers[i]->len};
        headers[i].msg_hdr = (struct msghdr){.msg_name = name.out,
                                             .msg_namelen = answers[i]->peer.from_len,
                                             .msg_iov = &parts[i],
                                             .msg_iovlen = 1,
                                             .msg_control = answers[i]->peer.control_len ? control.out : NULL,
                                             .msg_controllen = answers[i]->peer.control_len};
    }
    size_t sent = 0;
    while (sent < count) {
        int rc = sendmmsg(udp->fd, headers + sent, (unsigned)(count - sent), MSG_DONTWAIT);
        if (rc > 0) {
            sent += (size_t)rc;
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            break;
        } else {
            sent++; /* this one cannot be sent (no route, say): the others can */
        }
    }
    return sent;
}
