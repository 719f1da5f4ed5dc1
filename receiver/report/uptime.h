/* SPDX-License-Identifier: GPL-2.0-or-later */
/* uptime.h - how long a host, or all of them, was up, and the figure that is published.
 *
 * Uptime is up / (up + down) in whole seconds: what nobody could tell and what was planned is outside. The figure is
 * rounded down, in integers, so that 100.000000 is said only if not one second of downtime is known. Pure. */
#ifndef RECEIVER_REPORT_UPTIME_H
#define RECEIVER_REPORT_UPTIME_H

#include <stdint.h>

#include "receiver/record/timeline.h"

/* Whole seconds. up + down + admin + unknown is the length of the period; `unreachable` is a part of `down`. */
struct uptime {
    int64_t up, down, unreachable, admin, unknown;
};

#define PERCENT_NO_DATA INT64_C(-1)
#define PERCENT_TEXT_MAX 32

/* The seconds of [from, to), Unix seconds. The receiver was last alive at `limit`: what lies after it is unknown, as
 * is what lies before the first heartbeat. All zeros if to <= from. */
void uptime_count(const struct timeline *timeline, int64_t from, int64_t to, int64_t limit, struct uptime *out);

/* Adds `one` to `sum`: the figure of a fleet is that of its seconds. */
void uptime_add(struct uptime *sum, const struct uptime *one);

/* Millionths of a percent, 0 to 100,000,000, rounded down, or PERCENT_NO_DATA without a second up or down. */
int64_t uptime_percent(const struct uptime *uptime);

/* The figure as text with six decimals ("99.971264"), or "no data". */
void uptime_percent_format(char out[PERCENT_TEXT_MAX], int64_t millionths);

#endif
