/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_stat.h - CPU time, forks and context switches, from the text of /proc/stat.
 *
 * The kernel sums the time of all CPUs; shown is the share of the whole machine, so it is divided by their number. That
 * number may change while the host runs. The total then goes on from where it was: only what is added from then on is
 * divided by the new number, and what was added in the interval of the change by the larger of the two.
 * Between changes the total is a fixed function of what the kernel says, as another run of the agent finds too that
 * starts from the same base: as with devices, the base is saved when it `changed`. Pure. */
#ifndef AGENT_SAMPLE_STAT_H
#define AGENT_SAMPLE_STAT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/metric.h"

#define CPU_SHARES 4 /* user, system, iowait, steal */

/* Zero-initialise. */
struct cpu_state {
    bool changed;       /* ought to be saved; cleared by the owner */
    uint64_t cpu_count; /* 0 before the first sample */
    uint64_t base_ticks[CPU_SHARES];
    uint64_t base_micropercent[CPU_SHARES]; /* the total at base_ticks, in millionths of a percent-second */
    uint64_t last_ticks[CPU_SHARES];
};

/* Fills in the cpu_* totals, forks and context_switches; leaves what the text does not tell as it is.
 * `ticks_per_second` is the kernel's unit of CPU time, sysconf(_SC_CLK_TCK). */
void sample_stat(double metrics[METRIC_COUNT], struct cpu_state *state, const char *text, long ticks_per_second);

#endif
