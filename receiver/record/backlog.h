/* SPDX-License-Identifier: GPL-2.0-or-later */
/* backlog.h - heartbeats that wait to be averaged, since earlier ones are still to come.
 *
 * After an absence the newest beat comes first and those that the agent kept follow. Averages go forward in time only, so what is
 * newer waits here, in the order of its numbers, until the gap is filled or nobody expects that any more. A host has a backlog
 * only while it waits. Pure value. */
#ifndef RECEIVER_RECORD_BACKLOG_H
#define RECEIVER_RECORD_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/codec.h"
#include "common/metric.h"
#include "common/time.h"

/* As many as an agent keeps, and as many again that come meanwhile. */
#define BACKLOG_MAX 512

/* What averages_add is to be told. */
struct backlog_beat {
    uint32_t number;
    struct wall at;
    bool new_boot;
    struct wall boot; /* with new_boot */
    int64_t reach_ns;
    double metrics[METRIC_COUNT];
};

struct backlog {
    struct instant since;       /* it began */
    struct backlog_beat *beats; /* by number; owned */
    uint32_t count, capacity;
};

/* A fresh one, NULL: out of memory. */
struct backlog *backlog_create(struct instant since);
void backlog_destroy(struct backlog *backlog); /* NULL is fine */

/* Adds a beat; one whose number is there already is ignored. Returns 0, or -1: out of memory, or BACKLOG_MAX reached. */
int backlog_put(struct backlog *backlog, const struct backlog_beat *beat);
/* Forgets the first `count`. */
void backlog_drop(struct backlog *backlog, uint32_t count);

/* Visits everything, for a checkpoint. */
void backlog_visit(struct codec *codec, struct backlog *backlog);

#endif
