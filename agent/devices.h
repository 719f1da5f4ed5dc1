/* SPDX-License-Identifier: GPL-2.0-or-later */
/* devices.h - which disks and interfaces count, from /sys: each byte once, where it enters or leaves the machine.
 *
 * Disks: whole devices that a driver made. Partitions, loops, RAID and device-mapper have no driver of their own.
 * Interfaces: physical ones, which leaves out bridges, bonds, VLANs and tunnels; of a pair that the hypervisor offers for
 * one (a virtual interface and a function of the network card below it) only the upper one, since it counts for both.
 * A container has no physical interface: there all count that are not the loopback and not made of others. */
#ifndef AGENT_DEVICES_H
#define AGENT_DEVICES_H

#include <stdint.h>

/* All of these are for struct device_filter: the id of a device that counts, else 0. An interface keeps its id when it is
 * renamed. */

uint64_t devices_identify_disk(void *context, const char *name);
uint64_t devices_identify_physical_interface(void *context, const char *name);
uint64_t devices_identify_lower_interface(void *context, const char *name);
/* `context`: struct string_list of the names that count. */
uint64_t devices_identify_named_interface(void *context, const char *name);

#endif
