/* SPDX-License-Identifier: GPL-2.0-or-later */
/* devices.c - see devices.h. */
#include "agent/devices.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_settings.h"
#include "agent/sample_device.h"

#define PATH_SIZE (DEVICE_NAME_SIZE + 64)
#define UEVENT_SIZE 512

static bool exists(const char *class, const char *name, const char *entry)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "/sys/%s/%s/%s", class, name, entry);
    return access(path, F_OK) == 0;
}

/* The text of a small file of an interface, "" if there is none. */
static void read_entry(const char *name, const char *entry, char *text, size_t size)
{
    char path[PATH_SIZE];
    ssize_t len = 0;
    (void)snprintf(path, sizeof path, "/sys/class/net/%s/%s", name, entry);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        len = pread(fd, text, size - 1, 0);
        (void)close(fd);
    }
    text[len > 0 ? len : 0] = '\0';
}

static uint64_t name_id(const char *name)
{
    return span_hash((struct span){name, strlen(name)}, SPAN_HASH_START) | 1;
}

/* The kernel's index: no two interfaces of a boot have the same, and none is 0. A container may lack /sys. */
static uint64_t interface_id(const char *name)
{
    char text[24];
    read_entry(name, "ifindex", text, sizeof text);
    uint64_t index = strtoull(text, NULL, 10);
    return index != 0 ? index : name_id(name);
}

uint64_t devices_identify_disk(void *context, const char *name)
{
    char entry[DEVICE_NAME_SIZE];
    (void)context;
    (void)snprintf(entry, sizeof entry, "%s", name);
    for (char *at = entry; *at; at++)
        if (*at == '/') /* some drivers name disks like folders */
            *at = '!';
    if (!exists("block", entry, "device"))
        return 0;
    return name_id(name);
}

uint64_t devices_identify_physical_interface(void *context, const char *name)
{
    (void)context;
    if (!exists("class/net", name, "device") || exists("class/net", name, "master/device"))
        return 0;
    return interface_id(name);
}

/* The kernel names the type of what is made of other interfaces (bond, bridge, vlan, vxlan, macvlan, wireguard), and
 * tunnels of processes have flags. What is plugged into a bridge or bond here goes on through another one. */
uint64_t devices_identify_lower_interface(void *context, const char *name)
{
    char text[UEVENT_SIZE];
    (void)context;
    if (strcmp(name, "lo") == 0 || exists("class/net", name, "tun_flags") || exists("class/net", name, "master"))
        return 0;
    read_entry(name, "uevent", text, sizeof text);
    return strstr(text, "DEVTYPE=") ? 0 : interface_id(name);
}

uint64_t devices_identify_named_interface(void *context, const char *name)
{
    const struct string_list *names = context;
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(name, names->items[i]) == 0)
            return interface_id(name);
    return 0;
}
