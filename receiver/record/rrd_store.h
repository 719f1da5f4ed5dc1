/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rrd_store.h - the record in RRD files: hosts/NAME/{state,metrics,net}.rrd.
 *
 * Called from one thread only, since within a process librrd has no exclusion. Files are created when first needed,
 * their rows written in batches, one librrd call per file. librrd itself is called by rrd_file.c alone. */
#ifndef RECEIVER_RECORD_RRD_STORE_H
#define RECEIVER_RECORD_RRD_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "receiver/record/averages.h"
#include "receiver/record/timeline.h"

struct rrd_store;

/* `folder` is the hosts/ folder (borrowed text is copied). NULL out of memory. */
struct rrd_store *rrd_store_create(const char *folder);
void rrd_store_destroy(struct rrd_store *store);

/* How many files were found damaged or gone and are begun anew, since the last call; if any, `note` tells of the latest. What is
 * damaged is kept as FILE.bad. */
size_t rrd_store_take_notes(struct rrd_store *store, struct error *note);
/* NAME/state.rrd was written before: notes it if it is gone. */
void rrd_store_expect_state(struct rrd_store *store, const char *name);

/* Whether NAME/state.rrd holds up to `to` what the log says, as far as it goes; if not, that is noted. What cannot be read is left to
 * rrd_store_write_state. */
bool rrd_store_state_agrees(struct rrd_store *store, const char *name, const struct timeline *log, int64_t to);

/* Brings NAME/state.rrd up to second `to` from the log of the host: makes it if missing, as rrd_store_rebuild_state
 * does, else continues after its last update. `changed_from` is the earliest second at which the log has changed since
 * the last call (INT64_MAX: nothing but time): if that lies before what is written, the file is made anew; with INT64_MIN
 * it is in any case, also if the old one cannot be read, and the old one is kept as state.rrd.bak. Returns 0, or -1 with `error` set; what is not written now will
 * be with the next call. */
int rrd_store_write_state(struct rrd_store *store, const char *name, const struct timeline *log, int64_t changed_from,
                          int64_t to, struct error *error);

/* Makes NAME/state.rrd anew from the log up to `to`, beside the old file, and renames it into place (old kept as
 * state.rrd.bak). It starts with the UTC day of the first span. Rows of the old file that end before the log begins are
 * carried over, each from the finest archive that still has it. */
int rrd_store_rebuild_state(struct rrd_store *store, const char *name, const struct timeline *log, int64_t to,
                            struct error *error);

/* Appends finished rows to NAME/metrics.rrd (every metric of the catalogue but net_in and net_out) and NAME/net.rrd
 * (`in`, `out`). What lies at or before the last update of a file is skipped (crash replay). A gap between rows is
 * written as unknown (one U update up to the start of the first row after it). Both files are tried even if one fails;
 * -1 with `error` set then. */
int rrd_store_write_rows(struct rrd_store *store, const char *name, const struct averages_row *rows, uint32_t count,
                         struct error *error);

/* Brings all that was written to the disk, so that a power cut does not take it back: one syncfs, since that costs less than as many
 * fsyncs as there are files. Returns 0, or -1 with `error` set: what was written since the last call may be lost. */
int rrd_store_sync(const struct rrd_store *store, struct error *error);

/* Gives the folder of a host another name, for good: a power cut does not undo it. What is done already, or needs none since
 * there are no files, is success. Returns 0, or -1 with `error` set: nothing is changed. */
int rrd_store_move(struct rrd_store *store, const char *from, const char *to, struct error *error);

/* Compares NAME/state.rrd with the log, in every archive, over all rows that end at or before `to` and lie within the
 * log. Sets `differing` to the number of rows whose up, down, admin or known seconds differ by more than 0.001 s (also
 * those that the file should have and has not), and `first` to the end of the earliest such row. Returns 0 if the
 * comparison could be made. Opens the file read-only: may be called from any program. */
int rrd_store_verify_state(const char *path, const struct timeline *log, int64_t to, uint64_t *differing,
                           int64_t *first, struct error *error);

/* The rows of NAME/state.rrd that end in (from, to], both multiples of `step_s` (900 or 86400: seconds a row of one of its
 * archives): {up, down, admin} seconds and their sum, all 0 where nothing is known or the archive does not reach. `rows` has
 * room for all of them. Opens the file read-only. Returns 0, or -1 with `error` set. */
int rrd_store_state_rows(const char *path, int64_t step_s, int64_t from, int64_t to, double (*rows)[4],
                         struct error *error);

/* The beginning of the oldest row of `step_s` that a state.rrd whose last update was at `last` can have. */
int64_t rrd_store_state_begin(int64_t step_s, int64_t last);

/* The second of the last update of a file, or -1 with `error` set. */
int64_t rrd_store_last(const char *path, struct error *error);

#endif
