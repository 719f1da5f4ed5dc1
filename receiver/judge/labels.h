/* SPDX-License-Identifier: GPL-2.0-or-later */
/* labels.h - the wall time that an instant is recorded under.
 *
 * Verdicts are made on a clock that never steps; the record and people want wall time. The label of an instant is its
 * own number plus an offset that is fixed when a run of the receiver begins, so a wall clock that is set meanwhile moves
 * no record. The offsets of the last runs are kept, since an instant is told under the offset of its own time. */
#ifndef RECEIVER_JUDGE_LABELS_H
#define RECEIVER_JUDGE_LABELS_H

#include <stddef.h>

#include "common/time.h"

/* A host can be down over many restarts, and its outage is to keep its labels. */
#define LABELS_MAX 256

struct labels {
    struct {
        struct instant from;
        int64_t offset_ns;
    } parts[LABELS_MAX]; /* in order of time */
    size_t count;
};

/* From `from` on (not before an earlier call's), that instant is told as `wall`; labels never run backwards: a wall time before
 * the label of `from` so far is not used. The oldest offset gives way when there are too many. */
void labels_begin(struct labels *labels, struct instant from, struct wall wall);

/* The wall time of an instant; the instant itself, as Unix time, before the first labels_begin. */
struct wall labels_of(const struct labels *labels, struct instant t);

/* The same in whole seconds. */
int64_t labels_second(const struct labels *labels, struct instant t);

#endif
