/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rrd_store_internal.h - what the two halves of the store share: where the files of a host are. */
#ifndef RECEIVER_RECORD_RRD_STORE_INTERNAL_H
#define RECEIVER_RECORD_RRD_STORE_INTERNAL_H

#include "receiver/record/rrd_look.h"
#include "receiver/record/rrd_store.h"

#define RRD_STORE_PATH_MAX 4000

/* The path of a file of a host, or -1 with `error` set: the name is no host name, or the path too long. */
int rrd_store_path(const struct rrd_store *store, const char *name, const char *file, char path[RRD_STORE_PATH_MAX],
                   struct error *error);

/* What can be gone on with in the place of a file: RRD_LOOK_FINE with `last` set, RRD_LOOK_NONE, or RRD_LOOK_TROUBLE with `error` set.
 * What is bad, or was written a day past `newest`, is put aside and noted: then there is none. */
enum rrd_look rrd_store_look(struct rrd_store *store, const char *path, const struct rrd_schema *schema, int64_t newest,
                             int64_t *last, struct error *error);
/* Notes that a file was replaced, and why, for rrd_store_take_notes. */
__attribute__((format(printf, 2, 3))) void rrd_store_note(struct rrd_store *store, const char *format, ...);

/* Makes the folder of a host if it is missing. */
int rrd_store_make_folder(const struct rrd_store *store, const char *name, struct error *error);

#endif
