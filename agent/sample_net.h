/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_net.h - network traffic, from the text of /proc/net/dev. Which interfaces count, so that no byte counts twice,
 * is decided by the filters. Pure. */
#ifndef AGENT_SAMPLE_NET_H
#define AGENT_SAMPLE_NET_H

#include "agent/sample_device.h"
#include "common/metric.h"

/* Fills in net_in, net_out, packets_in, packets_out, net_errors and net_drops; leaves them as they are as long as no
 * interface counts. `table` (zero-initialise) is kept between samples. `otherwise` (or NULL) is asked if `filter` wants
 * no interface. A text without any line changes nothing. */
void sample_net(double metrics[METRIC_COUNT], struct device_table *table, const char *text,
                const struct device_filter *filter, const struct device_filter *otherwise);

#endif
