/* SPDX-License-Identifier: GPL-2.0-or-later */
/* backlog.h - what one receiver still lacks of the beats that are kept, and when it is sent (PROTOCOL.md section 5).
 *
 * A kept beat is sent again if it is neither safe nor acked by the process of the receiver that answers now. So there
 * is nothing to send while all beats are acked in time, however long the receiver takes to store them; what was not
 * acked follows the next ack; a challenge shows another process, of which nothing is known, so everything above its
 * `safe` follows; and what was acked long ago but is still not safe counts as not acked. */
#ifndef AGENT_BACKLOG_H
#define AGENT_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/kept.h"

#define BACKLOG_RECENT 16

struct backlog_recent {
    uint32_t number;
    struct instant at;
};

struct backlog {
    uint32_t base;         /* beats up to this one are no business of this receiver */
    uint32_t safe;         /* beats up to this one are on its disk; not below `base` */
    uint64_t since;        /* transmissions up to this counter tell nothing about the process that answers now */
    uint64_t safe_counter; /* of the ack that told `safe` */
    uint64_t arrived[AGENT_KEEP_MAX / 64]; /* [number % AGENT_KEEP_MAX]: acked by this process */

    struct instant next;                          /* nothing is sent before */
    struct backlog_recent recent[BACKLOG_RECENT]; /* what was sent last */
    uint32_t unanswered;                          /* how many were sent since one of them was acked */
    uint32_t recent_count;                        /* [count % BACKLOG_RECENT] is the next to be overwritten */

    uint32_t watched; /* the oldest that is not safe, if it is acked, ... */
    struct instant watched_at;
    int64_t patience_ns; /* ... and how long that may last */
};

/* For a receiver that is owed the beats after `number`. */
void backlog_init(struct backlog *backlog, uint32_t number);

/* Whoever answers what is sent after `counter` may know nothing, or an old copy of the database. */
void backlog_doubt(struct backlog *backlog, uint64_t counter);

/* The beat `number` is replaced by the next one: was it acked? */
void backlog_add(struct backlog *backlog, uint32_t number, bool acked);

/* An ack of the transmission `counter`, which carried the beat `number` (0: not known). `newest` is the current beat.
 * False if it comes from before the doubt, and tells nothing. */
bool backlog_ack(struct backlog *backlog, uint64_t counter, uint32_t number, uint32_t safe, uint32_t newest);

/* After the ack of the current beat `newest`, which was due at `due`. */
void backlog_watch(struct backlog *backlog, const struct kept *kept, uint32_t newest, struct instant due,
                   struct instant now);

/* The oldest beat that could still be sent: one that is kept, or the current one, `newest`. */
uint32_t backlog_oldest(const struct backlog *backlog, const struct kept *kept, uint32_t newest);

/* The number of the kept beat to be sent next, the oldest first, and at which instant from now on; 0 and INSTANT_NEVER
 * if there is none. */
uint32_t backlog_next(const struct backlog *backlog, const struct kept *kept, struct instant now, struct instant *at);

/* It was sent. The next one follows after a while that depends on the interval of the beats. */
void backlog_sent(struct backlog *backlog, uint32_t number, struct instant now, int64_t interval_ns);

#endif
