/* SPDX-License-Identifier: GPL-2.0-or-later */
/* deadlines.h - which host is to be looked at next.
 *
 * A binary heap with one entry a host. A beat moves the deadline of its host later, and that is not told to the heap: the entry
 * is only a promise that nothing is due before it. Whoever takes an entry asks the host and puts it back if it was early. A
 * beat costs nothing here, and the cost of a verdict does not grow with the fleet. */
#ifndef RECEIVER_JUDGE_DEADLINES_H
#define RECEIVER_JUDGE_DEADLINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/time.h"

struct deadline_entry {
    struct instant at;
    uint32_t host;
};

/* Zero-initialise; release with deadlines_free. */
struct deadlines {
    struct deadline_entry *entries; /* entries[0] is the earliest */
    size_t count, capacity;
    uint32_t *place; /* by host: index + 1 of its entry, 0 for none */
    size_t place_capacity;
};

void deadlines_free(struct deadlines *deadlines);

/* Makes room for a host, so that deadlines_promise cannot fail. Returns 0, or -1 out of memory. */
int deadlines_reserve(struct deadlines *deadlines, uint32_t host);

/* Promises that the host is looked at by `at` at the latest: adds its entry or moves it earlier. A later `at` than the
 * entry has is ignored, as said above. */
void deadlines_promise(struct deadlines *deadlines, uint32_t host, struct instant at);

/* The earliest entry, INSTANT_NEVER if there is none. */
struct instant deadlines_next(const struct deadlines *deadlines);
/* Removes the earliest entry and returns its host; there must be one. */
uint32_t deadlines_take(struct deadlines *deadlines);
/* To look at entries without taking them: the index after `i` (begin with 0, `count` is the end). Without `descend` all
 * entries below `i` are left out, none of which is earlier than it. */
size_t deadlines_walk(const struct deadlines *deadlines, size_t i, bool descend);

#endif
