/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gateway.c - see gateway.h. */
#include "receiver/listen/gateway.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TABLE_MAX (64 * 1024) /* a gateway far down a longer table is not found, and so is not lost */
enum { ROUTE_UP = 1, ROUTE_GATEWAY = 2, NEIGHBOUR_COMPLETE = 2 };

static const char *next_line(const char *at)
{
    const char *end = strchr(at, '\n');
    return end ? end + 1 : at + strlen(at);
}

/* A neighbour that did not answer stays in the table for a while without an address. */
static bool neighbour_is_lost(const char *neighbours, const char *address)
{
    for (const char *at = next_line(neighbours); *at; at = next_line(at)) {
        char found[64];
        unsigned type, flags;
        if (sscanf(at, "%63s 0x%x 0x%x", found, &type, &flags) == 3 && strcmp(found, address) == 0)
            return !(flags & NEIGHBOUR_COMPLETE);
    }
    return false;
}

bool gateway_is_lost_by(const char *routes, const char *neighbours)
{
    bool any = false;
    for (const char *at = next_line(routes); *at; at = next_line(at)) {
        char name[64], address[INET_ADDRSTRLEN];
        unsigned destination, gateway, flags;
        if (sscanf(at, "%63s %x %x %x", name, &destination, &gateway, &flags) != 4 || destination != 0 ||
            (flags & (ROUTE_UP | ROUTE_GATEWAY)) != (ROUTE_UP | ROUTE_GATEWAY))
            continue;
        struct in_addr in = {.s_addr = gateway}; /* the kernel prints it as it lies in memory */
        if (!inet_ntop(AF_INET, &in, address, sizeof address) || !neighbour_is_lost(neighbours, address))
            return false;
        any = true;
    }
    return any;
}

static bool read_table(const char *path, char text[TABLE_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t got = -1;
    while (fd >= 0 && len < TABLE_MAX - 1 && (got = read(fd, text + len, TABLE_MAX - 1 - len)) > 0)
        len += (size_t)got;
    if (fd >= 0)
        close(fd);
    text[len] = '\0';
    return fd >= 0 && got >= 0;
}

bool gateway_is_lost(void)
{
    static const char *const paths[] = {"/proc/self/net/route", "/proc/self/net/arp"};
    char routes[TABLE_MAX], neighbours[TABLE_MAX];
    return read_table(paths[0], routes) && read_table(paths[1], neighbours) && gateway_is_lost_by(routes, neighbours);
}
