/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sampler_linux.h - measures this host, as the catalogue in common/metric.h wants it.
 *
 * The files of /proc stay open, so that measuring needs no right that was given up and no memory that may be short.
 * What may block is asked beside the loop (probes.h); measuring takes PROBES_WAIT_MS longer at most. */
#ifndef AGENT_SAMPLER_LINUX_H
#define AGENT_SAMPLER_LINUX_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/agent_settings.h"
#include "common/message.h"

struct sampler;

/* NULL: out of memory. What cannot be opened is left out of the samples. The totals of an earlier run on the same boot
 * are taken over from `state_dir`, and noted there when a mere sum of the kernel's counters would not tell them any
 * more; if that is not possible, the totals may go back or jump at the next start. `interfaces` is borrowed. */
struct sampler *sampler_create(const struct string_list *ignore_filesystems, const struct string_list *interfaces,
                               const char *state_dir);
/* Other settings; the lists before are not used any more. False: out of memory, the same file systems count as before. */
bool sampler_change(struct sampler *sampler, const struct string_list *ignore_filesystems,
                    const struct string_list *interfaces);
/* False: a call to the kernel hangs, and the process must end by _exit. NULL is fine. */
bool sampler_destroy(struct sampler *sampler);

/* Fills in all metrics but METRIC_UPTIME; NaN where one is not available. */
void sampler_measure(struct sampler *sampler, double metrics[METRIC_COUNT]);

/* The boot id of the kernel. False, and zeros, if there is none. */
bool sampler_boot_id(uint8_t out[BOOT_ID_LEN]);

#endif
