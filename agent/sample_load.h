/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_load.h - load averages and tasks, from the text of /proc/loadavg. Pure. */
#ifndef AGENT_SAMPLE_LOAD_H
#define AGENT_SAMPLE_LOAD_H

#include "common/metric.h"

/* Fills in load1, load5, load15, running and processes; leaves what the text does not tell as it is. */
void sample_load(double metrics[METRIC_COUNT], const char *text);

#endif
