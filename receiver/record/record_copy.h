/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record_copy.h - a consistent copy of a whole record, of a running receiver or a stopped one. */
#ifndef RECEIVER_RECORD_RECORD_COPY_H
#define RECEIVER_RECORD_RECORD_COPY_H

#include <stddef.h>

#include "common/error.h"

struct record_copied {
    size_t hosts, files;
    size_t made_anew; /* state.rrd that did not agree with the copied log, and were made from it */
};

/* Copies the record in `data` into the folder `to`, which is made, or empty, or an earlier copy, which is brought up to date. The
 * copy is a record that no receiver writes. Returns 0, or -1 with `error` set: then an earlier copy still has its database. */
int record_copy(const char *data, const char *to, struct record_copied *done, struct error *error);

#endif
