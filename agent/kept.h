/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kept.h - the beats that some receiver may still have to be sent again.
 *
 * One store for all receivers. Every beat is put in, and the oldest go first, so what is kept is a run of numbers
 * without a gap. All memory is there from the beginning, but a place that was never used is never touched, and the one
 * left last is taken first: while all is well two or three beats are kept, and they lie in one page. */
#ifndef AGENT_KEPT_H
#define AGENT_KEPT_H

#include <stdint.h>

#include "agent/agent.h"

struct kept_beat {
    uint32_t number;
    struct agent_sample sample;
};

struct kept {
    uint32_t limit;             /* how many at most */
    uint32_t first, count;      /* numbers first to first + count - 1 */
    uint32_t fresh, free_count; /* places from `fresh` on were never used */
    uint8_t free[AGENT_KEEP_MAX];
    uint8_t place[AGENT_KEEP_MAX]; /* [number % AGENT_KEEP_MAX] */
    struct kept_beat beats[AGENT_KEEP_MAX];
};

/* Leaves the beats themselves as they are. */
void kept_init(struct kept *kept, uint32_t limit);

/* Keeps at most so many from now on, up to AGENT_KEEP_MAX; the oldest go. */
void kept_set_limit(struct kept *kept, uint32_t limit);

/* `number` is one more than the last one, if there is one. The oldest goes if there is no room. */
void kept_add(struct kept *kept, uint32_t number, const struct agent_sample *sample);

/* Drops all up to and including `number`. */
void kept_drop(struct kept *kept, uint32_t number);

/* The first number after `number` that is kept; 0 if there is none. */
uint32_t kept_after(const struct kept *kept, uint32_t number);

/* The beat with a number that is kept. */
const struct kept_beat *kept_get(const struct kept *kept, uint32_t number);

#endif
