/* SPDX-License-Identifier: GPL-2.0-or-later */
/* labels.h - the wall time that an instant is recorded under.
 *
 * Verdicts are made on a clock that never steps; the record and people want wall time. The label of an instant is its
 * own number plus an offset. The offset changes only when a run of the receiver begins and when its wall clock is
 * stepped, and then for later instants only: what is recorded is never moved. Labels never run backwards:
 *
 *   the wall clock is set forward         they jump with it (the seconds between were never lived through: unknown)
 *   it is set back while we run           they go on 1 % slower than time until the wall clock has caught up
 *   it lies in their past at a start      they stand still until the wall clock has passed them
 *
 * Pure. */
#ifndef RECEIVER_JUDGE_LABELS_H
#define RECEIVER_JUDGE_LABELS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/time.h"

/* A host can be down over many restarts, and its outage is to keep its labels. */
#define LABELS_MAX 256

/* From `from` on an instant is told as itself + `offset_ns`, but not before `base`, which with `slow` itself moves on, at 99 %. */
struct label_part {
    struct instant from;
    int64_t offset_ns;
    struct wall base; /* the label of `from` */
    bool slow;
};

struct labels {
    struct label_part parts[LABELS_MAX]; /* in order of time */
    size_t count;
};

/* What a look at the wall clock made of the labels. */
enum labels_change {
    LABELS_SAME,
    LABELS_FORWARD, /* they jump by more than LABELS_JUMP_NS at the beginning of the new part */
    LABELS_CHANGED, /* a new part, but no jump */
};

/* Clocks that differ by less than this are the same clock, read twice or slewed. */
#define LABELS_JUMP_NS (2 * NS_PER_S)

/* No record begins before this: a clock that says so was never set (2020-01-01). */
#define LABELS_EARLIEST_NS (INT64_C(1577836800) * NS_PER_S)

/* A run begins at `now`, the wall clock says `wall`. */
enum labels_change labels_start(struct labels *labels, struct instant now, struct wall wall);
/* A look at the wall clock while the receiver runs. The jump of LABELS_FORWARD lies right after `now`. */
enum labels_change labels_look(struct labels *labels, struct instant now, struct wall wall);
/* Adds a part as it was stored, in order; the oldest gives way when there are too many. */
void labels_load(struct labels *labels, const struct label_part *part);

/* The wall time of an instant; the instant itself, as Unix time, while there is no part. */
struct wall labels_of(const struct labels *labels, struct instant t);
/* The same in whole seconds. */
int64_t labels_second(const struct labels *labels, struct instant t);

/* When the wall clock will say `wall`, or has said so, as far as is known now. */
struct instant labels_instant(const struct labels *labels, struct wall wall);

#endif
