/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rrd_look.h - is what lies in the place of an RRD file one that can be gone on with?
 *
 * librrd finds some damage and reports it as it does a full disk or a lock; some it does not find at all, such as another
 * step. So its header is read before a file is written. What a look finds damaged is put aside and begun anew. */
#ifndef RECEIVER_RECORD_RRD_LOOK_H
#define RECEIVER_RECORD_RRD_LOOK_H

#include <stdint.h>

#include "common/error.h"
#include "receiver/record/rrd_file.h"

enum rrd_look {
    RRD_LOOK_TROUBLE = -1, /* it cannot be looked at now: no right to, no descriptor, the disk */
    RRD_LOOK_FINE,
    RRD_LOOK_NONE,
    RRD_LOOK_BAD /* damaged, cut short, or another program's */
};

/* Looks at the file. `last` becomes the second of its last update if it is fine. `error` says what is wrong with one that is
 * bad or cannot be looked at: "PATH is cut short". */
enum rrd_look rrd_look(const char *path, const struct rrd_schema *schema, int64_t *last, struct error *error);

/* Renames the file, or whatever is in its place, to PATH.bad, over one that was put aside before; an empty one just goes. Returns 0,
 * or -1 with `error` set. */
int rrd_put_aside(const char *path, struct error *error);

#endif
