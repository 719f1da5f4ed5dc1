/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rows.h - the seconds of a host in rows of equal length, as RRD files hold them, and the uptime that they give.
 *
 * Rows of several records are merged to the larger of each figure, as MAXNAN does: within a row nobody knows which second
 * was which, so the merge is exact to a row's length around an edge that only one of them saw. Pure. */
#ifndef RECEIVER_REPORT_ROWS_H
#define RECEIVER_REPORT_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "receiver/record/timeline.h"
#include "receiver/report/uptime.h"

/* Seconds of one row. What is known and neither up nor admin was down. All 0: nothing is known. */
struct row {
    double up, admin, known;
};

/* The rows of `row_s` seconds from `from` on, by the log, whose record goes up to `limit`. */
void rows_from_timeline(const struct timeline *timeline, int64_t limit, int64_t from, int64_t row_s, struct row *rows,
                        size_t count);

/* Takes the rows of another record into `rows`. */
void rows_merge(struct row *rows, const struct row *others, size_t count);

/* Adds the rows up, in whole seconds. Rows do not know causes: `unreachable` is 0. */
void rows_count(const struct row *rows, size_t count, int64_t row_s, struct uptime *out);

#endif
