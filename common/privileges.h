/* SPDX-License-Identifier: GPL-2.0-or-later */
/* privileges.h - a daemon started as root goes on as the owner of its data. */
#ifndef COMMON_PRIVILEGES_H
#define COMMON_PRIVILEGES_H

#include "common/error.h"

/* If this process is root: become the user and group that own `dir` (if that is root, or `dir` cannot be read: nobody),
 * for good. A directory of root with nothing in it is given to that user first. Supplementary groups are dropped too, no
 * new privileges can be gained. If it is not root: does nothing. Forbids core dumps and ptrace in either case, since keys
 * are in memory. Returns 0 or -1 with `error` set. */
int privileges_drop_to_owner(const char *dir, struct error *error);

#endif
