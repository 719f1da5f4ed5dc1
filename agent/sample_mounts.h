/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_mounts.h - which file systems are looked at for how full they are, from the text of /proc/self/mounts.
 *
 * Local file systems on block devices (and ZFS), each once. Never a network or FUSE file system, not even on the way
 * to a local one: looking at it can block for ever. No read-only images either, which are always full. Pure. */
#ifndef AGENT_SAMPLE_MOUNTS_H
#define AGENT_SAMPLE_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOUNT_MAX 64       /* those behind are not looked at */
#define MOUNT_DIR_SIZE 256 /* those with a longer path neither */

struct mount {
    uint64_t source; /* fingerprint of what is mounted */
    char dir[MOUNT_DIR_SIZE];
};

struct mount_list {
    size_t count;
    struct mount mounts[MOUNT_MAX];
};

/* Fills the list. Mount points that fit one of the shell patterns in `ignore` are left out. The root is listed also
 * when it is on no block device, as in a container, unless it is a network file system. */
void sample_mounts(struct mount_list *out, const char *text, char *const *ignore, size_t ignore_count);

bool mount_is_root(const struct mount *mount);

#endif
