/* SPDX-License-Identifier: GPL-2.0-or-later */
/* merge.h - one host in the records of several receivers, as one timeline.
 *
 * In each second the best of what the records say counts: up before admin, admin before down, down before unknown. One
 * record alone is merged to what it says itself. Pure. */
#ifndef RECEIVER_REPORT_MERGE_H
#define RECEIVER_REPORT_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include "receiver/record/timeline.h"

#define MERGE_PARTS_MAX 16
#define MERGE_NOBODY SIZE_MAX

/* What one record says of the host. */
struct merge_part {
    const struct timeline *timeline; /* no spans: it was never heard there */
    int64_t limit;                   /* the record goes up to here, Unix seconds: later seconds are unknown in it */
};

/* Zero-initialise; release with merged_free. */
struct merged {
    struct timeline timeline; /* refers to what belongs to the parts, which must live longer */
    size_t *tellers; /* of each span: the part whose span it is, or MERGE_NOBODY: unknown, since no record goes there */
    int64_t limit;   /* the end of the timeline: the latest of those parts that have the host and did not forget it */
};

/* Merges up to MERGE_PARTS_MAX parts. A stretch in which the merged state stays the same is told by one of them, the one
 * that saw most of it (of several the first): its causes, numbers and relabels. The edges of the stretch, and their
 * bounds, are those at which the merged state changes. Returns 0, or -1 out of memory. */
int merge_parts(const struct merge_part *parts, size_t count, struct merged *out);
void merged_free(struct merged *merged);

#endif
