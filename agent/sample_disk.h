/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_disk.h - disk traffic, from the text of /proc/diskstats.
 *
 * Whole physical disks only: partitions, RAID and device-mapper devices would count the same bytes again. Of a disk that
 * is reached over several paths each path counts, and each byte takes one of them. Pure. */
#ifndef AGENT_SAMPLE_DISK_H
#define AGENT_SAMPLE_DISK_H

#include "agent/sample_device.h"
#include "common/metric.h"

/* What has to be remembered between samples. Zero-initialise. */
struct disk_state {
    struct device_table table;
    bool measured;       /* `measured_ms` and the busy times of known disks are valid */
    int64_t measured_ms; /* when they were taken */
};

/* Fills in disk_read, disk_write and disk_operations, and from the second sample on disk_busiest; leaves them as
 * they are as long as no disk counts. `now_ms` is the time of the sample on a monotonic clock; `filter` is asked about
 * whole names as in the text. A text without any line changes nothing. */
void sample_disk(double metrics[METRIC_COUNT], struct disk_state *state, const char *text, int64_t now_ms,
                 const struct device_filter *filter);

#endif
