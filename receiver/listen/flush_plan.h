/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flush_plan.h - whose RRD files are written next: by the wheel, on request, and from the queue of those to be made.
 *
 *   wheel     every host once in a flush interval: what is new is appended, which takes little
 *   requests  `twobeat flush` and the like: these hosts come first
 *   queue     hosts whose state.rrd must be made, for the first time or anew, since the log has changed before what is written
 *
 * Making a file takes a hundred times as long as appending to it, and ten thousand hosts can need it at once. So the
 * wheel makes none, only puts hosts into the queue; and whoever asks, at most FLUSH_PLAN_MAKES_PER_S are made a second and in a
 * job. The queue is nowhere stored: it follows from what is (host_is_outdated), and is filled again by a restart. */
#ifndef RECEIVER_LISTEN_FLUSH_PLAN_H
#define RECEIVER_LISTEN_FLUSH_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/time.h"
#include "receiver/judge/receiver.h"
#include "receiver/listen/flush.h"
#include "receiver/listen/waiter.h"

#define FLUSH_PLAN_MAKES_PER_S 50

struct flush_plan;

/* Puts every host of the core that needs it into the queue. NULL: out of memory. The core is borrowed. */
struct flush_plan *flush_plan_create(struct receiver *receiver);
void flush_plan_destroy(struct flush_plan *plan);

/* 0: by the number of hosts. */
void flush_plan_set_interval(struct flush_plan *plan, int64_t interval_ns);

/* Puts the host into the queue, if its state.rrd must be made anew and it is not there yet. */
void flush_plan_queue(struct flush_plan *plan, struct host *host);
/* How many hosts' state.rrd must be made anew, those among them that are being written. */
size_t flush_plan_outdated(const struct flush_plan *plan);

/* Asks for the files of these hosts. Returns 0, or -1: out of memory. */
int flush_plan_request(struct flush_plan *plan, const uint32_t *hosts, size_t count, void (*done)(void *context),
                       void *context);
bool flush_plan_has_requests(const struct flush_plan *plan);
/* Forgets who asked; what was asked is done all the same. */
void flush_plan_forget(struct flush_plan *plan, const void *context);

/* Fills a job with what is due at `now`. Adds to `waiters` those who are to be told when it is done. */
void flush_plan_fill(struct flush_plan *plan, struct flush_job *job, struct instant now, struct waiter **waiters);

/* Facts up to this number are in the checkpoints of all hosts, and may go. 0: not looked, since the wheel has hardly moved. */
uint64_t flush_plan_trim(struct flush_plan *plan);

#endif
