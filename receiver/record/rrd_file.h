/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rrd_file.h - one RRD file: make, update, read. All that is said to librrd is said here.
 *
 * librrd 1.7.2 has traps that each call must step around: an error text left over makes the next good call fail, a file
 * name with `%` may crash it, a full disk gives an error without words, and a file locked by a reader is refused at
 * once. This layer knows them, so that the others need not. It knows nothing of hosts and states. From within one
 * process a file may be used by one thread only. rrd_create reseeds random(): nothing here may rely on that. */
#ifndef RECEIVER_RECORD_RRD_FILE_H
#define RECEIVER_RECORD_RRD_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

/* Updates of one file, in order of time. Zero-initialise; release with rrd_batch_free. */
struct rrd_batch {
    char *text; /* the updates, each ended by a NUL */
    size_t length, capacity;
    size_t count;
    bool failed; /* out of memory: the batch cannot be used */
};

/* Adds one update, "SECOND:VALUE:..." with digits only. */
__attribute__((format(printf, 2, 3))) void rrd_batch_add(struct rrd_batch *batch, const char *format, ...);
void rrd_batch_free(struct rrd_batch *batch);

struct rrd_schema {
    int64_t step_s;
    const char *sources;            /* names, "a:b:c": librrd refuses the file if it has others */
    const char *const *definitions; /* "DS:..." and "RRA:..." */
    int definition_count;
};

/* Whether there is a file with something in it. An empty one is what a power cut can leave of a new file. */
bool rrd_file_exists(const char *path);

/* The second of the last update, or -1 with `error` set. */
int64_t rrd_file_last(const char *path, struct error *error);

/* Applies the batch in one call. On an error the updates before the bad one are stored. Returns 0, or -1 with `error`
 * set. */
int rrd_file_update(const char *path, const struct rrd_schema *schema, const struct rrd_batch *batch,
                    struct error *error);

/* Makes the file with its first updates under another name and renames it into place; readable by the group. With
 * `keep_old` a file that is there already is kept as PATH.bak. Returns 0, or -1 with `error` set and nothing changed. */
int rrd_file_create(const char *path, const struct rrd_schema *schema, int64_t start, const struct rrd_batch *batch,
                    bool keep_old, struct error *error);

/* The rows of the AVERAGE archive with this step that end in (from, to], both multiples of `step_s` and within the
 * archive: a value for each of `sources` ("a:b:c") in a row, NaN where unknown. NULL with `error` set if the file
 * cannot be read or is another one. Release with rrd_file_free_rows. */
double *rrd_file_fetch(const char *path, const char *sources, int64_t step_s, int64_t from, int64_t to,
                       struct error *error);
void rrd_file_free_rows(double *rows);

#endif
