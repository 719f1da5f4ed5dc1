/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeper.h - carries what the core decided to the disk: commits to the journal, and the flush wheel of the RRD files.
 *
 *   core output --cut--> batch --journal thread--> stored --> acks may say safe
 *                                                  \--> hosts whose turn it is --RRD thread--> files --> checkpoint (next batch)
 *
 * A host's files are written only after its log is committed, and its checkpoint only after its files are written; so at
 * whatever instant the process dies, what is missing in one is in the one before. One batch and one RRD job are under
 * way at most. A batch that cannot be stored is kept and tried again each second, while judging goes on. */
#ifndef RECEIVER_LISTEN_KEEPER_H
#define RECEIVER_LISTEN_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/time.h"
#include "receiver/judge/receiver.h"
#include "receiver/record/journal.h"

struct keeper;
struct uv_loop_s;

struct keeper_options {
    const char *data;          /* the data directory */
    int64_t flush_interval_ns; /* 0: by the number of hosts */
    const char *zone;          /* name of the time zone of this process, for the months */
    size_t unsaved_max;        /* bytes of facts that may wait for the database; 0: by the number of hosts */
};

/* Both the core and the journal are borrowed. NULL with `error` set. */
struct keeper *keeper_create(struct uv_loop_s *loop, struct receiver *receiver, struct journal *journal,
                             const struct keeper_options *options, struct error *error);

/* Does what is due at `now`: call at least ten times a second. */
void keeper_tick(struct keeper *keeper, struct instant now);
/* Commits what is left, says goodbye, ends the threads (the loop must run once more afterwards). */
void keeper_stop(struct keeper *keeper, struct instant now);
void keeper_destroy(struct keeper *keeper);

void keeper_set_flush_interval(struct keeper *keeper, int64_t flush_interval_ns);

/* Called once what was asked for is stored. */
typedef void keeper_done(void *context);

/* Puts a maintenance window that is new, or that ends, into the next batch, taking over its texts. Returns 0, or -1: out of memory. */
int keeper_put_window(struct keeper *keeper, const struct journal_window *window);
/* The same with what was said about an outage. */
int keeper_put_relabel(struct keeper *keeper, const struct journal_relabel *relabel);
/* Calls `done` when all that was put is stored. Returns 0, or -1: out of memory. */
int keeper_when_stored(struct keeper *keeper, keeper_done *done, void *context);

/* Writes the files of these hosts; `done` follows when they hold all that can be written. Returns 0, or -1: out of memory. */
int keeper_flush(struct keeper *keeper, const uint32_t *hosts, size_t count, keeper_done *done, void *context);

/* Sees to it that the host's state.rrd is made anew, whatever it holds; from the next batch on a kill does not forget it. */
void keeper_remake(struct keeper *keeper, struct host *host);

/* How many hosts' state.rrd are still to be made anew. */
size_t keeper_outdated(const struct keeper *keeper);

/* Forgets a request: its `done` will not be called. */
void keeper_forget(struct keeper *keeper, const void *context);

#endif
