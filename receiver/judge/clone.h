/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clone.h - two machines that speak with one key, as a copied disk makes them: which of them the record is about.
 *
 * Two boots cannot be told from a reboot while only one of them has been heard since. So the machine of the boot before is kept in mind until
 * it has missed two expectations. If it speaks before that, there are two: the one that was known first keeps the record, and what
 * was told as a reboot is taken back. The other is counted and acknowledged, and feeds nothing, until the first one has
 * missed two expectations. Neither of the two is ever an outage by itself. Pure. */
#ifndef RECEIVER_JUDGE_CLONE_H
#define RECEIVER_JUDGE_CLONE_H

#include <stdbool.h>

#include "receiver/judge/fact.h"
#include "receiver/judge/host.h"

/* Whether a beat is of another machine than the one that the record is about, which still speaks. It is no fact. The last beat may have
 * waited in the socket for `waited_ns` before it was heard. */
bool clone_is_other(const struct host *host, const struct fact_beat *beat, int64_t waited_ns);
/* Whether a beat is of the machine that another boot has displaced meanwhile. */
bool clone_is_displaced(const struct host *host, const struct fact_beat *beat);

/* Another boot takes over with this beat: keeps the one before in mind, while it may still be heard. False: out of memory. */
bool clone_displace(struct host *host, const struct fact_beat *beat);
/* The one before is still there: the record is about it again, and its silence goes on as if no other boot had ended it. */
void clone_reinstate(struct host *host);
/* Forgets the one before if it should have been heard before `at`. */
void clone_expire(struct host *host, struct instant at);

#endif
