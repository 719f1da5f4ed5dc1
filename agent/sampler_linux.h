/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sampler_linux.h - measures this host, as the catalogue in common/metric.h wants it.
 *
 * The files of /proc stay open, so that measuring needs no right that was given up and no memory that may be short.
 * Network file systems are never touched: they can block for ever. */
#ifndef AGENT_SAMPLER_LINUX_H
#define AGENT_SAMPLER_LINUX_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/agent_settings.h"
#include "common/message.h"

struct sampler;

/* NULL: out of memory. What cannot be opened is left out of the samples. What the lists name is
 * borrowed for its life. */
struct sampler *sampler_create(const struct string_list *ignore_filesystems, const struct string_list *interfaces);
void sampler_destroy(struct sampler *sampler);

/* Fills in all metrics but METRIC_UPTIME; NaN where one is not available. */
void sampler_measure(struct sampler *sampler, double metrics[METRIC_COUNT]);

/* The boot id of the kernel. False, and zeros, if there is none. */
bool sampler_boot_id(uint8_t out[BOOT_ID_LEN]);

#endif
