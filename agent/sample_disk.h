/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_disk.h - disk traffic, from the text of /proc/diskstats.
 *
 * Whole physical disks only: partitions, RAID and device-mapper devices would count the same bytes again. Pure. */
#ifndef AGENT_SAMPLE_DISK_H
#define AGENT_SAMPLE_DISK_H

#include "agent/sample_device.h"
#include "common/metric.h"

#define DISK_MAX 256 /* among so many the busiest is found; the totals hold all */

/* What has to be remembered between samples. Zero-initialise. */
struct disk_state {
    struct device_choice choice;
    int64_t measured_ms;        /* when `busy_ms` was taken */
    size_t busy_count;          /* how many of them are known */
    uint32_t busy_ms[DISK_MAX]; /* of the chosen disks, in order; the kernel's number wraps at 32 bits */
};

/* Fills in disk_read, disk_write and disk_operations, and from the second sample on disk_busiest; leaves them as
 * they are if no disk is wanted. `now_ms` is the time of the sample on a monotonic clock; `is_physical` is asked
 * about whole names as in the text, and only when the devices have changed. */
void sample_disk(double metrics[METRIC_COUNT], struct disk_state *state, const char *text, int64_t now_ms,
                 const struct device_filter *is_physical);

#endif
