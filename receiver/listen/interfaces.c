/* SPDX-License-Identifier: GPL-2.0-or-later */
/* interfaces.c - see interfaces.h. Only that something has changed is taken from the netlink socket; what there is now is then looked up
 * in one go, so that a message that was lost does no harm. */
#include "receiver/listen/interfaces.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

int interfaces_watch(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct sockaddr_nl address = {.nl_family = AF_NETLINK,
                                  .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

bool interfaces_changed(int fd)
{
    char buffer[8192];
    bool any = false;
    for (;;) {
        ssize_t len = recv(fd, buffer, sizeof buffer, MSG_TRUNC);
        if (len <= 0 && !(len < 0 && errno == ENOBUFS)) /* that one says that messages were lost */
            return any;
        any = true;
    }
}

bool interfaces_any(void)
{
    struct ifaddrs *list;
    bool any = false;
    if (getifaddrs(&list) != 0)
        return true; /* cannot be told */
    for (const struct ifaddrs *i = list; i && !any; i = i->ifa_next) {
        int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
        any = (family == AF_INET || family == AF_INET6) && (i->ifa_flags & IFF_UP) && (i->ifa_flags & IFF_RUNNING) &&
              !(i->ifa_flags & IFF_LOOPBACK);
    }
    freeifaddrs(list);
    return any;
}
