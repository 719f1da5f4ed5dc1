/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unaveraged.h - heartbeats that wait to be averaged, since earlier ones are still to come.
 *
 * After an absence the newest beat comes first and those that the agent kept follow. Averages go forward in time only, so what is
 * newer waits here, in the order of its numbers, until the gap is filled or nobody expects that any more. A host has such a list
 * only while it waits. Pure value. */
#ifndef RECEIVER_RECORD_UNAVERAGED_H
#define RECEIVER_RECORD_UNAVERAGED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/codec.h"
#include "common/metric.h"
#include "common/time.h"

/* As many as an agent keeps, and as many again that come meanwhile. */
#define UNAVERAGED_MAX 512

/* What averages_add is to be told. */
struct unaveraged_beat {
    uint32_t number;
    struct wall at;
    bool new_boot;
    struct wall boot; /* with new_boot */
    int64_t reach_ns;
    double metrics[METRIC_COUNT];
};

struct unaveraged {
    struct instant since;          /* it began */
    struct unaveraged_beat *beats; /* by number; owned */
    uint32_t count, capacity;
};

/* A fresh one, NULL: out of memory. */
struct unaveraged *unaveraged_create(struct instant since);
void unaveraged_destroy(struct unaveraged *unaveraged); /* NULL is fine */

/* Adds a beat; one whose number is there already is ignored. Returns 0, or -1: out of memory, or UNAVERAGED_MAX reached. */
int unaveraged_put(struct unaveraged *unaveraged, const struct unaveraged_beat *beat);
/* Forgets the first `count`. */
void unaveraged_drop(struct unaveraged *unaveraged, uint32_t count);

/* Visits everything, for a checkpoint. */
void unaveraged_visit(struct codec *codec, struct unaveraged *unaveraged);

#endif
