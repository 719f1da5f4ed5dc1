/* SPDX-License-Identifier: GPL-2.0-or-later */
/* commit_pace.h - how often the keeper commits. */
#ifndef RECEIVER_LISTEN_COMMIT_PACE_H
#define RECEIVER_LISTEN_COMMIT_PACE_H

#include "receiver/judge/receiver.h"

#define COMMIT_MAX_NS NS_PER_S          /* a durable commit a second ... */
#define COMMIT_MIN_NS (100 * NS_PER_MS) /* ... and others between, not closer than this */

/* How long news may wait: hosts that beat every second or so would lose beats that were heard, were the process killed, if
 * only one commit a second were made. Looks at every host of a small fleet. */
int64_t commit_pace_ns(const struct receiver *receiver);

/* Whether this run is so young that its mark is to move fast, also without news: in a crash loop each run counts as off from its
 * last mark on. */
bool commit_pace_is_starting(const struct receiver *receiver, struct instant now);

#endif
