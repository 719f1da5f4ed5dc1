/* SPDX-License-Identifier: GPL-2.0-or-later */
/* judging_clock.h - the clock that verdicts are made on: CLOCK_BOOTTIME, continued over restarts of the receiver and its machine. */
#ifndef RECEIVER_LISTEN_JUDGING_CLOCK_H
#define RECEIVER_LISTEN_JUDGING_CLOCK_H

#include <time.h>

#include "common/error.h"
#include "common/time.h"
#include "receiver/record/journal.h"

int64_t judging_clock_read_ns(clockid_t clock);

/* The wall clock, and in `boottime_ns` CLOCK_BOOTTIME of the same moment: a process that is held up between two readings would
 * take that for a step. */
struct wall judging_clock_read_wall(int64_t *boottime_ns);

/* The id of this boot of the kernel. */
int judging_clock_read_boot_id(uint8_t out[BOOT_ID_LEN], struct error *error);

/* Refuses to go on with a record whose last mark lies more than a day ahead of a wall clock that was set: 0 or -1. */
int judging_clock_check(const struct journal_start *start, struct wall wall, struct error *error);

/* Where the judging clock stands at CLOCK_BOOTTIME `boottime_ns`: it goes on from the run before, by CLOCK_BOOTTIME if this
 * is still the same boot, else by the wall clock; and never back. Without a run before it begins at the wall time
 * (no earlier than LABELS_EARLIEST_NS). */
struct instant judging_clock_continue(const struct journal_start *start, const uint8_t boot_id[BOOT_ID_LEN],
                                      int64_t boottime_ns, struct wall wall);

#endif
