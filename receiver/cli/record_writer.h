/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record_writer.h - changes of the record itself, while no receiver runs: under its lock, in one transaction. */
#ifndef RECEIVER_CLI_RECORD_WRITER_H
#define RECEIVER_CLI_RECORD_WRITER_H

#include <limits.h>
#include <sqlite3.h>
#include <stdint.h>

#include "common/error.h"

struct record_writer {
    sqlite3 *db;
    int lock;
    int64_t alive, alive_ns; /* the last mark of the receiver, on both clocks */
    char path[PATH_MAX];
};

/* If this process is root: goes on as the owner of the data directory, so that no file there becomes root's. To be
 * called before anything is opened. */
int record_writer_become_owner(const char *data, struct error *error);

/* Takes the lock and begins a transaction. Returns 0 (end it with record_writer_finish), or -1 with `error` set. */
int record_writer_open(struct record_writer *writer, const char *data, struct error *error);
/* Commits if all went well so far (`rc` is 0). The lock is held on. Returns `rc`, or -1 with `error` set. */
int record_writer_commit(struct record_writer *writer, int rc, struct error *error);
/* Gives the lock back; what is not committed is not done. */
void record_writer_close(struct record_writer *writer);
/* Both of them. */
int record_writer_finish(struct record_writer *writer, int rc, struct error *error);

/* Fills `error` with what SQLite says, and returns -1. */
int record_writer_fail(const struct record_writer *writer, struct error *error);
/* Runs a statement that gives up to two integers; leaves them alone if it gives no row. */
int record_writer_query(struct record_writer *writer, const char *sql, int64_t *first, int64_t *second,
                        struct error *error);

#endif
