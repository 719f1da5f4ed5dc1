/* SPDX-License-Identifier: GPL-2.0-or-later */
/* outages.h - the spans of a host in which the log tells anything but up, one by one.
 *
 * An outage is shown whole, with its true edges, also where it reaches beyond the period that was asked for. Pure. */
#ifndef RECEIVER_REPORT_OUTAGES_H
#define RECEIVER_REPORT_OUTAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "receiver/record/timeline.h"

/* Unix seconds. */
struct outage {
    uint32_t number;  /* line of the log that first told of it; people know it by the id of that line */
    enum state state; /* DOWN, ADMIN or UNKNOWN; also UP if somebody said so */
    enum state told;  /* by the log, never UP */
    enum cause cause;
    const struct timeline_relabel *relabel; /* of the timeline; NULL: nobody said anything */
    bool open;                              /* it has no end yet: `to` and its bounds mean nothing */
    int64_t from, from_earliest, from_latest;
    int64_t to, to_earliest, to_latest;
    int64_t seconds; /* its length; if open, up to when the receiver was last alive */
};

/* Finds the next outage that has a second in [from, to). `*index` is 0 for the first call and belongs to this function.
 * The receiver was last alive at `limit`. False if there is none left. */
bool outages_next(const struct timeline *timeline, int64_t from, int64_t to, int64_t limit, size_t *index,
                  struct outage *out);

#endif
