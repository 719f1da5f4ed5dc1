/* SPDX-License-Identifier: GPL-2.0-or-later */
/* replay.h - which counters of a session were seen before (a sliding bitmap after RFC 6479). Pure value. */
#ifndef COMMON_REPLAY_H
#define COMMON_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_BITS 1024 /* a counter this far behind the largest is refused */

struct replay {
    uint64_t largest;                 /* largest counter accepted */
    uint64_t words[REPLAY_BITS / 64]; /* bit c % 1024: counter c was seen, for the 1024 counters up to `largest` */
};

/* A window in which every counter up to and including `used` counts as seen. */
void replay_init(struct replay *window, uint64_t used);

/* Marks `counter` as seen. False if it was seen before, is too old to tell, or is 0. */
bool replay_accept(struct replay *window, uint64_t counter);

#endif
