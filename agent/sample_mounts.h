/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_mounts.h - which file systems are looked at for how full they are, from the text of /proc/self/mounts.
 *
 * Local file systems on block devices (and ZFS), each once; also a local disk that a process serves (fuseblk: NTFS).
 * Never a network file system or FUSE without a disk, not even on the way to a local one: looking at it can block for
 * ever. No read-only images either, which are always full.
 * The text may come in pieces of whole lines, as it can be very long. Pure. */
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
    bool root_told; /* the text named a root, wanted or not */
    struct mount mounts[MOUNT_MAX];
};

/* Adds what is in the text to a list that was empty before the first piece. Mount points that fit one of the shell
 * patterns in `ignore` are left out. The root is listed also when it is on no block device, as in a container. */
void mount_list_add(struct mount_list *list, const char *text, char *const *ignore, size_t ignore_count);

/* Once all is added: the root, if the text did not name one. So it is in a chroot: a folder of a file system that is mounted
 * further up, out of sight. */
void mount_list_add_root(struct mount_list *list, char *const *ignore, size_t ignore_count);

/* Once all is added: takes network file systems out, and what lies behind them. For each piece of the text again. */
void mount_list_remove_network(struct mount_list *list, const char *text);

bool mount_is_root(const struct mount *mount);

#endif
