/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rrd_copy.h - copies RRD files that somebody may be writing. */
#ifndef RECEIVER_RECORD_RRD_COPY_H
#define RECEIVER_RECORD_RRD_COPY_H

#include <sys/types.h>

#include "common/error.h"

/* Who owns what is made: as the user root the owner of the original, else this user, with the group of the original if that
 * is allowed. */
struct copy_owner {
    uid_t uid;
    gid_t gid;
};

/* Gives an open file or folder to them, with exactly this mode. Returns 0, or -1 with errno set. */
int copy_own(int fd, const struct copy_owner *owner, mode_t mode);
/* Makes a folder of mode 0750 if it is missing. One that is there is left as it is. */
int copy_make_folder(const char *path, const struct copy_owner *owner, struct error *error);

/* Copies every *.rrd of the folder `from` into the folder `to`, which is made, each whole as of one instant, into place under its
 * own name at once. Returns how many, or -1 with `error` set; 0 if there is no such folder. */
int rrd_copy_folder(const char *from, const char *to, const struct copy_owner *owner, struct error *error);

/* Removes a folder of an earlier copy: its *.rrd, and itself if nothing else is in it. */
void rrd_copy_remove(const char *folder);

#endif
