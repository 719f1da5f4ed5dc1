/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record_lock.h - who may write to a data directory: the one that holds DATA/receiver.lock.
 *
 * The receiver holds it (flock, exclusive) for as long as it runs; the command line takes it for the moment of a
 * change while the receiver is stopped. The file stays, only the lock comes and goes, so that nobody can lock a
 * deleted file. */
#ifndef RECEIVER_RECORD_RECORD_LOCK_H
#define RECEIVER_RECORD_RECORD_LOCK_H

#include <stdbool.h>

#include "common/error.h"

enum record_lock_result {
    RECORD_LOCK_HELD_BY_OTHER, /* a receiver runs, or somebody changes the record right now */
    RECORD_LOCK_FREE,          /* nobody writes */
    RECORD_LOCK_UNCLEAR        /* the lock file may not be opened: `error` says why */
};

/* Looks whether somebody writes. With `fd` not NULL and the answer FREE, a shared lock is kept that holds off writers:
 * close `*fd` to release it (-1 if there is no lock file, since then no receiver was ever here). */
enum record_lock_result record_lock_probe(const char *data, int *fd, struct error *error);

/* Takes the lock for writing. Returns the descriptor (close it to release) or -1 with `error` set. */
int record_lock_take(const char *data, struct error *error);

#endif
