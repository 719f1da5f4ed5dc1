/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_stat.h - CPU time, forks and context switches, from the text of /proc/stat. Pure. */
#ifndef AGENT_SAMPLE_STAT_H
#define AGENT_SAMPLE_STAT_H

#include "common/metric.h"

/* Fills in the cpu_* totals, forks and context_switches; leaves what the text does not tell as it is.
 * `ticks_per_second` is the kernel's unit of CPU time, sysconf(_SC_CLK_TCK). */
void sample_stat(double metrics[METRIC_COUNT], const char *text, long ticks_per_second);

#endif
