/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_net.h - network traffic, from the text of /proc/net/dev.
 *
 * Physical interfaces only: bridges, bonds, tunnels and VLANs would count the same bytes again. A container or network
 * namespace has none: then all but the loopback count. Pure. */
#ifndef AGENT_SAMPLE_NET_H
#define AGENT_SAMPLE_NET_H

#include "agent/sample_device.h"
#include "common/metric.h"

/* Fills in net_in, net_out, packets_in, packets_out, net_errors and net_drops; leaves them as they are if no
 * interface counts. `choice` (zero-initialise) is kept between samples. `filter` is asked only when the interfaces
 * have changed; if it wants none, and `or_all` is set, all but "lo" count. */
void sample_net(double metrics[METRIC_COUNT], struct device_choice *choice, const char *text,
                const struct device_filter *filter, bool or_all);

#endif
