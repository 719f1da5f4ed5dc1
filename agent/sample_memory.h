/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_memory.h - memory and swap, from the text of /proc/meminfo. Pure. */
#ifndef AGENT_SAMPLE_MEMORY_H
#define AGENT_SAMPLE_MEMORY_H

#include "common/metric.h"

/* Fills in mem_total, mem_available, mem_used and swap_used; leaves what the text does not tell as it is. */
void sample_memory(double metrics[METRIC_COUNT], const char *text);

#endif
