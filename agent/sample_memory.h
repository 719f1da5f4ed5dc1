/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_memory.h - memory and swap, from the text of /proc/meminfo and, in a container, of its control group. Pure. */
#ifndef AGENT_SAMPLE_MEMORY_H
#define AGENT_SAMPLE_MEMORY_H

#include <stdbool.h>

#include "common/metric.h"

/* Fills in mem_total, mem_available, mem_used and swap_used; leaves what the text does not tell as it is. */
void sample_memory(double metrics[METRIC_COUNT], const char *text);

/* What a control group may have and has. */
struct memory_group {
    double limit;     /* bytes */
    double available; /* bytes below the limit; caches count as available */
};

/* From the texts of memory.max, memory.current and memory.stat (version 2), or of memory.limit_in_bytes,
 * memory.usage_in_bytes and memory.stat (version 1). False if there is no limit or something is not told. */
bool memory_group_parse(struct memory_group *out, const char *limit, const char *usage, const char *stat);

/* Corrects what sample_memory filled in, if the group may have less than the machine has. It cannot have more than the
 * machine has left, either. */
void sample_memory_group(double metrics[METRIC_COUNT], const struct memory_group *group);

#endif
